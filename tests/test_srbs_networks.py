"""The networks that ``benchmarks.srbs_networks`` measures are what they are called."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwgen.network import Conv2d, Linear, WinogradConv2d
from hwgen.network.srbs import SubRows, pattern_of

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))


@pytest.fixture
def builders(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    from benchmarks import srbs_builders

    return srbs_builders


def test_resnet18_has_its_layers_and_the_pattern(builders):
    weights = builders.Weights(SubRows(16, 4), True)
    net = builders.resnet18(weights, FRAMES, width=32, classes=10)
    ops = {node.name: node.op for node in net}
    layers = {name: op for name, op in ops.items() if isinstance(op, Conv2d | WinogradConv2d)}
    assert len(layers) == 20 and [n for n in layers if "downsample" in n] == [
        f"layer{k}.0.downsample" for k in (2, 3, 4)
    ]
    assert sum(isinstance(op, WinogradConv2d) for op in layers.values()) == 3 * 3
    shrinking = {n: op for n, op in layers.items() if getattr(op, "stride", (1, 1)) == (2, 2)}
    assert {name: op.output_size for name, op in shrinking.items()} == {
        "conv1": (16, 16),
        **{f"layer2.0.{name}": (4, 4) for name in ("conv1", "downsample")},
        **{f"layer3.0.{name}": (2, 2) for name in ("conv1", "downsample")},
        **{f"layer4.0.{name}": (1, 1) for name in ("conv1", "downsample")},
    }
    (fc,) = (op for op in ops.values() if isinstance(op, Linear))
    for op in [fc, *layers.values()]:
        assert pattern_of(op) == (SubRows(16, 4) if op.input.channels >= 64 else None)


def test_dense_resnet18_computes_what_torch_does(builders):
    """Outside of Winograd's domain, and with roundings of its own: sum by sum."""
    net = builders.resnet18(builders.Weights(None, False), FRAMES, width=8, classes=10)
    tensors = net.trace(FRAMES)
    for node in net:
        if isinstance(node.op, Conv2d):
            x, w = (
                torch.from_numpy(np.moveaxis(a, 3, 1).astype(float))
                for a in (tensors[node.inputs[0]], node.op.weights)
            )
            bias = torch.from_numpy(node.op.bias.astype(float))
            made = functional.conv2d(x, w, bias, node.op.stride, node.op.padding[0])
            assert np.array_equal(made.numpy(), np.moveaxis(tensors[node.name], 3, 1))
        elif node.name.endswith("requantise"):
            assert tensors[node.name].max() > 60, "activations fill half of their range"
