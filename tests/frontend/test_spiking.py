"""Spiking networks of snnTorch and of hwgen.nn.spiking, read; and what is refused, all at once."""

from dataclasses import replace

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from hwgen.errors import UserError
from hwgen.frontend import is_spiking, load, quantise_input
from hwgen.frontend.spiking import read_spiking
from hwgen.frontend.spiking_network import to_network
from hwgen.nn.spiking import Leaky, Steps, rate_code

T = 5


def lif(beta, **options):
    """snnTorch's neurons, whose spikes are otherwise float32 whatever comes in."""
    return snntorch.Leaky(beta, spike_grad=lambda x: (x > 0).to(x.dtype), **options)


def exact(module: nn.Module, seed: int = 0) -> nn.Module:
    """``module`` with weights of a sixteenth, so that hardware holds them, in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randint(-9, 14, p.shape, generator=generator) / 16)
    return module.double().eval()


class Tutorial(nn.Module):
    """As snnTorch's tutorials write it: lists, init_leaky, stacks of both at the end."""

    def __init__(self, reset="subtract", beta=0.5):
        super().__init__()
        self.fc1 = nn.Linear(6, 9)
        self.lif1 = lif(beta, reset_mechanism=reset)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = lif(beta, threshold=0.75)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Rates(nn.Module):
    """Coded as hardware does; the largest membrane of a layer that never resets."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 9, bias=False)
        self.lif1 = Leaky(torch.linspace(0, 1, 9).mul(8).round().div(8))
        self.drop = nn.Dropout()
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = Leaky(0.75, reset_mechanism="none")

    def forward(self, x):
        train, mem1, mem2 = rate_code(x.flatten(1), T, 4), None, None
        best = None
        for t in range(T):
            spk, mem1 = self.lif1(self.fc1(train[t]), mem1)
            _, mem2 = self.lif2(self.fc2(self.drop(spk)), mem2)
            best = mem2 if best is None else torch.maximum(best, mem2)
        return best


class Counts(nn.Module):
    """Spikes as they come, summed up as it goes; per-neuron thresholds."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 4)
        self.lif1 = lif(0.875, threshold=torch.tensor([0.5, 1, 1.5, 2]))

    def forward(self, x):
        mem, count = self.lif1.reset_mem(), 0
        for t in range(T):
            spk, mem = self.lif1(self.fc1(x[t]), mem)
            count = count + spk
        return count


def stepped(coding, readout):
    hidden = {"init_hidden": True}
    module = nn.Sequential(
        nn.Linear(6, 8),
        lif(0.5, **hidden),
        nn.Linear(8, 3),
        lif(0.75, output=readout == "membrane", **hidden),
    )
    return Steps(module, T, coding, readout, bits=4)


def fraction(model, bits=16):
    """Membranes so fine that no leak drops a bit."""
    return replace(model, layers=tuple(replace(x, fraction=bits) for x in model.layers))


def same(module, x, given=None):
    """The integers of ``module``, which is exact, are what torch computes in float64."""
    module = exact(module)
    network = to_network(fraction(read_spiking(module)))
    with torch.no_grad():
        out = module(torch.from_numpy(x if given is None else given))
    out = (out[0].sum(0) if isinstance(out, tuple) else out).numpy()
    integers = network.compute(quantise_input(network, x.astype(np.float32)))
    got = integers.reshape(out.shape) * network.output.type.scale
    assert np.array_equal(got, out)
    assert len(np.unique(out)) > 1  # or nothing was tested
    return network


def draw(rng, *shape, bits=4):
    return rng.integers(0, 1 << bits, shape) / 2**bits


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_tutorial(reset):
    x = draw(np.random.default_rng(1), 30, 6, bits=8)
    network = same(Tutorial(reset), x)
    assert [node.name for node in network] == ["input", "fc1", "lif1", "lif2", "readout"]


def test_rates():
    x = np.random.default_rng(2).integers(0, 16, (40, 1, 2, 3)) / 15
    network = same(Rates(), x)
    assert [node.name for node in network] == ["input", "rate", "lif1", "lif2"]
    assert network["lif2"].op.readout == "membrane"


def test_spikes_as_they_come():
    x = (np.random.default_rng(3).random((50, T, 6)) < 0.4).astype(float)
    same(Counts(), x, given=x.transpose(1, 0, 2))


