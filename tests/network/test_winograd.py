"""Winograd's transforms in integers: identities, and the same integers as direct convolution."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.network import Conv2d, TensorType
from hwgen.network.domain import Domain, wrap
from hwgen.network.ops import weight_range
from hwgen.network.winograd import TILES, lossless, obstacle


def draw(rng, bits, shape=None, channels=None, **options):
    """A random 3 x 3 convolution of ``bits`` bits; weights often extreme."""
    shape = shape or tuple(int(n) for n in rng.integers((1, 1, 1), (12, 12, 7)))
    padding = options.pop("padding", None) or tuple(int(n) for n in rng.integers(1, 4, 4))
    kind = TensorType(shape, bits, bool(rng.integers(2)))
    kind = replace(kind, zero_point=int(rng.integers(kind.lo, kind.hi + 1)))
    lo, hi = weight_range(options.pop("weight_bits", bits))
    wanted = (channels or int(rng.integers(1, 6)), 3, 3, shape[2])
    weights = rng.integers(lo, hi + 1, wanted)
    weights = np.where(rng.random(wanted) < 0.4, rng.choice([lo, hi], wanted), weights)
    weights = np.where(weights == 0, 1, weights) if hi == 1 else weights
    weight_bits = 1 if hi == 1 and lo == -1 else (hi + 1).bit_length()
    return Conv2d(
        kind, weights, rng.integers(-999, 999, wanted[0]), weight_bits, padding=padding, **options
    )


def frames(rng, kind, count=4):
    x = rng.integers(kind.lo, kind.hi + 1, (count, *kind.shape))
    x[0], x[1] = kind.lo, kind.hi
    x[2] = rng.choice([kind.lo, kind.hi], kind.shape)
    return x


@pytest.mark.parametrize("m", TILES)
def test_the_matrices_are_a_convolution(m):
    """The bilinear identity, on all products of unit vectors: so it holds for all numbers."""
    tile = TILES[m]
    b, g, a = (np.array(rows) for rows in (tile.inputs, tile.weights, tile.exact))
    y = np.einsum("oi,ia,ib->oab", a, g, b)  # outputs, taps of the kernel, places of the input
    expected = np.zeros_like(y)
    for out, tap in np.ndindex(m, 3):
        expected[out, tap, out + tap] = tile.divisor
    assert (y == expected).all()
    assert (a == np.array(tile.outputs) * scales_of(tile)).all()


def scales_of(tile):
    """S over the denominator of each row of G, which is the factor of each column of A."""
    return {2: [2, 1, 1, 2], 4: [6, 4, 4, 1, 1, 24]}[tile.m]


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("bits", range(1, 9))
def test_lossless_is_direct_convolution(m, bits):
    rng = np.random.default_rng(100 * m + bits)
    for padding in ((0, 0, 0, 0), (1, 1, 1, 1), None, None):
        least = 3 if padding == (0, 0, 0, 0) else 1
        shape = tuple(int(n) for n in rng.integers((least, least, 1), (13, 13, 9)))
        op = draw(rng, bits, shape, padding=padding)
        x = frames(rng, op.input)
        assert (lossless(op, m).compute(x) == op.compute(x)).all()


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("weight_bits", [1, 3, 16])
def test_weights_and_activations_may_differ_in_width(m, weight_bits):
    rng = np.random.default_rng(weight_bits)
    op = draw(rng, 16 if weight_bits == 16 else 8, (5, 6, 3), weight_bits=weight_bits)
    x = frames(rng, op.input)
    assert (lossless(op, m).compute(x) == op.compute(x)).all()


@pytest.mark.parametrize("m", TILES)
def test_sums_need_every_bit(m):
    """One bit less in the sums, and some input comes out wrong."""
    kind = TensorType((6, 6, 4), 8, False)
    weights = np.full((1, 3, 3, 4), 127)
    op = Conv2d(kind, weights, np.zeros(1, int), 8)
    domain = lossless(op, m)
    x = np.random.default_rng(1).integers(0, 256, (9, 6, 6, 4))
    x[0] = 255
    assert (domain.compute(x) == op.compute(x)).all()

    class Short(Domain):
        modulus = domain.modulus - 1

    fields = {name: getattr(domain, name) for name in domain.__dataclass_fields__}
    assert (Short(**fields).compute(x) != op.compute(x)).any()


@pytest.mark.parametrize("m", TILES)
def test_bounds_are_reached(m):
    """Transformed inputs fill their range, and sums of a tap theirs."""
    rng = np.random.default_rng(3)
    op = draw(rng, 4, (m + 2, m + 2, 2), 2, padding=(0, 0, 0, 0))
    op = replace(op, padding=(0, 0, 0, 0))
    domain = lossless(op, m)
    taps = np.einsum("ia,jb->ijab", *[np.array(domain.down.inputs)] * 2)
    for tap in np.ndindex(domain.size):
        signs = taps[tap][..., None] * np.ones(2, int)
        for end, extreme in enumerate(
            (
                np.where(signs > 0, op.input.lo, op.input.hi),
                np.where(signs > 0, op.input.hi, op.input.lo),
            )
        ):
            assert (domain.transform(extreme[None])[tap] == domain.limits[tap][end]).all()


def test_wrap():
    x = np.arange(-40, 40)
    for bits in (1, 3, 5):
        for signed in (False, True):
            lo = -(1 << (bits - 1)) if signed else 0
            assert (wrap(x, bits, signed) == (x - lo) % (1 << bits) + lo).all()


def test_obstacles_are_named():
    rng = np.random.default_rng(0)
    op = draw(rng, 4, (9, 9, 4), 4)
    assert obstacle(op) is None
    assert "stride is (2, 1)" in str(obstacle(replace(op, stride=(2, 1))))
    assert "dilation is (1, 2)" in str(obstacle(replace(op, dilation=(1, 2))))
    grouped = replace(op, weights=op.weights[..., :2], groups=2)
    assert "2 groups" in str(obstacle(grouped))
    narrow = replace(op, weights=op.weights[:, :1])
    assert "kernel is 1 x 3" in str(obstacle(narrow))
    with pytest.raises(ValueError, match="kernel is 1 x 3, not 3 x 3"):
        lossless(narrow, 2)
