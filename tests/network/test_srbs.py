"""Sub-row-balanced weights: found, encoded, read back, and refused by name."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hwgen.network import Conv2d, Linear, TensorType
from hwgen.network.srbs import (
    SubRows,
    check,
    decode,
    encode,
    entries,
    pattern_of,
    patterns,
    tap_weights,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from sub_rows import chosen


def draw(rng, taps, channels, pattern):
    """Random weights (*taps, *channels) of ``pattern``, some of the kept ones zero."""
    kept = chosen(rng, (*taps, *channels), pattern)
    return np.where(kept, rng.integers(-7, 8, kept.shape), 0)


@pytest.mark.parametrize("channels", [(5, 16), (3, 40), (4, 7), (2, 33)])
@pytest.mark.parametrize("pattern", [SubRows(4, 1), SubRows(8, 3), SubRows(16, 16)])
def test_there_and_back(channels, pattern):
    rng = np.random.default_rng(sum(channels))
    weights = draw(rng, (4, 3), channels, pattern)
    places, values = encode(weights, pattern)
    assert (
        places.shape
        == values.shape
        == (4, 3, channels[0], -(-channels[1] // pattern.length), pattern.kept)
    )
    assert places.max() < 1 << pattern.index_bits
    used = values != 0
    assert not places[~used].any()
    assert (used[..., :-1] >= used[..., 1:]).all(), "slots that are left over come last"
    assert (np.diff(np.where(used, places, 99), axis=-1)[used[..., 1:]] > 0).all()
    assert np.array_equal(decode(places, values, pattern, channels[1]), weights)


def test_the_least_pattern_is_found():
    rng = np.random.default_rng(0)
    weights = draw(rng, (4, 4), (8, 32), SubRows(16, 3))
    weights[0, 0, 0, :3] = 1
    weights[0, 0, 0, 3:16] = 0
    found = {pattern.length: pattern.kept for pattern in patterns(weights)}
    assert found[16] == 3 and found[32] <= 6
    for length, kept in found.items():
        check(weights, SubRows(length, kept))
        if kept > 1:
            with pytest.raises(ValueError):
                check(weights, SubRows(length, kept - 1))
    assert patterns(np.ones((1, 1, 2, 32))) == ()
    assert patterns(np.zeros((1, 1, 2, 3))) == ()
    assert patterns(np.zeros((1, 1, 2, 4))) == (SubRows(4, 1),)


def test_the_first_sub_row_that_keeps_too_many_is_named():
    weights = np.zeros((4, 4, 8, 32), int)
    weights[2, 1, 5, 16:20] = 1
    weights[3, 0, 0, :9] = 1
    place = r"tap \(2, 1\), output channel 5, sub-row 1 \(input channels 16 to 31\)"
    with pytest.raises(ValueError, match=rf"{place} has 4 .* SRBS\(16, 3\) allows 3 of 16"):
        encode(weights, SubRows(16, 3))


def test_encodings_that_are_wrong_are_refused():
    pattern = SubRows(4, 2)
    places, values = encode(draw(np.random.default_rng(1), (1, 2), (3, 6), pattern), pattern)
    for at, new, reason in (
        ((0, 1, 2, 0, 1), 0, "do not ascend"),
        ((0, 1, 2, 0, 1), 4, "outside"),
        ((0, 1, 2, 1, 1), 3, "outside"),
    ):
        wrong, full = places.copy(), values.copy()
        wrong[at], full[at] = new, 1
        full[*at[:4], 0] = 1
        with pytest.raises(ValueError, match=rf"tap \(0, 1\), output channel 2.*{reason}"):
            decode(wrong, full, pattern, 6)


@pytest.mark.parametrize("length, kept", [(12, 3), (1, 1), (16, 0), (16, 17)])
def test_patterns_that_cannot_be_are_refused(length, kept):
    with pytest.raises(ValueError):
        SubRows(length, kept)


def test_taps_of_ops():
    rng = np.random.default_rng(2)
    weights = rng.integers(-7, 8, (3, 2, 5, 8))
    conv = Conv2d(TensorType((6, 6, 8), 8, False), weights, np.zeros(3, int), 4)
    assert np.array_equal(tap_weights(conv)[1, 4, 2], weights[2, 1, 4])
    dense = Linear(TensorType((2, 5, 8), 8, False), weights, np.zeros(3, int), 4)
    assert np.array_equal(tap_weights(dense)[0, 0, 2, 8:16], weights[2, 0, 1])
    grouped = Conv2d(TensorType((6, 6, 24), 8, False), weights, np.zeros(3, int), 4, groups=3)
    with pytest.raises(ValueError, match="3 groups"):
        tap_weights(grouped)


def test_the_pattern_that_leaves_out_most_is_taken():
    rng = np.random.default_rng(3)
    weights = draw(rng, (1, 1), (4, 64), SubRows(16, 4)).reshape(4, 64)
    weights[0, :16] = [5] * 4 + [0] * 12
    op = Linear(TensorType((64,), 8, False), weights, np.zeros(4, int), 4)
    assert pattern_of(op) == SubRows(16, 4) and pattern_of(op) is pattern_of(op)
    assert entries(op, SubRows(16, 4))[0].shape == (1, 1, 4, 4, 4)
    full = Linear(op.input, np.ones((4, 64), int), np.zeros(4, int), 4)
    assert pattern_of(full) is None