@pytest.mark.parametrize("readout", ["count", "first", "membrane", "train"])
@pytest.mark.parametrize("coding", ["direct", "rate", "spikes"])
def test_steps(coding, readout):
    rng = np.random.default_rng(4)
    x = {
        "direct": draw(rng, 20, 6, bits=8),
        "rate": rng.integers(0, 16, (20, 6)) / 15,
        "spikes": (rng.random((20, T, 6)) < 0.5).astype(float),
    }[coding]
    network = same(stepped(coding, readout), x)
    assert [node.name for node in network if node.name[0].isdigit()][-2:] == ["1", "3"]


def test_what_is_spiking():
    assert is_spiking(Tutorial()) and is_spiking(Rates()) and is_spiking(stepped("rate", "count"))
    assert not is_spiking(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    assert not is_spiking("a.pt2")


class Loop(Tutorial):
    """What leaves comes back in the next step."""

    def __init__(self):
        super().__init__()
        self.back = nn.Linear(4, 9)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        current, count = self.fc1(x), 0
        for _ in range(T):
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            current = self.fc1(x) + self.back(spk2)
            count = count + spk2
        return count


class Delayed(Tutorial):
    """The second layer sees what the first did a step ago."""

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk, count = None, 0
        for _ in range(T):
            before = spk
            spk, mem1 = self.lif1(self.fc1(x), mem1)
            out, mem2 = self.lif2(self.fc2(spk if before is None else before), mem2)
            count = count + out
        return count


class Forgets(Tutorial):
    def forward(self, x):
        count = 0
        for _ in range(T):
            spk, _ = self.lif1(self.fc1(x))
            count = count + spk
        return count


def odd():
    module = Tutorial()
    module.extra = snntorch.Synaptic(0.5, 0.5)
    module.conv = nn.Conv2d(1, 1, 3)
    module.again = snntorch.RLeaky(0.5, linear_features=4)
    module.lif1 = lif(0.5, reset_delay=False)
    module.lif2.graded_spikes_factor = torch.tensor(2.0)
    return module


def unused():
    module = Tutorial()
    module.fc3 = nn.Linear(3, 3)
    module.lif1.threshold = torch.tensor(-1.0)
    module.lif2.beta = torch.tensor([0.5, 0.5])
    return module


MISTAKES = {
    "modules": (odd, ["extra: Synaptic is not", "conv: Conv2d is not", "again: RLeaky feeds its",
                      "lif1: reset_delay=False", "lif2: graded spikes"]),
    "step": (lambda: stepped("rate", "count").module, ["T is missing"]),
    "loop": (Loop, ["back: adds the sums of back to those of fc1: a branch or a loop"]),
    "delayed": (Delayed, ["takes step 0 of lif1 in its own step 1: a loop across layers"]),
    "forgets": (Forgets, ["lif1: starts step 1 without its membrane"]),
    "numbers": (unused, ["fc3: its result does not reach", "lif1: a threshold below zero",
                         "lif2: has 2 values of beta for 4 neurons"]),
    "leak": (lambda: exact(Tutorial(beta=0.9)), ["lif1: the leak beta=0.9", "lif2: the leak"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    make, told = MISTAKES[name]
    with pytest.raises(UserError) as raised:
        to_network(read_spiking(make()))
    for text in told:
        assert text in str(raised.value)


def test_a_program_names_its_neurons(tmp_path):
    """Exported, whether as a file or not, steps are unrolled, and no neurons are left to read."""
    x = torch.rand(3, 6)
    program = torch.export.export(Rates().eval(), (x,))
    torch.export.save(program, tmp_path / "spiking.pt2")
    for source in (program, tmp_path / "spiking.pt2"):
        with pytest.raises(UserError) as raised:
            load(source)
        problems = [str(problem) for problem in raised.value.problems]
        assert [text.partition(":")[0] for text in problems] == ["lif1", "lif2"]
        assert "give the module itself" in problems[0]


def test_membranes_that_would_wrap():
    model = read_spiking(exact(Tutorial(beta=1.0)))
    with pytest.raises(UserError, match="lif2: its membranes would wrap"):
        to_network(replace(model, layers=(model.layers[0], replace(model.layers[1], fraction=30))))
