"""The sparse array's rate, foldings and limits; its values are tested with every engine's."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hwgen.game import Link, play
from hwgen.network import Conv2d, Linear, TensorType, WinogradConv2d
from hwgen.network.srbs import SubRows
from hwgen.rtl_templates import SparseSpec
from hwgen.rtl_templates.memory import words_of
from hwgen.rtl_templates.multiply import BLOCK, Style

sys.path.insert(0, str(Path(__file__).parents[1]))
from sub_rows import chosen

LINKS = [Link(None, ("dut", "i")), Link(("dut", "o"), None)]
SAME = (1, 1, 1, 1)


def pruned(shape, pattern, most=7):
    rng = np.random.default_rng(0)
    return np.where(chosen(rng, shape, pattern), rng.integers(1, most + 1, shape), 0)


def winograd(shape, channels, pattern, tile=2, bits=(8, 4)):
    t = tile + 2
    zeros = np.zeros((t, t), int)
    weights = pruned((t, t, channels, shape[2]), pattern)
    kind = TensorType(shape, bits[0], False)
    bias = np.zeros(channels, int)
    return WinogradConv2d(kind, weights, bias, bits[1], tile, zeros, zeros, 0, SAME)


def direct(shape, channels, pattern, **options):
    weights = pruned((channels, 3, 3, shape[2]), pattern)
    return Conv2d(TensorType(shape, 8, False), weights, np.arange(channels), 4, padding=SAME)


def plain(op):
    """Foldings with a DSP block for each product."""
    return [spec for spec in SparseSpec.foldings(op, "xcup") if spec.style == BLOCK]


@pytest.mark.parametrize(
    "make, shape, channels, pattern",
    [
        (winograd, (2, 2, 64), 64, SubRows(16, 3)),
        (winograd, (7, 7, 64), 64, SubRows(16, 4)),
        (winograd, (8, 8, 64), 32, SubRows(8, 2)),
        (winograd, (28, 28, 32), 64, SubRows(16, 4)),
        (direct, (7, 7, 64), 64, SubRows(16, 4)),
        (direct, (14, 14, 32), 64, SubRows(16, 3)),
    ],
)
def test_no_cycle_is_lost(make, shape, channels, pattern):
    """Large arrays that are offered work in every cycle, once a few frames have passed."""
    op = make(shape, channels, pattern)
    specs = [spec for spec in plain(op) if spec.multipliers >= 144]
    assert specs
    for spec in specs:
        played = play({"dut": spec.schedule()}, LINKS, 64, until_steady=True)
        assert not played.deadlock and played.period
        assert played.interval == spec.schedule().steps, spec
        if spec.source_pixels > 1 or spec.multipliers >= 256:  # or it is to suit its neighbours
            assert spec.ideal <= played.interval <= 1.05 * spec.ideal, spec
        tiles = -(-shape[0] // spec.tile) * -(-shape[1] // spec.tile)
        rows = len(spec.taps) * spec.out_folds * spec.out_lanes
        products = rows * pattern.count(shape[2]) * pattern.kept * tiles
        assert spec.ideal == products / spec.multipliers


def test_weights_are_stored_without_pointers():
    """A slot for each kept weight: an index and a value of fixed length."""
    pattern = SubRows(16, 3)
    op = winograd((4, 4, 32), 6, pattern)
    spec = SparseSpec((op,), pattern, 2, 3)
    fields = list(spec.weight_fields())
    assert len(fields) == 2 * 16 and all(field.shape == (2 * 3, 6) for field, _ in fields)
    assert {bits for _, bits in fields[0::2]} == {4}
    width = sum(field.shape[1] * bits for field, bits in fields)
    words = [words_of(field, bits) for field, bits in fields]
    assert len(words[0]) * width == 16 * 6 * 2 * 3 * (4 + 4)


def test_two_tiles_share_a_block():
    op = winograd((8, 8, 32), 16, SubRows(16, 4), bits=(7, 6))
    single = next(spec for spec in plain(op) if spec.tiles == 2)
    shared = [s for s in SparseSpec.foldings(op, "xcup") if s.style == Style(pixels=2)]
    assert shared
    for spec in shared:
        assert spec.blocks("xcup") == spec.multipliers / 2
    assert single.blocks("xcup") == single.multipliers


def test_dense_and_grouped_layers_have_no_foldings():
    rng = np.random.default_rng(1)
    kind = TensorType((8, 8, 8), 8, False)
    dense = Conv2d(kind, rng.integers(1, 8, (4, 3, 3, 8)), np.zeros(4, int), 4)
    grouped = Conv2d(kind, np.zeros((4, 3, 3, 4), int), np.zeros(4, int), 4, groups=2)
    vector = Linear(TensorType((3,), 8, False), np.zeros((4, 3), int), np.zeros(4, int), 4)
    for op in (dense, grouped, vector):
        assert list(SparseSpec.foldings(op, "ecp5")) == []


@pytest.mark.parametrize(
    "folding, reason",
    [
        ((SubRows(16, 3), 3, 1), "banks must divide the 2 sub-rows"),
        ((SubRows(16, 3), 1, 1, 3), "stream_lanes must divide the sub-rows of 16"),
        ((SubRows(16, 3), 1, 9), "lanes must be 1 to 4"),
        ((SubRows(16, 3), 1, 1, 1, 3), "tiles must divide the 4 tiles of a row"),
        ((SubRows(16, 2), 1, 1), r"tap \(0, 0\), output channel 0, sub-row 0 .* has 3 weights"),
    ],
)
def test_foldings_that_cannot_be_are_refused(folding, reason):
    with pytest.raises(ValueError, match=reason):
        SparseSpec((winograd((8, 8, 32), 4, SubRows(16, 3)),), *folding)
