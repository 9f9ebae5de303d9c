"""A spiking network from snnTorch to verified Verilog: every spike train, every cycle."""

import json

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from hwgen import flow
from hwgen.compress import Settings
from hwgen.errors import UserError
from hwgen.nn.spiking import Steps, rate_code

T = 6


class Net(nn.Module):
    """Three layers: other resets, leaks and thresholds, sizes that nothing divides."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(30, 21)
        self.lif1 = snntorch.Leaky(torch.linspace(0.5, 1, 21).mul(16).round().div(16))
        self.fc2 = nn.Linear(21, 11)
        self.lif2 = snntorch.Leaky(0.75, threshold=0.5, reset_mechanism="zero")
        self.fc3 = nn.Linear(11, 4, bias=False)
        self.lif3 = snntorch.Leaky(0.875, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2, mem3 = (lif.reset_mem() for lif in (self.lif1, self.lif2, self.lif3))
        train, membranes = rate_code(x.flatten(1), T), []
        for t in range(T):
            spk, mem1 = self.lif1(self.fc1(train[t]), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            _, mem3 = self.lif3(self.fc3(spk), mem3)
            membranes.append(mem3)
        return torch.stack(membranes).amax(0)


def made():
    torch.manual_seed(1)
    net = Net()
    with torch.no_grad():
        net.fc1.weight *= 2
        net.fc2.weight *= 2
    images = torch.rand(12, 1, 5, 6)
    images[0], images[1] = 1, 0
    return net, images


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spiking") / "a"
    net, images = made()
    settings = Settings(weights={"fc1": 3, "default": 4})
    return folder, flow.build(
        net, "arty_a7_100t", folder, images.numpy(), settings=settings, fps=100_000
    )


def test_every_train_and_every_cycle(built):
    folder, report = built
    result = flow.simulate(folder, stall=0.4, seed=3)
    assert result.free.bit_exact, str(result.free)
    assert result.stalled.bit_exact, str(result.stalled)
    assert result.cycles_exact
    assert result.free.frames == 12
    data = report["data"]
    assert data["interval_mean"] < data["interval_most"] <= data["interval_worst"]
    # One measure: the mean over real frames, which the same frames take in simulation as well.
    assert data["frames"] == 12
    interval = result.report["cycles"]["interval"]
    assert interval["estimated"] == interval["simulated"] == data["interval_mean"]
    rate = result.report["throughput"]["frames_per_second"]
    assert rate == pytest.approx(100e6 / data["interval_mean"], rel=1e-3)
    network, plan = flow.load_build(folder)
    (frames,) = np.load(folder / "frames.npz").values()
    trains = network.trace(frames)
    assert all(0 < trains[name].mean() < 1 for name in ("rate", "lif1", "lif2"))
    assert {s.node for s in plan.stages if s.node} == {"rate", "lif1", "lif2", "lif3"}
    assert round(plan.expected, 1) == data["interval_mean"] <= 1000


def test_builds_are_the_same_bytes(built, tmp_path):
    folder, _ = built
    net, images = made()
    settings = Settings(weights={"fc1": 3, "default": 4})
    flow.build(net, "arty_a7_100t", tmp_path / "b", images.numpy(), settings=settings, fps=100_000)
    for file in ("network.safetensors", "plan.json", "rtl/accelerator.v"):
        assert (folder / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(("coding", "readout"), [("direct", "first"), ("spikes", "train")])
def test_other_codings_and_readouts(coding, readout, tmp_path):
    """A step module; spikes that come from a file of events."""
    torch.manual_seed(1)
    hidden = {"init_hidden": True}
    module = nn.Sequential(
        nn.Linear(13, 17),
        snntorch.Leaky(0.5, **hidden),
        nn.Linear(17, 6),
        snntorch.Leaky(torch.linspace(0.5, 1, 6).mul(8).round().div(8), **hidden),
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 2.5
    rng = np.random.default_rng(0)
    x = rng.random((8, 13) if coding == "direct" else (8, 5, 13), np.float32)
    images = None
    if coding == "spikes":
        x = (x < 0.4).astype(np.float32)
        frame, step, address = np.nonzero(x)
        images = tmp_path / "events.npz"
        np.savez(images, frame=frame, step=step, address=address)
    steps = Steps(module, 5, coding, readout)
    flow.build(steps, "ulx3s", tmp_path / "d", x, settings=Settings(weights=4))
    result = flow.simulate(tmp_path / "d", images=images)
    assert result.bit_exact and result.cycles_exact
    assert result.free.frames == 8
    assert all(output.any() for output in result.free.outputs.values())


def test_a_rate_out_of_reach_is_told_by_its_mean(tmp_path):
    net, images = made()
    with pytest.raises(UserError, match="the best in reach is") as raised:
        flow.estimate(net, "arty_a7_100t", images.numpy(), Settings(weights=4), fps=1e7)
    best = float(str(raised.value).split("give --fps ")[1].split()[0])
    report = flow.estimate(net, "arty_a7_100t", images.numpy(), Settings(weights=4), fps=best)
    assert report["throughput"]["frames_per_second"] >= best


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x, None),
        (lambda x: 0.5 * x, "input: takes spikes, which are 0 or 1, and was given 0.5"),
        (lambda x: None, "input: event .* does not come after the one before it"),
    ],
)
def test_spikes_may_calibrate_as_events(change, told, tmp_path):
    """What ``--calibrate`` is given: a file of events, dense numbers, events out of order."""
    hidden = {"init_hidden": True}
    module = nn.Sequential(nn.Linear(9, 5), snntorch.Leaky(0.5, **hidden))
    torch.manual_seed(2)
    x = (np.random.default_rng(1).random((6, 4, 9)) < 0.4).astype(np.float32)
    x[-1, -1, -1] = 1
    steps, given = Steps(module, 4, "spikes"), change(x)
    frame, step, address = np.nonzero(x)
    if given is None:
        address = address[::-1]
    if given is None or told is None:
        np.savez(tmp_path / "e.npz", frame=frame, step=step, address=address)
        given = tmp_path / "e.npz"
    if told:
        with pytest.raises(UserError, match=told):
            flow.estimate(steps, "ulx3s", given, Settings(weights=4))
        return
    found = [flow.estimate(steps, "ulx3s", one, Settings(weights=4)) for one in (given, x)]
    assert found[0] == found[1]
    assert found[0]["data"]["frames"] == 6
    with pytest.raises(UserError, match="takes 9 numbers a frame, and was given events"):
        flow.estimate(Steps(module, 4, "rate"), "ulx3s", given, Settings(weights=4))
    with pytest.raises(UserError, match="is coded as rates, and goes from 0 to 255"):
        flow.estimate(Steps(module, 4, "rate"), "ulx3s", 255 * x[:, 0], Settings(weights=4))


class Spikes(nn.Module):
    """As snnTorch has it: steps come first, and both stacks leave."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(9, 5), snntorch.Leaky(0.5)

    def forward(self, x):
        mem, spikes, membranes = self.lif.reset_mem(), [], []
        for t in range(4):
            spk, mem = self.lif(self.fc(x[t]), mem)
            spikes.append(spk)
            membranes.append(mem)
        return torch.stack(spikes), torch.stack(membranes)


def test_steps_come_first_in_a_forward_and_frames_on_disk():
    torch.manual_seed(2)
    net = Spikes()
    with torch.no_grad():
        net.fc.weight.mul_(64).round_().div_(32)
        net.fc.bias.mul_(64).round_().div_(32)
    x = (np.random.default_rng(1).random((30, 4, 9)) < 0.4).astype(np.float32)
    report = flow.estimate(net, "ulx3s", x, Settings(weights=8))
    assert report["accuracy"]["images"] == 30
    assert report["accuracy"]["agreement"] == 100


def test_what_rounding_does_is_told(tmp_path):
    net, images = made()
    net.lif2.beta = torch.tensor(0.77)
    with pytest.raises(UserError, match=r"lif2: beta=0\.77"):
        flow.build(net, "arty_a7_100t", tmp_path / "c", images.numpy())
    settings = Settings(weights=4, approximate=True)
    report = flow.build(net, "arty_a7_100t", tmp_path / "c", images.numpy(), settings=settings)
    assert report["rounded"].startswith("lif2.beta rounded to 2^-8, by at most 0.000")
    assert "in float alone" in report["rounded"]
    assert json.loads((tmp_path / "c" / "network.json").read_text())["notes"]["lif2.beta"]
