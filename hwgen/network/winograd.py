"""Winograd's minimal filtering F(m x m, 3 x 3) in integers: exact, in sums no wider than need be.

A tile of ``m x m`` outputs of a 3 x 3 convolution is ``A^T [(G g G^T) * (B^T d B)] A`` (Lavin and
Gray 2015, arXiv:1509.09308). ``B`` holds integers. The denominators of ``G``'s rows move to ``A``:
with ``G' = diag(s) G`` and ``A' = S diag(1/s) A``, both integer, the same formula gives ``S^2``
times the tile, exactly.

After the products everything is addition, subtraction and multiplication by constants, so it may
wrap. Let the result need ``b`` bits and ``S^2 = 2^e q`` with odd ``q``. Sums modulo ``2^(b + e)``
suffice: the low ``e`` bits come out as zeros and are dropped, and ``q`` has an inverse modulo
``2^b``.
"""

import weakref
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.network import exact
from hwgen.network.ops import Conv2d
from hwgen.network.types import TensorType, bits_for, signed_bits
from hwgen.network.values import value

__all__ = [
    "F2",
    "F4",
    "TILES",
    "Domain",
    "Tile",
    "input_limits",
    "lossless",
    "obstacle",
    "wrap",
]

Rows = tuple[tuple[int, ...], ...]

#: Widest sums that the arithmetic here, in int64, is exact for.
WIDEST = 62


@dataclass(frozen=True)
class Tile:
    """The matrices of F(m x m, 3 x 3), ``t = m + 2``.

    ``inputs`` is ``B^T`` (t, t), ``weights`` is ``G'`` (t, 3), ``exact`` is ``A'^T`` (m, t), with
    which results come out ``divisor ** 2`` times too large, and ``outputs`` is ``A^T`` (m, t).
    """

    m: int
    inputs: Rows
    weights: Rows
    exact: Rows
    outputs: Rows
    divisor: int

    @property
    def t(self) -> int:
        """Rows and columns of a tile of the input."""
        return self.m + 2


