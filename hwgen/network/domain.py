"""Convolutions in integers, tile by tile: what engines that work by tiles compute, step by step.

Winograd's algorithms are such, and so is direct convolution, whose tile is one result and whose
transforms do nothing.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from hwgen.network import exact
from hwgen.network.types import TensorType, bits_for, signed_bits
from hwgen.network.values import value

__all__ = ["Domain", "Tile", "input_limits", "single", "wrap"]

Rows = tuple[tuple[int, ...], ...]

#: Sums of taps that are computed at once: so few stay in a processor's cache.
CACHED = 1 << 18


@dataclass(frozen=True)
class Tile:
    """One axis of an algorithm F(m, r): ``m`` results of a filter of ``r`` taps by ``t`` products,
    which Winograd brings down to ``t = m + r - 1``.

    ``inputs`` is ``B^T`` (t, t), ``weights`` is ``G'`` (t, r), ``exact`` is ``A'^T`` (m, t), with
    which results come out ``divisor`` times too large, and ``outputs`` is ``A^T`` (m, t).
    """

    m: int
    inputs: Rows
    weights: Rows
    exact: Rows
    outputs: Rows
    divisor: int

    @property
    def t(self) -> int:
        """Rows or columns of a tile of the input."""
        return len(self.inputs)

    @property
    def even(self) -> int:
        """The tap that reaches all results alike."""
        return next(
            n for n, column in enumerate(zip(*self.outputs, strict=True)) if len(set(column)) == 1
        )


@cache
def single(taps: int) -> Tile:
    """F(1, ``taps``): no transform at all."""
    unit = tuple(tuple(int(i == j) for j in range(taps)) for i in range(taps))
    return Tile(1, unit, unit, ((1,) * taps,), ((1,) * taps,), 1)


def wrap(x: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """The integer of ``bits`` bits that equals ``x`` modulo ``2**bits``."""
    if not signed:
        return np.asarray(x, np.int64) & ((1 << bits) - 1)
    return (np.asarray(x, np.int64) << (64 - bits)) >> (64 - bits)


@value
class Domain:
    """A convolution as it is computed tile by tile: everything is an integer.

    ``down`` and ``across`` are the algorithms of the two axes; tiles lie ``stride`` times their
    results apart. For each tap (of th x tw): the input's transform, less ``offsets`` and rounded
    (half up) by ``shifts``, clipped to ``limits``; times ``weights``, summed over the input
    channels, times ``2 ** align``. Then ``first`` is added to the tap ``home``, whence it reaches
    all results alike; then comes the inverse transform, the exact one if ``scaled``, modulo
    ``2 ** (bits + spare)``, and the division by ``2 ** spare * odd``.

    Shapes: ``weights`` (th, tw, K, C), ``first`` (K,), ``align``, ``offsets``, ``shifts`` (th, tw),
    ``limits`` (th, tw, 2).
    """

    input: TensorType
    output: TensorType
    down: Tile
    across: Tile
    padding: tuple[int, int, int, int]
    weights: np.ndarray
    first: np.ndarray
    align: np.ndarray
    offsets: np.ndarray
    shifts: np.ndarray
    limits: np.ndarray
    scaled: bool = False
    spare: int = 0
    odd: int = 1
    stride: tuple[int, int] = (1, 1)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a tile's taps."""
        return self.down.t, self.across.t

    @property
    def step(self) -> tuple[int, int]:
        """Rows and columns of the input from one tile to the next."""
        return self.down.m * self.stride[0], self.across.m * self.stride[1]

    @property
    def home(self) -> tuple[int, int]:
        """The tap that reaches all results of a tile alike."""
        return self.down.even, self.across.even

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles down and across; those at the edge may be part padding."""
        height, width, _ = self.output.map_shape
        return -(-height // self.down.m), -(-width // self.across.m)

    @property
    def results(self) -> tuple[Rows, Rows]:
        """The inverse transforms of both axes."""
        if self.scaled:
            return self.down.exact, self.across.exact
        return self.down.outputs, self.across.outputs

    @property
    def modulus(self) -> int:
        """Bits that sums may wrap at."""
        return self.output.bits + self.spare

    @cached_property
    def sums(self) -> np.ndarray:
        """Least and greatest sum of each tap, (th, tw, 2), aligned, with ``first``, unwrapped."""
        found = np.zeros((*self.size, 2), np.int64)
        for i, j in np.ndindex(self.size):
            ends = self.weights[i, j, ..., None].astype(np.int64) * self.limits[i, j]
            first = self.first if (i, j) == self.home else np.zeros_like(self.first)
            for end, sums in enumerate((ends.min(-1).sum(-1), ends.max(-1).sum(-1))):
                reach = (sums << self.align[i, j]) + first
                found[i, j, end] = reach.max() if end else reach.min()
        return found

    @cached_property
    def weight_bits(self) -> np.ndarray:
        """Two's complement bits of the weights of each tap, zero among them, (th, tw)."""
        lo, hi = self.weights.min(axis=(2, 3)), self.weights.max(axis=(2, 3))
        return np.vectorize(signed_bits)(np.minimum(lo, 0), np.maximum(hi, 0))

    def transform(self, x: np.ndarray) -> np.ndarray:
        """What meets the weights: (th, tw, N, tiles down, tiles across, C) for ``x`` (N, ...)."""
        (th, tw), step, (down, across) = self.size, self.step, self.counts
        top, _, left, _ = self.padding
        height, width, _ = self.input.map_shape
        bottom = max(0, (down - 1) * step[0] + th - top - height)
        right = max(0, (across - 1) * step[1] + tw - left - width)
        x = x.reshape(-1, *self.input.map_shape).astype(np.int64)
        padded = exact.pad(x, (top, bottom, left, right), self.input.zero_point)
        tiles = exact.windows(padded, self.size, step)[:, :down, :across]
        tables = np.array(self.down.inputs), np.array(self.across.inputs)
        largest = max(-self.input.lo, self.input.hi)
        found = exact.both_sides(*tables, tiles.transpose(3, 4, 0, 1, 2, 5), largest)
        wide = (slice(None), slice(None), *[None] * 4)
        found = found - self.offsets[wide]
        half = np.where(self.shifts, 1 << np.maximum(self.shifts - 1, 0), 0)
        found = (found + half[wide]) >> self.shifts[wide]
        return np.clip(found, self.limits[..., 0][wide], self.limits[..., 1][wide])

    def compute(self, x: np.ndarray) -> np.ndarray:
        """Results (N, ...), by the very steps of the hardware."""
        down, across = self.counts
        step = max(1, CACHED // (self.weights[..., 0].size * down * across))
        starts = range(0, max(1, len(x)), step)
        return np.concatenate([self._compute(x[start : start + step]) for start in starts])

    def _compute(self, x: np.ndarray) -> np.ndarray:
        v = self.transform(x)
        down, across = self.counts
        frames, channels = v.shape[2], v.shape[-1]
        sums = np.empty((*self.size, frames, down, across, len(self.first)), np.int64)
        none = np.zeros(len(self.first), np.int64)
        for i, j in np.ndindex(self.size):
            kind = TensorType((channels,), *bits_for(*map(int, self.limits[i, j])))
            sums[i, j] = exact.matmul(v[i, j], self.weights[i, j], none, kind)
        sums <<= self.align[:, :, None, None, None, None]
        sums[self.home] += self.first
        sums = wrap(sums, self.modulus, True)
        rows, columns = map(np.array, self.results)
        made = exact.both_sides(rows, columns, sums, 1 << (self.modulus - 1))
        made = wrap(made.transpose(2, 3, 0, 4, 1, 5), self.modulus, True) >> self.spare
        bits, signed = self.output.bits, self.output.signed
        made = wrap(made * wrap(np.array(pow(self.odd, -1, 1 << bits)), bits, True), bits, signed)
        height, width, _ = self.output.map_shape
        made = made.reshape(frames, down * self.down.m, across * self.across.m, -1)
        made = made[:, :height, :width].reshape(-1, *self.output.shape)
        return np.ascontiguousarray(made.astype(np.int32 if bits < 32 else np.int64))


def input_limits(down: Tile, across: Tile, source: TensorType) -> np.ndarray:
    """Least and greatest value of each tap of the transformed input, (th, tw, 2)."""
    taps = np.einsum("ia,jb->ijab", np.array(down.inputs), np.array(across.inputs))
    taps = taps.reshape(down.t, across.t, -1)
    above, below = np.maximum(taps, 0).sum(-1), np.minimum(taps, 0).sum(-1)
    return np.stack(
        [above * source.lo + below * source.hi, above * source.hi + below * source.lo], -1
    ).astype(np.int64)
