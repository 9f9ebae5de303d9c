"""Each op against torch in float64, its fast arithmetic against the plain one, and its ranges."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hwgen.network import (
    Conv2d,
    Input,
    Leaky,
    Linear,
    MaxPool2d,
    RateCode,
    Requantise,
    TensorType,
    Threshold,
    bits_for,
    exact,
)
from hwgen.network.ops import weight_range


def draw(rng, kind: TensorType, frames: int) -> np.ndarray:
    """Random integers of a type; one frame each of its smallest and largest."""
    x = rng.integers(kind.lo, kind.hi + 1, (frames, *kind.shape), dtype=np.int32)
    x[0], x[-1] = kind.lo, kind.hi
    if kind.encoding == "bipolar":
        x = np.where(x >= 0, 1, -1).astype(np.int32)
    return x


def draw_weights(rng, shape, bits: int) -> np.ndarray:
    lo, hi = weight_range(bits)
    weights = rng.integers(lo, hi + 1, shape, dtype=np.int32)
    return np.where(weights >= 0, 1, -1).astype(np.int32) if bits == 1 else weights


def draw_conv(seed: int) -> tuple[np.random.Generator, Conv2d]:
    rng = np.random.default_rng(seed)
    bits, signed = int(rng.integers(1, 17)), bool(rng.integers(2))
    shape = tuple(int(n) for n in rng.integers((4, 4, 1), (10, 10, 6)))
    kind = TensorType(shape, bits, signed)
    zero_point = int(rng.integers(kind.lo, kind.hi + 1))
    kind = TensorType(shape, bits, signed, zero_point=zero_point)
    kernel = tuple(int(n) for n in rng.integers(1, 5, 2))
    weight_bits = int(rng.integers(1, 17))
    weights = draw_weights(rng, (int(rng.integers(1, 7)), *kernel, shape[2]), weight_bits)
    bias = rng.integers(-1000, 1000, len(weights), dtype=np.int32)
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    padding = tuple(int(n) for n in rng.integers(0, 4, 4))
    return rng, Conv2d(kind, weights, bias, weight_bits, stride, padding)


def first(x: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) integers as torch has them: (N, C, H, W), float64."""
    return torch.from_numpy(np.moveaxis(x, -1, 1).astype(np.float64))


def torch_pad(x: torch.Tensor, padding, fill: float) -> torch.Tensor:
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=fill)


@pytest.mark.parametrize("seed", range(40))
def test_conv2d_is_torchs(seed):
    rng, op = draw_conv(seed)
    x = draw(rng, op.input, 3)
    padded = torch_pad(first(x), op.padding, op.input.zero_point)
    expected = F.conv2d(
        padded, first(op.weights), torch.from_numpy(op.bias.astype(np.float64)), op.stride
    )
    y = op.compute(x)
    assert y.shape[1:] == op.output.shape
    np.testing.assert_array_equal(first(y).numpy(), expected.numpy())


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5)])
def test_linear_is_torchs(seed, shape):
    rng = np.random.default_rng(seed)
    kind = TensorType(shape, int(rng.integers(1, 17)), bool(seed % 2))
    bits = int(rng.integers(1, 17))
    weights = draw_weights(rng, (6, *shape), bits)
    op = Linear(kind, weights, rng.integers(-99, 99, 6, dtype=np.int32), bits)
    x = draw(rng, kind, 4)
    flat = torch.from_numpy(x).double().flatten(1)
    weights = torch.from_numpy(op.weights.astype(np.float64)).flatten(1)
    expected = F.linear(flat, weights, torch.from_numpy(op.bias.astype(np.float64)))
    np.testing.assert_array_equal(op.compute(x), expected.numpy())


