"""The ops of the integer network, each with its exact meaning.

An op is a frozen value. ``op.compute(x)`` is *the* golden model: NumPy integers in, integers out,
exact for every input within ``op.input``. ``op.output`` is the type of the result, whose width is
derived from the input's range and the op's own weights: sound, and not one bit too wide.

Arrays are ``(N, H, W, C)`` or ``(N, F)``. Weights are ``(K, kh, kw, C)``, output channel first.
"""

from functools import cached_property
from math import prod
from typing import ClassVar, Protocol

import numpy as np

from hwgen.network import exact
from hwgen.network.types import OneInput, TensorType, bits_for, range_of
from hwgen.network.values import value

__all__ = ["Conv2d", "Input", "Linear", "Op", "weight_range", "window_counts"]


class Op(Protocol):
    """What every op has. ``inputs`` are the types it was made for."""

    kind: ClassVar[str]

    @property
    def inputs(self) -> tuple[TensorType, ...]: ...
    @property
    def output(self) -> TensorType: ...
    def compute(self, *x: np.ndarray) -> np.ndarray: ...


def weight_range(bits: int) -> tuple[int, int]:
    """Range of a weight: two's complement; one bit means -1 or +1 (bipolar)."""
    return (-1, 1) if bits == 1 else range_of(bits, signed=True)


def _check_weights(weights: np.ndarray, bias: np.ndarray, bits: int) -> None:
    if not 1 <= bits <= 16:
        raise ValueError(f"weight_bits must be 1 to 16, not {bits}")
    lo, hi = weight_range(bits)
    if weights.size and (weights.min() < lo or weights.max() > hi):
        raise ValueError(f"weights of {bits} bits must lie in [{lo}, {hi}]")
    if bits == 1 and not np.all(np.abs(weights) == 1):
        raise ValueError("weights of 1 bit must be -1 or +1")
    if bias.shape != weights.shape[:1]:
        raise ValueError(f"bias must have shape {weights.shape[:1]}, not {bias.shape}")


def _sum_range(
    weights: np.ndarray, bias: np.ndarray, source: TensorType, seen: np.ndarray | bool = True
) -> tuple[int, int]:
    """Exact smallest and largest ``bias + sum(w * x)`` over all ``x`` within ``source``.

    Both are reached: by the input that is ``lo`` or ``hi`` wherever the weight's sign asks for it.
    Where ``seen`` is false, ``x`` is padding and holds the zero point.
    """
    weights = weights.astype(np.int64)
    fixed = (weights * ~np.broadcast_to(seen, weights.shape)).reshape(len(weights), -1).sum(1)
    flat = (weights * seen).reshape(len(weights), -1)
    positive, negative = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
    base = bias.astype(np.int64) + fixed * source.zero_point
    lowest = positive * source.lo + negative * source.hi + base
    highest = positive * source.hi + negative * source.lo + base
    return int(lowest.min()), int(highest.max())


def _visible(size: int, taps: np.ndarray, stride: int, before: int, count: int) -> list[np.ndarray]:
    """Which taps of a kernel lie on the map, and not on padding: each pattern once."""
    places = np.arange(count)[:, None] * stride - before + taps
    return list(np.unique((places >= 0) & (places < size), axis=0))


@value
class Input:
    """Where the integers start."""

    kind: ClassVar[str] = "input"
    type: TensorType

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        return ()

    @property
    def output(self) -> TensorType:
        return self.type

    def compute(self, x: np.ndarray) -> np.ndarray:
        """``x`` itself; ValueError if an integer is out of range or the shape is wrong."""
        if x.shape[1:] != self.type.shape:
            raise ValueError(f"frames must have shape {self.type.shape}, not {x.shape[1:]}")
        if x.size and (x.min() < self.type.lo or x.max() > self.type.hi):
            raise ValueError(f"inputs must lie in [{self.type.lo}, {self.type.hi}]")
        if self.type.encoding == "bipolar" and not x.all():
            raise ValueError("bipolar inputs must be -1 or +1")
        return x


