"""Weights in Winograd's domain: what the op means, and how wide its sums are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hwgen.network import Conv2d, Input, Network, Node, TensorType, WinogradConv2d
from hwgen.network.store import from_bytes, to_bytes
from hwgen.network.winograd import TILES, lossless


def draw(rng, m, shape=(7, 9, 3), channels=4, bits=6, **options):
    """A random convolution with weights in the domain of F(m x m, 3 x 3)."""
    t = m + 2
    signed = bool(rng.integers(2))
    kind = TensorType(shape, 5, signed, zero_point=int(rng.integers(0, 16)))
    top = (1 << (bits - 1)) - 1
    weights = rng.integers(-top, top + 1, (t, t, channels, shape[2]))
    rounded = options.get("transform_bits", 0)
    shifts = rng.integers(0, 4, (t, t)) if rounded else np.zeros((t, t), int)
    fields = {"padding": (1, 1, 1, 1)} | options
    bias = rng.integers(-99, 99, channels)
    align = rng.integers(0, 4, (t, t))
    return WinogradConv2d(kind, weights, bias, bits, m, align, shifts, **fields)


def frames(rng, kind, count=4):
    x = rng.integers(kind.lo, kind.hi + 1, (count, *kind.shape))
    x[0], x[1] = kind.lo, kind.hi
    return x


def in_float(op, x):
    """The same by torch in float64, a tap at a time."""
    tile, m = TILES[op.tile], op.tile
    t = m + 2
    b, a = (torch.tensor(rows, dtype=torch.float64) for rows in (tile.inputs, tile.outputs))
    top, bottom, left, right = op.padding
    height, width = op.output_size
    real = torch.from_numpy(np.moveaxis(x, -1, 1).astype(float) - op.input.zero_point)
    more = -height % m, -width % m
    real = F.pad(real, (left, right + more[1], top, bottom + more[0]))
    tiles = real.unfold(2, t, m).unfold(3, t, m)
    v = b @ tiles @ b.T
    if op.transform_bits:
        scale = torch.from_numpy(2.0**op.shifts)
        half = 1 << (op.transform_bits - 1)
        v = torch.floor(v / scale + 0.5).clamp(-half, half - 1)
    u = torch.from_numpy(op.weights * 2.0 ** op.align[..., None, None])
    products = torch.einsum("pqkc,ncyxpq->nkyxpq", u, v)
    y = (a @ products @ a.T).permute(0, 2, 4, 3, 5, 1)
    y = y.reshape(len(x), (height + more[0]), (width + more[1]), -1)[:, :height, :width]
    return (y + torch.from_numpy(op.bias.astype(float))).numpy()


@pytest.mark.parametrize("transform_bits", [0, 4, 8])
@pytest.mark.parametrize("m", TILES)
def test_it_is_the_formula(m, transform_bits):
    rng = np.random.default_rng(10 * m + transform_bits)
    for padding in ((1, 1, 1, 1), (0, 0, 0, 0), (0, 2, 1, 0)):
        op = draw(rng, m, transform_bits=transform_bits, padding=padding)
        x = frames(rng, op.input)
        assert (op.compute(x) == in_float(op, x)).all()


def test_it_stands_for_convolution():
    """With the transform of a kernel as its weights it is that convolution, four times over."""
    rng = np.random.default_rng(3)
    kind = TensorType((6, 5, 3), 8, False, zero_point=7)
    weights, bias = rng.integers(-127, 128, (4, 3, 3, 3)), rng.integers(-99, 99, 4)
    direct = Conv2d(kind, weights, bias, 8, padding=(1, 1, 1, 1))
    zeros = np.zeros((4, 4), int)
    ones = np.array([1, 0, 0, 1])
    op = WinogradConv2d(
        kind, lossless(direct, 2).weights, 4 * bias, 12, 2, ones[:, None] + ones, zeros, 0, (1,) * 4
    )
    x = frames(rng, kind)
    less = replace(direct, bias=bias - 7 * weights.sum((1, 2, 3)))
    assert (op.compute(x) == 4 * less.compute(x)).all()
    assert op.macs == direct.macs


@pytest.mark.parametrize("m", TILES)
def test_exact_sums_are_no_bit_too_wide(m):
    """Inputs that lie where a factor's sign asks for it reach both ends."""
    rng = np.random.default_rng(m)
    for shape in ((m + 2, m + 2, 2), (2 * m + 3, m, 1), (1, 1, 2)):
        op = draw(rng, m, shape, 2)
        kind = op.input
        found = []
        base = op.compute(np.full((1, *shape), kind.zero_point))
        steps = []  # what each input, one more than the zero point, adds to each result
        for place in np.ndindex(*shape):
            x = np.full((1, *shape), kind.zero_point)
            x[0][place] += 1 if kind.zero_point < kind.hi else -1
            sign = 1 if kind.zero_point < kind.hi else -1
            steps.append(sign * (op.compute(x) - base)[0].ravel())
        for column in np.array(steps).T:
            for sign in (1, -1):
                best = np.where(sign * column > 0, kind.hi, kind.lo).reshape(1, *shape)
                found.append(op.compute(best))
        lo, hi = min(y.min() for y in found), max(y.max() for y in found)
        narrower = op.output.bits - 1
        reach = (
            (-(1 << (narrower - 1)), (1 << (narrower - 1)) - 1)
            if op.output.signed
            else (0, (1 << narrower) - 1)
        )
        assert op.output.lo <= lo and hi <= op.output.hi
        assert lo < reach[0] or hi > reach[1]


def test_it_is_stored():
    op = draw(np.random.default_rng(5), 2, transform_bits=6)
    kind = op.input
    network = Network(
        (Node("x", Input(kind), (), kind), Node("conv", op, ("x",), op.output)), ("conv",)
    )
    assert from_bytes(*to_bytes(network)) == network


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"tile": 3}, "tile must be one of"),
        ({"weight_bits": 5}, "weights of 5 bits must lie in"),
        ({"weight_bits": 1}, "weight_bits must be 2 to 16"),
        ({"align": np.full((4, 4), -1)}, "align must be"),
        ({"shifts": np.ones((4, 4), int)}, "exact transforms have no shifts"),
        ({"transform_bits": 17}, "transform_bits must be 0 or 2 to 16"),
        ({"bias": np.zeros(3, int)}, "bias must have shape"),
        ({"input": TensorType((7, 9, 3), 1, False, "bipolar")}, "a bipolar input is single bits"),
        ({"weights": np.zeros((6, 6, 4, 3), int)}, "weights must be"),
    ],
)
def test_nonsense_is_refused(change, reason):
    op = draw(np.random.default_rng(6), 2)
    with pytest.raises(ValueError, match=reason):
        replace(op, **change)
