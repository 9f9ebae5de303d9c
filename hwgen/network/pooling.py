"""Ops that reduce windows without weights, and ops that join two tensors."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from hwgen.network import exact
from hwgen.network.ops import window_counts
from hwgen.network.types import OneInput, TensorType, bits_for
from hwgen.network.values import value

__all__ = ["Add", "MaxPool2d", "SumPool2d"]


def _check_pool(pool) -> None:
    if len(pool.input.shape) != 3:
        raise ValueError(f"pooling takes a map (H, W, C), not {pool.input.shape}")
    if min(pool.kernel) < 1 or min(pool.stride) < 1 or min(pool.padding) < 0:
        raise ValueError(f"kernel {pool.kernel} or stride {pool.stride} is out of range")
    if min(window_counts(pool.input.shape, pool.kernel, pool.stride, pool.padding)) < 1:
        raise ValueError(f"kernel {pool.kernel} is larger than the padded input")


def _taps(x: np.ndarray, pool) -> Iterator[np.ndarray]:
    """For each tap of the kernel, what it sees in every window: views (N, Ho, Wo, C)."""
    (kh, kw), (sh, sw), (height, width) = pool.kernel, pool.stride, pool.output.shape[:2]
    for i in range(kh):
        for j in range(kw):
            yield x[:, i : i + sh * (height - 1) + 1 : sh, j : j + sw * (width - 1) + 1 : sw]


@value
class MaxPool2d(OneInput):
    """Largest integer of each window; padded places hold the type's smallest."""

    kind: ClassVar[str] = "max_pool2d"
    input: TensorType
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self):
        _check_pool(self)

    @property
    def output(self) -> TensorType:
        size = window_counts(self.input.shape, self.kernel, self.stride, self.padding)
        source = self.input
        return TensorType(
            (*size, source.channels),
            source.bits,
            source.signed,
            source.encoding,
            source.scale,
            source.zero_point,
        )

    def compute(self, x: np.ndarray) -> np.ndarray:
        x = exact.pad(x, self.padding, self.input.lo)
        taps = _taps(x, self)
        best = next(taps).copy()
        for tap in taps:
            np.maximum(best, tap, out=best)
        return best


def _most_visible(size: int, taps: int, stride: int, before: int, count: int) -> int:
    """Most taps, in one direction, that lie on the map in any one window."""
    places = np.arange(count)[:, None] * stride - before + np.arange(taps)
    return int(((places >= 0) & (places < size)).sum(1).max())


@value
class SumPool2d(OneInput):
    """Sum of each window, ``sum(x - zero_point)``; padded places count as zero.

    An average is this sum and a ``Requantise`` that divides.
    """

    kind: ClassVar[str] = "sum_pool2d"
    input: TensorType
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self):
        if self.input.encoding == "bipolar":
            raise ValueError("a bipolar input cannot be summed: it has no zero to pad with")
        _check_pool(self)

    @property
    def output(self) -> TensorType:
        source = self.input
        size = window_counts(source.shape, self.kernel, self.stride, self.padding)
        # At most so many taps of any window lie on the map; the others are padding, so zero.
        top, _, left, _ = self.padding
        rows = _most_visible(source.shape[0], self.kernel[0], self.stride[0], top, size[0])
        columns = _most_visible(source.shape[1], self.kernel[1], self.stride[1], left, size[1])
        taps = rows * columns
        lo, hi = source.lo - source.zero_point, source.hi - source.zero_point
        return TensorType((*size, source.channels), *bits_for(taps * lo, taps * hi))

    def compute(self, x: np.ndarray) -> np.ndarray:
        x = exact.pad(x.astype(np.int64), self.padding, self.input.zero_point)
        total = np.zeros((len(x), *self.output.shape), np.int64)
        for tap in _taps(x, self):
            total += tap - self.input.zero_point
        return total


@value
class Add:
    """``(a - zero_a) * factor_a + (b - zero_b) * factor_b``, exact: two tensors whose scales have
    the ratio of the factors. A factor that is a power of two is a shift. A vector is a map of one
    pixel; the result has the shape of ``a``."""

    kind: ClassVar[str] = "add"
    a: TensorType
    b: TensorType
    factors: tuple[int, int] = (1, 1)

    def __post_init__(self):
        if self.a.map_shape != self.b.map_shape:
            raise ValueError(f"cannot add {self.b.shape} to {self.a.shape}")
        if "bipolar" in (self.a.encoding, self.b.encoding):
            raise ValueError("bipolar inputs cannot be added")
        if min(self.factors) < 1 or max(self.factors) > 1 << 24:
            raise ValueError(f"factors must be 1 to 2^24, not {self.factors}")

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        return (self.a, self.b)

    @property
    def output(self) -> TensorType:
        ends = [
            ((kind.lo - kind.zero_point) * factor, (kind.hi - kind.zero_point) * factor)
            for kind, factor in zip(self.inputs, self.factors, strict=True)
        ]
        lo, hi = (sum(end) for end in zip(*ends, strict=True))
        return TensorType(self.a.shape, *bits_for(lo, hi))

    def compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return sum(  # type: ignore[return-value]
            (x.astype(np.int64).reshape(len(x), *self.a.shape) - kind.zero_point) * factor
            for x, kind, factor in zip((a, b), self.inputs, self.factors, strict=True)
        )
