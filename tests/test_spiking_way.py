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
    network, plan = flow.load_build(folder)
    (frames,) = np.load(folder / "frames.npz").values()
    trains = network.trace(frames)
    assert all(0 < trains[name].mean() < 1 for name in ("rate", "lif1", "lif2"))
    assert {s.node for s in plan.stages if s.node} == {"rate", "lif1", "lif2", "lif3"}
    assert plan.expected <= 1000 and len(report["fifos"]) >= 0


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
