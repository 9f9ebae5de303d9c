"""Sums of windows, additions, and convolutions in groups, against torch; and their ranges."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hwgen.network import Add, Conv2d, SumPool2d, TensorType, bits_for

sys.path.insert(0, str(Path(__file__).parent))
from arrays import draw, draw_type, first


@pytest.mark.parametrize("seed", range(30))
def test_sum_pool2d_is_torchs_average_times_its_taps(seed):
    rng = np.random.default_rng(seed)
    kind = draw_type(rng, tuple(int(n) for n in rng.integers((4, 4, 1), (10, 10, 5))))
    kernel = tuple(int(n) for n in rng.integers(1, 5, 2))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    top, bottom, left, right = padding = tuple(int(n) for n in rng.integers(0, 3, 4))
    op, x = SumPool2d(kind, kernel, stride, padding), draw(rng, kind)
    padded = F.pad(first(x) - kind.zero_point, (left, right, top, bottom))
    expected = F.avg_pool2d(padded, kernel, stride, divisor_override=1)
    y = op.compute(x)
    assert y.shape[1:] == op.output.shape
    np.testing.assert_array_equal(first(y).numpy(), expected.numpy())
    assert y.min() >= op.output.lo and y.max() <= op.output.hi


@pytest.mark.parametrize("seed", range(10))
def test_sums_of_windows_are_not_a_bit_too_wide(seed):
    rng = np.random.default_rng(seed)
    kind = draw_type(rng, (7, 6, 2))
    op = SumPool2d(kind, (3, 2), (2, 2), (1, 0, 0, 1))
    y = op.compute(draw(rng, kind))
    assert (op.output.bits, op.output.signed) == bits_for(int(y.min()), int(y.max()))


@pytest.mark.parametrize("shape", [(5,), (3, 4, 2)])
@pytest.mark.parametrize("seed", range(10))
def test_add_is_exact_and_not_a_bit_too_wide(shape, seed):
    rng = np.random.default_rng(seed)
    a, b = draw_type(rng, shape), draw_type(rng, shape)
    factors = (int(2 ** rng.uniform(0, 24)), int(rng.integers(1, 300)))[:: 1 if seed % 2 else -1]
    op, x, y = Add(a, b, factors), draw(rng, a), draw(rng, b)
    total = op.compute(x, y)
    expected = (x - float(a.zero_point)) * factors[0]
    expected += (y - float(b.zero_point)) * factors[1]
    np.testing.assert_array_equal(total, expected)
    assert (op.output.bits, op.output.signed) == bits_for(int(total[0].min()), int(total[-1].max()))


def draw_conv(seed: int) -> tuple[np.random.Generator, Conv2d]:
    rng = np.random.default_rng(seed)
    groups, share, out = (int(n) for n in rng.integers(1, 4, 3))
    kind = draw_type(rng, (*(int(n) for n in rng.integers(8, 12, 2)), groups * share))
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    weights = rng.integers(-128, 128, (groups * out, *kernel, share), dtype=np.int32)
    bias = rng.integers(-1000, 1000, len(weights), dtype=np.int32)
    stride, dilation = (tuple(int(n) for n in rng.integers(1, 4, 2)) for _ in range(2))
    padding = tuple(int(n) for n in rng.integers(0, 4, 4))
    return rng, Conv2d(kind, weights, bias, 8, stride, padding, dilation, groups)


@pytest.mark.parametrize("seed", range(30))
def test_grouped_and_dilated_convolution_is_torchs(seed):
    rng, op = draw_conv(seed)
    top, bottom, left, right = op.padding
    x = draw(rng, op.input)
    y = op.compute(x)
    expected = F.conv2d(
        F.pad(first(x), (left, right, top, bottom), value=op.input.zero_point),
        first(op.weights),
        torch.from_numpy(op.bias.astype(np.float64)),
        op.stride,
        dilation=op.dilation,
        groups=op.groups,
    )
    assert y.shape[1:] == op.output.shape
    np.testing.assert_array_equal(first(y).numpy(), expected.numpy())
    assert y.min() >= op.output.lo and y.max() <= op.output.hi


MAP = TensorType((4, 4, 4), 8, False)
NONSENSE = {
    "cannot add (4,) to (4, 4, 4)": lambda: Add(MAP, TensorType((4,), 8, False)),
    "factors must be 1 to 2^24, not (0, 1)": lambda: Add(MAP, MAP, (0, 1)),
    "factors must be 1 to 2^24, not (1, 16777217)": lambda: Add(MAP, MAP, (1, (1 << 24) + 1)),
    "pooling takes a map (H, W, C), not (4,)":
        lambda: SumPool2d(TensorType((4,), 8, False), (1, 1), (1, 1)),
    "kernel (5, 1) is larger than the padded input": lambda: SumPool2d(MAP, (5, 1), (1, 1)),
    "2 groups do not divide 3 channels":
        lambda: Conv2d(MAP, np.ones((3, 1, 1, 2), int), np.ones(3, int), 8, groups=2),
    "weights (4, 1, 1, 4) do not fit an input (4, 4, 4)":
        lambda: Conv2d(MAP, np.ones((4, 1, 1, 4), int), np.ones(4, int), 8, groups=2),
}  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError) as error:
        NONSENSE[text]()
    assert str(error.value) == text


def test_sums_are_no_wider_than_the_taps_that_any_window_sees():
    pool = SumPool2d(TensorType((3, 3, 1), 4, False), (3, 3), (4, 4), (2, 2, 2, 2))
    # Both windows down, and both across, see one row or column of the map only.
    assert pool.output.shape == (2, 2, 1)
    assert pool.output.bits == 4
    assert pool.compute(np.full((1, 3, 3, 1), 15)).max() == 15