@value
class Conv2d(OneInput):
    """2-D convolution (cross-correlation, as in torch): ``bias + sum(w * x)`` over each window.

    ``padding`` is ``(top, bottom, left, right)``; padded places hold the input's zero point. With
    ``groups``, output channels fall into as many groups, each of which sees its own share of the
    input channels; weights are then ``(K, kh, kw, C / groups)``.
    """

    kind: ClassVar[str] = "conv2d"
    input: TensorType
    weights: np.ndarray
    bias: np.ndarray
    weight_bits: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self):
        _check_weights(self.weights, self.bias, self.weight_bits)
        channels = self.input.shape[2:]
        if len(self.weights.shape) != 4 or (self.weights.shape[3] * self.groups,) != channels:
            raise ValueError(f"weights {self.weights.shape} do not fit an input {self.input.shape}")
        if self.groups < 1 or len(self.weights) % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {len(self.weights)} channels")
        if min(*self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise ValueError(f"stride {self.stride} or padding {self.padding} is out of range")
        if min(self.output_size) < 1:
            raise ValueError(f"kernel {self.kernel} is larger than the padded input")
        if self.input.encoding == "bipolar" and any(self.padding):
            raise ValueError("a bipolar input has no zero to pad with")

    @property
    def kernel(self) -> tuple[int, int]:
        """Taps down and across."""
        return self.weights.shape[1:3]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        return window_counts(self.input.shape, self.extent, self.stride, self.padding)

    @cached_property
    def output(self) -> TensorType:
        bits, signed = bits_for(*self._range())
        return TensorType((*self.output_size, len(self.weights)), bits, signed)

    def _range(self) -> tuple[int, int]:
        """Smallest and largest sum; on small maps some taps never leave the padding."""
        top, _, left, _ = self.padding
        height, width, _ = self.input.shape
        counts = self.output_size
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        rows = _visible(height, np.arange(kh) * dh, self.stride[0], top, counts[0])
        columns = _visible(width, np.arange(kw) * dw, self.stride[1], left, counts[1])
        ranges = [
            _sum_range(self.weights, self.bias, self.input, np.outer(row, column)[..., None])
            for row in rows
            for column in columns
        ]
        return min(lo for lo, _ in ranges), max(hi for _, hi in ranges)

    @property
    def macs(self) -> int:
        """Multiply-adds a frame; those on padded borders count."""
        return prod(self.output_size) * self.weights.size

    def compute(self, x: np.ndarray) -> np.ndarray:
        x = exact.pad(x, self.padding, self.input.zero_point)
        windows = exact.windows(x, self.extent, self.stride)
        windows = windows[:, :, :, :: self.dilation[0], :: self.dilation[1]]
        if self.groups == self.input.channels == len(self.weights):
            return exact.depthwise(windows, self.weights[..., 0], self.bias)
        parts = zip(
            np.split(windows, self.groups, axis=-1),
            np.split(self.weights, self.groups),
            np.split(self.bias, self.groups),
            strict=True,
        )
        return np.concatenate([exact.matmul(*part, self.input) for part in parts], axis=-1)


@value
class Linear(OneInput):
    """Fully connected layer over every integer of the frame, in stream order (H, W, C).

    ``weights`` are ``(K, *input.shape)``.
    """

    kind: ClassVar[str] = "linear"
    input: TensorType
    weights: np.ndarray
    bias: np.ndarray
    weight_bits: int

    def __post_init__(self):
        _check_weights(self.weights, self.bias, self.weight_bits)
        if self.weights.shape[1:] != self.input.shape:
            raise ValueError(f"weights {self.weights.shape} do not fit an input {self.input.shape}")

    @cached_property
    def output(self) -> TensorType:
        bits, signed = bits_for(*_sum_range(self.weights, self.bias, self.input))
        return TensorType((len(self.weights),), bits, signed)

    @property
    def macs(self) -> int:
        """Multiply-adds a frame."""
        return self.weights.size

    def compute(self, x: np.ndarray) -> np.ndarray:
        return exact.matmul(x, self.weights, self.bias, self.input)


def window_counts(
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> tuple[int, int]:
    """How many windows fit, down and across."""
    top, bottom, left, right = padding
    return (
        (shape[0] + top + bottom - kernel[0]) // stride[0] + 1,
        (shape[1] + left + right - kernel[1]) // stride[1] + 1,
    )
