"""What an engine keeps in ROMs is what its parts list says."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil

from hwgen.network import Conv2d, Requantise, SumPool2d, TensorType, Threshold
from hwgen.primitives import Memory
from hwgen.rtl_templates import (
    ChannelwiseSpec,
    ConvSpec,
    RequantiseSpec,
    ThresholdSpec,
    VerilogTarget,
)

SUMS = TensorType((2, 2, 8), 20, True)
MANY = np.arange(1001, 1009)


def engines():
    for scales in (MANY, np.full(8, 1001)):
        op = Requantise(SUMS, scales, 18, 8, False, 0, 0, 255)
        for slopes in (None, scales // 10):
            yield RequantiseSpec((replace(op, negative=slopes),), 2)
        yield RequantiseSpec((op,), 3)  # a spare lane in the last fold
        yield RequantiseSpec((op,), 8)
    for thresholds in (MANY, np.full(8, 7), np.zeros(8, int)):
        yield ThresholdSpec((Threshold(SUMS, thresholds),), 2)
    for zero in (0, 5):
        kind = TensorType((4, 4, 8), 6, False, zero_point=zero)
        yield ChannelwiseSpec((SumPool2d(kind, (2, 2), (2, 2)),), 2)
        yield ChannelwiseSpec((SumPool2d(kind, (2, 2), (2, 2)),), 3)
        for bias in (MANY, np.full(8, 9), np.zeros(8, int)):
            weights = np.arange(32).reshape(8, 2, 2, 1) - 16
            depthwise = Conv2d(kind, weights, bias, 6, groups=8)
            yield ChannelwiseSpec((depthwise,), 2)
    dense = Conv2d(SumPool2d(kind, (1, 1), (1, 1)).input, np.ones((4, 1, 1, 8), int), MANY[:4], 4)
    yield ConvSpec((dense,), 2, 2)


@pytest.mark.parametrize("spec", list(engines()))
def test_roms_are_those_of_the_parts_list(spec):
    target = VerilogTarget("ecp5")
    rtlil.convert(spec.create("top"), name="top", platform=target, emit_src=False)
    made = sorted(len(text.split()) for name, text in target.files.items() if name.endswith("hex"))
    parts = [part for part in spec.primitives() if isinstance(part, Memory)]
    assert made == sorted(part.depth for part in parts if part.kind == "rom")