@pytest.mark.parametrize("seed", range(20))
def test_max_pool2d_is_torchs(seed):
    rng = np.random.default_rng(seed)
    kind = TensorType((8, 9, 3), int(rng.integers(1, 17)), bool(seed % 2))
    kernel = tuple(int(n) for n in rng.integers(1, 5, 2))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    padding = tuple(int(rng.integers(0, kernel[i // 2] // 2 + 1)) for i in range(4))
    op = MaxPool2d(kind, kernel, stride, padding)
    x = draw(rng, kind, 3)
    expected = F.max_pool2d(torch_pad(first(x), padding, -np.inf), kernel, stride)
    y = op.compute(x)
    assert y.shape[1:] == op.output.shape
    np.testing.assert_array_equal(first(y).numpy(), expected.numpy())


@pytest.mark.parametrize(("shift", "m"), [(0, 1), (0, 65535), (1, 1), (16, 40503), (40, 65535)])
@pytest.mark.parametrize(
    ("bits", "signed", "zero_point"),
    [(8, False, 0), (8, True, -3), (16, False, 77), (1, False, 0)],
)
def test_requantise_is_its_formula(shift, m, bits, signed, zero_point):
    rng = np.random.default_rng(shift)
    kind = TensorType((1, 50, 2), 46, True)
    x = rng.integers(kind.lo, kind.hi, (2, 1, 50, 2)) >> rng.integers(0, 46, (2, 1, 50, 2))
    x[0, 0, 0], x[0, 0, 1] = kind.lo, kind.hi
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    multiplier = np.array([m, max(m - 1, 0)], np.int32)
    op = Requantise(kind, multiplier, shift, bits, signed, zero_point, lo, hi)
    # Python's own integers, which never overflow.
    half = 1 << shift >> 1
    expected = [
        min(max((int(v) * int(multiplier[i % 2]) + half >> shift) + zero_point, lo), hi)
        for i, v in enumerate(x.reshape(-1))
    ]
    np.testing.assert_array_equal(op.compute(x).reshape(-1), expected)
    assert not op.is_shift


def test_requantise_clips_a_relu_at_the_zero_point():
    op = Requantise(TensorType((3,), 8, True), np.ones(3, np.int32), 0, 8, False, 10, 10, 255)
    np.testing.assert_array_equal(op.compute(np.array([[-5, 0, 5]])), [[10, 10, 15]])
    assert op.is_shift


@pytest.mark.parametrize("bits", [3, 12, 24, 40])
def test_fast_arithmetic_equals_the_plain_one(bits):
    """float32, float64 and int64 in turn, at sums that use every bit of the format."""
    rng = np.random.default_rng(bits)
    kind = TensorType((64,), min(bits, 16) if bits < 24 else bits - 8, True)
    weights = rng.integers(-100, 100, (5, 64))
    bias = rng.integers(-1000, 1000, 5)
    rows = draw(rng, TensorType((64,), min(kind.bits, 30), True), 20).astype(np.int64)
    fast = exact.matmul(rows, weights, bias, kind)
    np.testing.assert_array_equal(fast, rows @ weights.T + bias)


def test_arithmetic_changes_where_a_float_would_round():
    """One below and one above what float32 holds; int64 where float64 would round too."""
    for bits in (23, 24, 25, 52, 53, 54):
        kind = TensorType((2,), bits, False)
        rows, weights = np.array([[kind.hi, 1]]), np.array([[1, 1]])
        assert exact.matmul(rows, weights, np.zeros(1, int), kind) == kind.hi + 1


def every_bit(op: Conv2d, highest: bool) -> int:
    """The largest (or smallest) sum that some input brings about, by trying each output place."""
    best = None
    height, width = op.output_size
    for k in range(len(op.weights)):
        for row in range(height):
            for column in range(width):
                x = np.full((1, *op.input.shape), op.input.zero_point, np.int64)
                for i in range(op.kernel[0]):
                    for j in range(op.kernel[1]):
                        y = row * op.stride[0] - op.padding[0] + i
                        z = column * op.stride[1] - op.padding[2] + j
                        if 0 <= y < op.input.shape[0] and 0 <= z < op.input.shape[1]:
                            up = (op.weights[k, i, j] > 0) == highest
                            x[0, y, z] = np.where(up, op.input.hi, op.input.lo)
                value = int(op.compute(x)[0, row, column, k])
                best = value if best is None else (max if highest else min)(best, value)
    return best


@pytest.mark.parametrize("seed", range(15))
def test_accumulators_are_not_a_bit_too_wide(seed):
    _, op = draw_conv(seed)
    lowest, highest = every_bit(op, False), every_bit(op, True)
    assert (op.output.bits, op.output.signed) == bits_for(lowest, highest)


def test_padding_that_hides_taps_narrows_the_accumulator():
    """On a map of one pixel, only the centre of a 3x3 kernel ever sees it."""
    weights = np.full((1, 3, 3, 1), 100, np.int32)
    op = Conv2d(TensorType((1, 1, 1), 4, False), weights, np.zeros(1, int), 8, padding=(1,) * 4)
    assert op.output.bits == (15 * 100).bit_length()


@pytest.mark.parametrize("seed", range(10))
def test_linear_accumulators_are_not_a_bit_too_wide(seed):
    rng = np.random.default_rng(seed)
    kind = TensorType((9,), int(rng.integers(1, 17)), bool(seed % 2))
    weights = draw_weights(rng, (4, 9), 5)
    op = Linear(kind, weights, rng.integers(-9, 9, 4, dtype=np.int32), 5)
    up = np.where(weights > 0, kind.hi, kind.lo)
    down = np.where(weights > 0, kind.lo, kind.hi)
    lowest, highest = op.compute(down).diagonal().min(), op.compute(up).diagonal().max()
    assert (op.output.bits, op.output.signed) == bits_for(int(lowest), int(highest))


@pytest.mark.parametrize(
    ("lo", "hi", "expected"),
    [(0, 0, (1, False)), (0, 1, (1, False)), (0, 255, (8, False)), (0, 256, (9, False)),
     (-1, 0, (1, True)), (-1, 1, (2, True)), (-128, 127, (8, True)), (-129, 0, (9, True)),
     (-1, 128, (9, True))],
)  # fmt: skip
def test_bits_for(lo, hi, expected):
    assert bits_for(lo, hi) == expected


MAP, VECTOR = TensorType((4, 4, 2), 8, False), TensorType((3,), 8, False)
SIGNS = TensorType((3,), 1, False, "bipolar")
ONES = np.ones(1, np.int32)
NONSENSE = {
    "shape must be (H, W, C) or (F,), all at least 1, not (2, 2)":
        lambda: TensorType((2, 2), 8, False),
    "bits must be 1 to 64, not 0": lambda: TensorType((2,), 0, False),
    "a bipolar tensor has 1 bit, not 2": lambda: TensorType((2,), 2, True, "bipolar"),
    "zero_point must be 0 to 255, not -1": lambda: TensorType((2,), 8, False, zero_point=-1),
    "weight_bits must be 1 to 16, not 17": lambda: Linear(VECTOR, np.ones((1, 3), int), ONES, 17),
    "weights of 2 bits must lie in [-2, 1]":
        lambda: Linear(VECTOR, np.full((1, 3), 2), ONES, 2),
    "weights of 1 bit must be -1 or +1": lambda: Linear(VECTOR, np.zeros((1, 3), int), ONES, 1),
    "bias must have shape (2,), not (1,)": lambda: Linear(VECTOR, np.ones((2, 3), int), ONES, 2),
    "weights (1, 4) do not fit an input (3,)":
        lambda: Linear(VECTOR, np.ones((1, 4), int), ONES, 2),
    "weights (1, 3, 3, 1) do not fit an input (4, 4, 2)":
        lambda: Conv2d(MAP, np.ones((1, 3, 3, 1), int), ONES, 2),
    "kernel (5, 5) is larger than the padded input":
        lambda: Conv2d(MAP, np.ones((1, 5, 5, 2), int), ONES, 2),
    "stride (0, 1) or padding (0, 0, 0, 0) is out of range":
        lambda: Conv2d(MAP, np.ones((1, 3, 3, 2), int), ONES, 2, (0, 1)),
    "pooling takes a map (H, W, C), not (3,)": lambda: MaxPool2d(VECTOR, (1, 1), (1, 1)),
    "shift must be 0 to 62, not 63":
        lambda: Requantise(VECTOR, np.ones(3, int), 63, 8, False, 0, 0, 1),
    "multipliers must lie in [0, 65535]":
        lambda: Requantise(VECTOR, np.full(3, 65536), 0, 8, False, 0, 0, 1),
    "one multiplier a channel: 3": lambda: Requantise(VECTOR, ONES, 0, 8, False, 0, 0, 1),
    "accumulators of 47 bits are too wide to requantise":
        lambda: Requantise(TensorType((1,), 47, True), ONES, 0, 8, False, 0, 0, 1),
    "[0, 256] is no range of 8-bit integers":
        lambda: Requantise(VECTOR, np.ones(3, int), 0, 8, False, 0, 0, 256),
    "frames must have shape (3,), not (4,)": lambda: Input(VECTOR).compute(np.zeros((1, 4), int)),
    "inputs must lie in [0, 255]": lambda: Input(VECTOR).compute(np.full((1, 3), 256)),
    "bipolar inputs must be -1 or +1": lambda: Input(SIGNS).compute(np.zeros((1, 3), int)),
    "a bipolar input is its own sign": lambda: Threshold(SIGNS, np.ones(3, int)),
    "bipolar inputs are no currents":
        lambda: Leaky(SIGNS, np.zeros(3, int), ONES, 3, ONES, "zero", 4, 2),
    "takes a vector of unsigned intensities, not 3 bipolar1": lambda: RateCode(SIGNS, 2),
}  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError) as error:
        NONSENSE[text]()
    assert str(error.value) == text


def test_ops_compare_hash_and_stay_as_they_are():
    def make(bias):
        return Linear(VECTOR, np.ones((1, 3), np.int32), np.array([bias]), 2)

    assert make(1) == make(1) and hash(make(1)) == hash(make(1)) and make(1) != make(2)
    assert make(1) != MaxPool2d(MAP, (1, 1), (1, 1))
    with pytest.raises(ValueError, match="read-only"):
        make(1).weights[0, 0] = 5
