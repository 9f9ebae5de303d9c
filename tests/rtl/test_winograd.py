"""The Winograd engine's rate, foldings and limits; its values are tested with every engine's."""

import numpy as np
import pytest

from hwgen.game import Link, play
from hwgen.network import Conv2d, TensorType
from hwgen.rtl_templates import WinogradSpec
from hwgen.rtl_templates.multiply import BLOCK

LINKS = [Link(None, ("dut", "i")), Link(("dut", "o"), None)]


def conv(shape, channels, **options):
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (channels, 3, 3, shape[2]))
    options = {"padding": (1, 1, 1, 1)} | options
    return Conv2d(TensorType(shape, 8, False), weights, np.arange(channels), 8, **options)


def plain(op):
    """Foldings with a DSP block for each product."""
    return [spec for spec in WinogradSpec.foldings(op, "xcup") if spec.style == BLOCK]


@pytest.mark.parametrize(
    "shape, channels",
    [
        ((2, 2, 64), 64),
        ((4, 4, 16), 16),
        ((7, 7, 32), 32),
        ((8, 8, 16), 16),
        ((14, 14, 32), 64),
        ((28, 28, 16), 32),
    ],
)
def test_no_cycle_is_lost(shape, channels):
    """Every array that is offered works in every cycle, once a few frames have passed."""
    op = conv(shape, channels)
    specs = [s for s in plain(op) if s.multipliers >= 256]
    assert {spec.tile for spec in specs} >= {2}
    for spec in specs:
        played = play({"dut": spec.schedule()}, LINKS, 64, until_steady=True)
        assert not played.deadlock and played.period
        assert spec.ideal <= played.interval <= 1.05 * spec.ideal, spec
        tiles = -(-op.output_size[0] // spec.tile) * -(-op.output_size[1] // spec.tile)
        channels = -(-shape[2] // spec.in_lanes) * spec.in_lanes
        multiplications = len(spec.taps) * spec.out_folds * spec.out_lanes * channels * tiles
        assert spec.ideal == multiplications / spec.multipliers


def test_foldings_leave_nothing_out_that_is_faster():
    op = conv((8, 8, 16), 16)
    for tile in (2, 4):
        some = [spec for spec in plain(op) if spec.tile == tile]
        assert min(s.multipliers for s in some) == (tile + 2) ** 2
        for one in some:
            assert not any(
                o.ideal <= one.ideal
                and o.multipliers < one.multipliers
                and o.inputs[0].pixels <= one.inputs[0].pixels
                and o.outputs[0].pixels <= one.outputs[0].pixels
                for o in some
            ), one


@pytest.mark.parametrize(
    "shape, channels", [((1, 1, 1), 1), ((5, 7, 1), 2), ((4, 5, 12), 6), ((9, 3, 40), 3)]
)
def test_layers_of_few_channels_have_some_folding(shape, channels):
    op = conv(shape, channels)
    some = plain(op)
    assert {spec.tile for spec in some} == {2, 4}
    for spec in some:
        played = play({"dut": spec.schedule()}, LINKS, 64, until_steady=True)
        assert not played.deadlock
        assert played.interval == spec.schedule().steps >= spec.ideal


@pytest.mark.parametrize(
    "options",
    [{"stride": (2, 2)}, {"dilation": (2, 2)}],
)
def test_other_convolutions_have_no_foldings(options):
    op = conv((8, 8, 4), 4, **options)
    assert list(WinogradSpec.foldings(op, "ecp5")) == []
    with pytest.raises(ValueError, match=r"F\(2x2,3x3\) does not compute this convolution"):
        WinogradSpec((op,), 2, 1, 1)


@pytest.mark.parametrize(
    "folding, reason",
    [
        ((3, 1, 1), "tile must be one of"),
        ((2, 5, 1), "lanes must be 1 to 4"),
        ((2, 1, 9), "lanes must be 1 to 4"),
        ((2, 1, 1, 3), "tiles must divide the 4 tiles of a row"),
        ((2, 1, 1, 1, 4), "source_pixels must divide the 2 columns"),
        ((2, 1, 1, 1, 1, 4), "target_pixels must divide 2"),
    ],
)
def test_foldings_that_cannot_be_are_refused(folding, reason):
    with pytest.raises(ValueError, match=reason):
        WinogradSpec((conv((8, 8, 4), 4),), *folding)
