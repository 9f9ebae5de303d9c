"""Networks that are no line: residual blocks, depthwise convolutions, averages, fan-out."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.compress import Settings, quantize
from hwgen.compress.bias import channel_means, correct_bias
from hwgen.compress.passes import PASSES
from hwgen.frontend import load
from hwgen.frontend.calls import WEIGHTED, calls, op_of
from hwgen.frontend.program import put, tensor_of
from hwgen.network import Add, Conv2d, Linear, Requantise

sys.path.insert(0, str(Path(__file__).parent))
from branching import FINEST, IMAGES, Net, ResNet, check, close, lived_in, mobile, pictures

torch.manual_seed(0)
RESNET = lived_in(ResNet([(4, 1), (6, 2), (6, 1)]), IMAGES)
MOBILE = lived_in(mobile(), IMAGES)
PROGRAMS = {
    name: load(model, torch.from_numpy(IMAGES))
    for name, model in {"resnet": RESNET, "mobile": MOBILE}.items()
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("bits", range(2, 17))
def test_every_width(name, bits):
    network = check(quantize(PROGRAMS[name], IMAGES, Settings(bits, 18 - bits)))
    assert {n.op.bits for n in network if isinstance(n.op, Requantise)} == {18 - bits, 16}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("calibration", ["minmax", "percentile"])
def test_every_calibration(name, calibration):
    check(quantize(PROGRAMS[name], IMAGES, Settings(calibration=calibration)))


@pytest.mark.parametrize(("name", "model"), [("resnet", RESNET), ("mobile", MOBILE)])
def test_integers_are_close_to_the_float_network(name, model):
    close(model, quantize(PROGRAMS[name], IMAGES, FINEST))


def test_a_resnet_by_its_nodes():
    network = check(quantize(PROGRAMS["resnet"], IMAGES))
    block = ["conv1", "conv1.requantise", "conv2", "conv2.requantise"]
    down = ["downsample.0", "downsample.0.requantise"]
    assert [node.name for node in network] == [
        "input", "conv1", "conv1.requantise", "maxpool",
        *(f"layer1.0.{name}" for name in [*block, "add", "add.requantise"]),
        *(f"layer1.1.{name}" for name in [*block, *down, "add_1", "add_1.requantise"]),
        *(f"layer1.2.{name}" for name in [*block, "add_2", "add_2.requantise"]),
        "avgpool", "avgpool.requantise", "fc", "fc.requantise",
    ]  # fmt: skip
    assert network["layer1.0.add"].inputs == ("layer1.0.conv2.requantise", "maxpool")
    assert network["layer1.1.downsample.0"].inputs == ("layer1.0.add.requantise",)
    add = network["layer1.0.add.requantise"]
    assert add.op.zero_point == 0 == add.op.lo  # a ReLU follows
    assert network["layer1.1.downsample.0.requantise"].op.zero_point > 0  # and none here
    for node in network:
        if isinstance(node.op, Add):
            assert min(node.op.factors) == 1 and max(node.op.factors) <= 1 << 24
            first, second = (network[name].type.scale for name in node.inputs)
            assert np.frexp(first / second)[0] == 0.5
    assert network.output.type.shape == (5,)
    assert dict(network.notes)["activation bits"].startswith("input 8, conv1 8, layer1.0.conv1 8")


def test_a_mobile_net_by_its_nodes():
    network = check(quantize(PROGRAMS["mobile"], IMAGES))
    assert network["first.0"].op.groups == 2 and network["first.0"].op.weights.shape == (2, 3, 3, 1)
    assert network["add"].inputs == ("first.3.requantise", "expand.1.requantise")
    assert network["mean"].op.kernel == (6, 7)
    assert network["mean.requantise"].type.shape == (1, 1, 7)


def test_bits_of_additions_and_averages():
    activations = {"layer1.1.add_1": 3, "avgpool": 11, "layer1.0.conv2": 5, "fc": 9, "input": 6}
    program = quantize(PROGRAMS["resnet"], IMAGES, Settings(4, activations))
    network = check(program)
    for layer, bits in activations.items():
        name = layer if layer == "input" else f"{layer}.requantise"
        assert network[name].type.bits == bits


def conv(a: int = 4, b: int = 4, **options) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, padding=1, **options)


def twice(s, x):
    """The same sums with and without an activation, and two activations of them."""
    y = s.a(x)
    return s.d(torch.relu(y)) + s.b(y) + s.c(F.hardtanh(y, -0.2, 0.1)) + s.d2(torch.relu(y))


def pools(s, x):
    """A pool read by a ReLU, and by others as it is; one pool called twice."""
    y = s.pool(s.a(x))
    return s.b(s.act(y)) + s.c(y) + s.pool2(s.act(s.a2(x)))


def dense(s, x):
    """One tensor in several additions, and sums that are added to each other."""
    x = torch.relu(s.a(x))
    y, z = x + s.b(x), x + s.c(x)
    return torch.relu(y + z) + x


def from_input(s, x):
    return torch.add(x, s.a(x)) + x


def in_place(s, x):
    x = s.a(x)
    y = s.b(x)
    x.relu_()  # b has read it before
    y += x
    y += s.c(y)
    return F.relu(y, inplace=True)


def rivals(s, x):
    """One addition of two averages whose own inputs have nothing to do with each other."""
    x = F.avg_pool2d(s.a(x), 3, 1, 1) + F.avg_pool2d(s.b(x) + s.c(x), (3, 1), 1, (1, 0))
    return torch.relu(x)


def doubled(s, x):
    x = s.a(x)
    return x + x


def vectors(s, x):
    x = F.relu(s.a(x)).mean((2, 3))
    x = x + x.relu()
    y = torch.relu(s.fc(x))
    return y + s.fc2(y)


ODD = {
    "twice": lambda: Net(twice, a=conv(2), b=conv(), c=conv(), d=conv(), d2=conv()),
    "pools": lambda: Net(pools, a=conv(2), a2=conv(2), b=conv(), c=conv(), act=nn.ReLU(),
                         pool=(p := nn.MaxPool2d(2)), pool2=p),
    "dense": lambda: Net(dense, a=conv(2), b=conv(), c=conv()),
    "from input": lambda: Net(from_input, a=conv(2, 2)),
    "in place": lambda: Net(in_place, a=conv(2), b=conv(), c=conv()),
    "rivals": lambda: Net(rivals, a=conv(2), b=conv(2), c=conv(2)),
    "doubled": lambda: Net(doubled, a=conv(2)),
    "vectors": lambda: Net(vectors, a=conv(2), fc=nn.Linear(4, 6), fc2=nn.Linear(6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_graphs(kind):
    torch.manual_seed(3)
    model = ODD[kind]()
    program = load(model, torch.from_numpy(IMAGES))
    for bits in (1, 2, 5, 8):
        check(quantize(program, IMAGES, Settings(8, bits)))
    close(model, quantize(program, IMAGES, FINEST))


@pytest.mark.parametrize("seed", range(6))
def test_random_residual_networks(seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    blocks = [(int(rng.choice([4, 5, 8])), int(rng.integers(1, 3))) for _ in range(2 + seed % 2)]
    images = pictures(30, 2, tuple(int(n) for n in rng.integers(9, 17, 2)), seed)
    model = lived_in(ResNet(blocks), images)
    bits = int(rng.integers(2, 17)), int(rng.integers(2, 17))
    program = load(model, torch.from_numpy(images))
    network = check(quantize(program, images, Settings(*bits)), images)
    assert sum(isinstance(node.op, Add) for node in network) == len(blocks)
    assert all(n.op.weight_bits == bits[0] for n in network if isinstance(n.op, Conv2d | Linear))
    close(model, quantize(program, images, FINEST), images)


def test_training_goes_on():
    program = quantize(PROGRAMS["resnet"], IMAGES, Settings(3, 3))
    images = torch.from_numpy(IMAGES)
    wanted = RESNET(images).detach()
    optimiser = torch.optim.Adam(program.parameters(), 2e-3)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = (program(images) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses) < 0.7 * losses[0]
    check(program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_bias_correction_restores_the_means_of_every_layer(name):
    program = copy.deepcopy(PROGRAMS[name])
    for rewrite in PASSES:
        rewrite(program)
    layers = [node for node in calls(program) if op_of(node) in WEIGHTED]
    frames = {"input": torch.from_numpy(IMAGES)}
    wanted = channel_means(program, frames, layers)
    torch.manual_seed(0)
    for layer in layers:
        weight = tensor_of(program, layer.args[1])
        put(program, str(layer.args[1].target), weight + 0.1 * torch.rand_like(weight))
    wrong = channel_means(program, frames, layers)
    correct_bias(program, frames, wanted)
    found = channel_means(program, frames, layers)
    for layer in layers:
        assert (wrong[layer] - wanted[layer]).abs().max() > 1e-3
        torch.testing.assert_close(found[layer], wanted[layer], rtol=1e-4, atol=1e-5)
