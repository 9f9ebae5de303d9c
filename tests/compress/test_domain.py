"""Convolutions moved into Winograd's domain: what they compute, how they train, what cannot."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.compress import Recipe, Settings, quantize, to_winograd, train
from hwgen.compress.learned import Learned
from hwgen.errors import UserError
from hwgen.frontend import read
from hwgen.network import WinogradConv2d
from hwgen.nn import winograd

sys.path.insert(0, str(Path(__file__).parent))
from branching import IMAGES, ResNet, check, lived_in

torch.manual_seed(0)
MODEL = lived_in(ResNet([(4, 1), (6, 2), (6, 1)]), IMAGES)
STRIDED = "layer1.1.conv1"


@pytest.fixture(scope="module")
def program():
    return quantize(MODEL, IMAGES)


@pytest.mark.parametrize("tile", [2, 4])
def test_moved_networks_compute_nearly_the_same(program, tile):
    moved = to_winograd(program, tile)
    network = check(moved)
    kinds = {node.name: node.op for node in network if isinstance(node.op, WinogradConv2d)}
    wanted = {f"layer1.{n}.conv{m}" for n in range(3) for m in (1, 2)} | {"conv1"}
    assert set(kinds) == wanted - {STRIDED}
    assert {op.tile for op in kinds.values()} == {tile}
    # Scales of their own for each output channel.
    assert len(set(np.ravel(network["conv1"].type.scale))) > 1
    x = torch.from_numpy(IMAGES)
    with torch.no_grad():
        away = (moved(x) - program(x)).abs().max() / program(x).std()
        assert away < 0.2
        torch.testing.assert_close(Learned(moved)(x), moved(x), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(node.op, WinogradConv2d) for node in read(program))


@pytest.mark.parametrize("tile", [2, 4])
def test_they_train(program, tile):
    moved = to_winograd(program, tile, ["layer1.0.conv2", "layer1.2.conv1"])
    labels = np.arange(len(IMAGES)) % 5
    trained = train(moved, IMAGES, labels, Recipe(epochs=3, batch=10, step_lr=0.05, peak_lr=3e-3))
    network = check(trained)
    assert sum(isinstance(node.op, WinogradConv2d) for node in network) == 2
    before, after = (p.state_dict()["layer1.0.conv2.weight_scale"] for p in (moved, trained))
    assert not torch.allclose(before, after, rtol=1e-3)
    # A power of two a tap, one scale a channel: both survive.
    powers = torch.log2(after / after.amin(0))
    torch.testing.assert_close(powers, powers.round(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("few", [0, 1 << 30])
@pytest.mark.parametrize("tile", [2, 4])
def test_ways_to_train_are_the_same_function(monkeypatch, tile, few):
    """Both ways, of what the op computes for inputs on its grid, and their gradients."""
    monkeypatch.setattr(winograd, "FEW", few)
    draw = torch.Generator().manual_seed(2)
    x = torch.randint(-9, 9, (2, 3, 7, 6), generator=draw).double() / 8
    u = torch.randn((tile + 2) ** 2, 4, 3, generator=draw).double()
    b = torch.randn(4, generator=draw).double()
    found = []
    for way in (
        lambda *given: winograd.exact_winograd_conv2d(*given, tile, (1, 0, 1, 2)),
        lambda *given: winograd.winograd_conv2d(*given, 1 / 8, [0] * len(u), tile, (1, 0, 1, 2), 0),
    ):
        given = [one.clone().requires_grad_() for one in (x, u, b)]
        y = way(*given)
        found.append([y, *torch.autograd.grad(y.square().sum(), given)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_mistakes_name_the_layers(program):
    with pytest.raises(UserError) as raised:
        to_winograd(program, 2, [STRIDED, "fc", "conv2"])
    assert [str(problem).split(";")[0] for problem in raised.value.problems] == [
        "there is no layer with weights named 'conv2'",
        "layer1.1.conv1: has a stride of (2, 2), not 1",
        "fc: is no 3 x 3 convolution",
    ]
    with pytest.raises(UserError, match="there is no tile 3; use 2 or 4"):
        to_winograd(program, 3)
    with pytest.raises(UserError, match=r"is not quantised; call hwgen\.compress\.quantize first"):
        to_winograd(MODEL)
    signs = quantize(MODEL, IMAGES, Settings(weights={"layer1.0.conv1": 1}))
    with pytest.raises(UserError, match=r"layer1\.0\.conv1: has weights of one bit"):
        to_winograd(signs, 2, ["layer1.0.conv1"])


def test_a_channel_of_zeros_has_a_scale():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3))
    with torch.no_grad():
        model[0].weight[1] = 0
        model[2].weight[:, 1] = 0
    check(to_winograd(quantize(model.eval(), IMAGES)))