F2 = Tile(
    m=2,
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    weights=((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
    exact=((2, 1, 1, 0), (0, 1, -1, 2)),
    outputs=((1, 1, 1, 0), (0, 1, -1, 1)),
    divisor=2,
)

F4 = Tile(
    m=4,
    inputs=(
        (4, 0, -5, 0, 1, 0),
        (0, 4, 4, -1, -1, 0),
        (0, -4, 4, 1, -1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    weights=((1, 0, 0), (1, 1, 1), (1, -1, 1), (1, 2, 4), (1, -2, 4), (0, 0, 1)),
    exact=((6, 4, 4, 1, 1, 0), (0, 4, -4, 2, -2, 0), (0, 4, 4, 4, 4, 0), (0, 4, -4, 8, -8, 24)),
    outputs=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    divisor=24,
)

TILES = {2: F2, 4: F4}


def wrap(x: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """The integer of ``bits`` bits that equals ``x`` modulo ``2**bits``."""
    low = np.asarray(x, np.int64) & ((1 << bits) - 1)
    return low - ((low >> (bits - 1)) << bits) if signed else low


@value
class Domain:
    """A 3 x 3 convolution of stride 1 as it is computed tile by tile: everything is an integer.

    For each tap of the ``t x t``: the input's transform, less ``offsets`` and rounded (half up) by
    ``shifts``, clipped to ``limits``; times ``weights``, summed over the input channels, times
    ``2 ** align``. Then ``first`` is added to tap (1, 1), whence it reaches all results alike; then
    comes the inverse transform by ``outputs``, modulo ``2 ** (bits + spare)``, and the division by
    ``2 ** spare * odd``.

    Shapes: ``weights`` (t, t, K, C), ``first`` (K,), ``align``, ``offsets``, ``shifts`` (t, t),
    ``limits`` (t, t, 2), ``outputs`` (m, t).
    """

    input: TensorType
    output: TensorType
    m: int
    padding: tuple[int, int, int, int]
    weights: np.ndarray
    first: np.ndarray
    align: np.ndarray
    offsets: np.ndarray
    shifts: np.ndarray
    limits: np.ndarray
    outputs: np.ndarray
    spare: int = 0
    odd: int = 1

    @property
    def tile(self) -> Tile:
        """The matrices."""
        return TILES[self.m]

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles down and across; those at the edge may be part padding."""
        height, width, _ = self.output.map_shape
        return -(-height // self.m), -(-width // self.m)

    @property
    def modulus(self) -> int:
        """Bits that sums may wrap at."""
        return self.output.bits + self.spare

    @cached_property
    def sums(self) -> np.ndarray:
        """Least and greatest sum of each tap, (t, t, 2), aligned and with ``first``, unwrapped."""
        found = np.zeros((self.tile.t, self.tile.t, 2), np.int64)
        for i, j in np.ndindex(self.tile.t, self.tile.t):
            ends = self.weights[i, j, ..., None].astype(np.int64) * self.limits[i, j]
            first = self.first if (i, j) == (1, 1) else np.zeros_like(self.first)
            for end, sums in enumerate((ends.min(-1).sum(-1), ends.max(-1).sum(-1))):
                reach = (sums << self.align[i, j]) + first
                found[i, j, end] = reach.max() if end else reach.min()
        return found

    @cached_property
    def weight_bits(self) -> np.ndarray:
        """Two's complement bits of the weights of each tap, zero among them, (t, t)."""
        lo, hi = self.weights.min(axis=(2, 3)), self.weights.max(axis=(2, 3))
        return np.vectorize(signed_bits)(np.minimum(lo, 0), np.maximum(hi, 0))

    def transform(self, x: np.ndarray) -> np.ndarray:
        """What meets the weights: (t, t, N, tiles down, tiles across, C) for ``x`` (N, H, W, C)."""
        t, m, (down, across) = self.tile.t, self.m, self.counts
        top, _, left, _ = self.padding
        height, width, _ = self.input.map_shape
        bottom, right = down * m + 2 - top - height, across * m + 2 - left - width
        padded = exact.pad(x.astype(np.int64), (top, bottom, left, right), self.input.zero_point)
        tiles = exact.windows(padded, (t, t), (m, m))
        rows = np.array(self.tile.inputs)
        found = np.einsum("ia,jb,nyxabc->ijnyxc", rows, rows, tiles, optimize=True)
        wide = (slice(None), slice(None), *[None] * 4)
        found = found - self.offsets[wide]
        half = np.where(self.shifts, 1 << np.maximum(self.shifts - 1, 0), 0)
        found = (found + half[wide]) >> self.shifts[wide]
        return np.clip(found, self.limits[..., 0][wide], self.limits[..., 1][wide])

    def compute(self, x: np.ndarray) -> np.ndarray:
        """Results (N, Ho, Wo, K), by the very steps of the hardware."""
        v = self.transform(x)
        t, m, (down, across) = self.tile.t, self.m, self.counts
        frames, channels = v.shape[2], v.shape[-1]
        sums = np.empty((t, t, frames, down, across, len(self.first)), np.int64)
        none = np.zeros(len(self.first), np.int64)
        for i, j in np.ndindex(t, t):
            kind = TensorType((channels,), *bits_for(*map(int, self.limits[i, j])))
            sums[i, j] = exact.matmul(v[i, j], self.weights[i, j], none, kind)
        sums <<= self.align[:, :, None, None, None, None]
        sums[1, 1] += self.first
        sums = wrap(sums, self.modulus, True)
        made = np.einsum("ai,bj,ijnyxk->nyaxbk", self.outputs, self.outputs, sums, optimize=True)
        made = wrap(made, self.modulus, True) >> self.spare
        bits, signed = self.output.bits, self.output.signed
        made = wrap(made * wrap(np.array(pow(self.odd, -1, 1 << bits)), bits, True), bits, signed)
        height, width, _ = self.output.map_shape
        made = made.reshape(frames, down * m, across * m, -1)[:, :height, :width]
        return np.ascontiguousarray(made.astype(np.int32 if bits < 32 else np.int64))


def input_limits(tile: Tile, source: TensorType) -> np.ndarray:
    """Least and greatest value of each tap of the transformed input, (t, t, 2)."""
    rows = np.array(tile.inputs)
    taps = np.einsum("ia,jb->ijab", rows, rows).reshape(tile.t, tile.t, -1)
    up, down = np.maximum(taps, 0).sum(-1), np.minimum(taps, 0).sum(-1)
    return np.stack(
        [up * source.lo + down * source.hi, up * source.hi + down * source.lo], -1
    ).astype(np.int64)


def lossless(op: Conv2d, m: int) -> Domain:
    """``op`` by F(m x m, 3 x 3), to the same integers; ValueError if it cannot be had so.

    Kept as long as the op lives: every folding of the op asks for it.
    """
    key = id(op), m
    if key not in _known:
        made = _lossless(op, m)
        weakref.finalize(op, _known.pop, key, None)
        _known[key] = made
    return _known[key]


_known: dict[tuple[int, int], Domain] = {}


def _lossless(op: Conv2d, m: int) -> Domain:
    reason = obstacle(op)
    if reason:
        raise ValueError(f"F({m}x{m},3x3) does not compute this convolution: {reason}")
    tile = TILES[m]
    rows = np.array(tile.weights)
    wide = op.weights.astype(np.int32)  # at most 49 times weights of 16 bits
    weights = np.einsum("ia,jb,kabc->ijkc", rows, rows, wide, optimize=True)
    narrow = np.abs(weights).max() < 1 << 15
    square = tile.divisor**2
    spare = (square & -square).bit_length() - 1
    zeros = np.zeros((tile.t, tile.t), np.int64)
    return Domain(
        op.input,
        op.output,
        m,
        op.padding,
        weights.astype(np.int16 if narrow else np.int32),
        # The second column of A' is constant, so tap (1, 1) adds to all results alike.
        op.bias.astype(np.int64) * (square // tile.exact[0][1] ** 2),
        zeros,
        zeros,
        zeros,
        input_limits(tile, op.input),
        np.array(tile.exact),
        spare,
        square >> spare,
    )


def obstacle(op: Conv2d) -> str | None:
    """Why Winograd's algorithm cannot compute ``op``; None if it can."""
    if op.kernel != (3, 3):
        return f"its kernel is {op.kernel[0]} x {op.kernel[1]}, not 3 x 3"
    if op.stride != (1, 1):
        return f"its stride is {op.stride}, not 1"
    if op.dilation != (1, 1):
        return f"its dilation is {op.dilation}, not 1"
    if op.groups != 1:
        return f"it has {op.groups} groups, not 1"
    if op.input.encoding == "bipolar":
        return "its input is single bits: there is nothing to multiply"
    if op.output.bits + 6 > WIDEST:
        return f"its sums have {op.output.bits} bits, more than {WIDEST - 6}"
    return None
