"""Each kind of layer between convolutions: averages, activations, groups, dilation, padding."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.compress import Settings, quantize
from hwgen.frontend import load
from hwgen.network import Conv2d, SumPool2d

sys.path.insert(0, str(Path(__file__).parent))
from branching import FINEST, IMAGES, Net, check, close


def pooled(layer: nn.Module | Callable) -> nn.Module:
    return Net(
        lambda s, x: s.last(layer(s.conv(x))), conv=nn.Conv2d(2, 3, 3), last=nn.Conv2d(3, 2, 1)
    )


POOLS = {
    "avg 3x3": (nn.AvgPool2d(3), (3, 3), (3, 3), (0, 0, 0, 0)),
    "avg padded": (nn.AvgPool2d((3, 2), (1, 2), (1, 0)), (3, 2), (1, 2), (1, 1, 0, 0)),
    "avg of unpadded": (
        nn.AvgPool2d(2, count_include_pad=False), (2, 2), (2, 2), (0, 0, 0, 0)),
    "avg by 5": (nn.AvgPool2d(2, divisor_override=5), (2, 2), (2, 2), (0, 0, 0, 0)),
    "pad and avg": (
        lambda x: F.avg_pool2d(F.pad(x, (0, 1, 2, 0)), 3, 1), (3, 3), (1, 1), (2, 0, 0, 1)),
    "whole map": (nn.AdaptiveAvgPool2d(1), (10, 12), (10, 12), (0, 0, 0, 0)),
    "halves": (nn.AdaptiveAvgPool2d((5, 6)), (2, 2), (2, 2), (0, 0, 0, 0)),
    "mean": (lambda x: x.mean((-1, 2), keepdim=True), (10, 12), (10, 12), (0, 0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("kind", POOLS)
def test_averages(kind):
    layer, kernel, stride, padding = POOLS[kind]
    torch.manual_seed(0)
    model = pooled(layer)
    program = load(model, torch.from_numpy(IMAGES))
    for bits in (3, 8):
        network = check(quantize(program, IMAGES, Settings(8, bits)))
        (op,) = (node.op for node in network if isinstance(node.op, SumPool2d))
        assert (op.kernel, op.stride, op.padding) == (kernel, stride, padding)
    close(model, quantize(program, IMAGES, FINEST))


def test_an_average_of_one_value_is_nothing():
    network = check(quantize(pooled(nn.AdaptiveAvgPool2d((10, 12))), IMAGES))
    assert not any(isinstance(node.op, SumPool2d) for node in network)


CLIPS = {
    "relu6": (F.relu6, 0.0, 6.0),
    "hardtanh": (nn.Hardtanh(-0.3, 0.2), -0.3, 0.2),
    "hardtanh in place": (lambda x: F.hardtanh(x, -1, 0.1, inplace=True), -1.0, 0.1),
    "clamp": (lambda x: x.clamp(0.05, 0.3), 0.05, 0.3),
    "clamp both": (lambda x: torch.clamp(x, -0.2).clamp(max=0.1), -0.2, 0.1),
    "relu of clamp": (lambda x: torch.relu(F.max_pool2d(x.clamp(max=0.25), 2)), 0.0, 0.25),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_activations_are_clips(kind):
    layer, lo, hi = CLIPS[kind]
    torch.manual_seed(0)
    model = pooled(layer)
    program = load(model, torch.from_numpy(IMAGES))
    for bits in (2, 8):
        network = check(quantize(program, IMAGES, Settings(8, bits)))
        rounding = network["conv.requantise"]
        ends = [(end - rounding.op.zero_point) * rounding.type.scale
                for end in (rounding.op.lo, rounding.op.hi)]  # fmt: skip
        slack = rounding.type.scale / 2 + 1e-9
        assert ends[0] >= lo - slack and ends[1] <= hi + slack
    close(model, quantize(program, IMAGES, FINEST))


CONVS = {
    "groups": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 8, (3, 2), stride=2, padding=1, groups=4),
    "dilated": lambda: nn.Conv2d(4, 3, (2, 3), padding=(1, 2), dilation=(3, 2)),
    "dilated same": lambda: nn.Conv2d(4, 3, (2, 3), padding="same", dilation=3),
    "zero pad": lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(4, 3, 3, padding=1)),
    "constant pad": lambda: nn.Sequential(nn.ConstantPad2d((0, 1, 0, 0), 0), nn.Conv2d(4, 3, 3)),
}


@pytest.mark.parametrize("kind", CONVS)
def test_convolutions(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Hardtanh(), CONVS[kind](), nn.ReLU())
    program = load(model, torch.from_numpy(IMAGES))
    for bits in (1, 4):
        network = check(quantize(program, IMAGES, Settings(bits, 8)))
    close(model, quantize(program, IMAGES, FINEST))
    given = [node.op for node in network if isinstance(node.op, Conv2d)][1]
    if kind == "zero pad":
        assert given.padding == (1, 4, 2, 3)
    if kind == "dilated same":
        assert given.padding == (1, 2, 3, 3) and given.dilation == (3, 3)
    if kind == "depthwise":
        assert given.groups == 4 and given.weights.shape == (8, 3, 2, 1)
