"""Convolutions whose weights are integers in Winograd's domain."""

from functools import cached_property
from typing import ClassVar

import numpy as np

from hwgen.network.domain import Domain, input_limits
from hwgen.network.ops import weight_range
from hwgen.network.types import OneInput, TensorType, bits_for, range_of
from hwgen.network.values import value
from hwgen.network.winograd import TILES, WIDEST

__all__ = ["WinogradConv2d"]


@value
class WinogradConv2d(OneInput):
    """3 x 3 convolution of stride 1 by F(tile x tile, 3 x 3), with weights for each tap.

    A tile is ``A^T [sum_c (U * V) << align] A + bias``, where ``V`` is ``B^T (x - zero point) B``,
    and ``A`` and ``B`` are those of ``winograd.TILES``. With ``transform_bits``, each tap of ``V``
    is first divided by ``2 ** shifts``, rounded half up, and clipped to so many bits, two's
    complement; without (0), it is exact, and ``shifts`` are zero.

    ``weights`` (t, t, K, C) are U, of ``weight_bits`` bits; ``align`` and ``shifts`` (t, t) are not
    negative; ``padding`` is (top, bottom, left, right), and padded places hold the zero point.
    """

    kind: ClassVar[str] = "winograd_conv2d"
    input: TensorType
    weights: np.ndarray
    bias: np.ndarray
    weight_bits: int
    tile: int
    align: np.ndarray
    shifts: np.ndarray
    transform_bits: int = 0
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self):
        if self.input.encoding == "bipolar":
            raise ValueError("a bipolar input is single bits: there is nothing to multiply")
        if self.tile not in TILES:
            raise ValueError(f"tile must be one of {list(TILES)}, not {self.tile}")
        t = self.tile + 2
        if self.weights.ndim != 4 or self.weights.shape[:2] != (t, t):
            raise ValueError(f"weights must be ({t}, {t}, K, C), not {self.weights.shape}")
        if self.input.shape[2:] != self.weights.shape[3:]:
            raise ValueError(f"weights {self.weights.shape} do not fit an input {self.input.shape}")
        if self.bias.shape != self.weights.shape[2:3]:
            raise ValueError(f"bias must have shape {self.weights.shape[2:3]}")
        if not 2 <= self.weight_bits <= 16:
            raise ValueError(f"weight_bits must be 2 to 16, not {self.weight_bits}")
        lo, hi = weight_range(self.weight_bits)
        if self.weights.min() < lo or self.weights.max() > hi:
            raise ValueError(f"weights of {self.weight_bits} bits must lie in [{lo}, {hi}]")
        for name in ("align", "shifts"):
            table = getattr(self, name)
            if table.shape != (t, t) or table.min() < 0 or table.max() > 31:
                raise ValueError(f"{name} must be ({t}, {t}) numbers of 0 to 31")
        if self.transform_bits not in (0, *range(2, 17)):
            raise ValueError(f"transform_bits must be 0 or 2 to 16, not {self.transform_bits}")
        if not self.transform_bits and self.shifts.any():
            raise ValueError("exact transforms have no shifts")
        if min(self.padding) < 0 or min(self.output_size) < 1:
            raise ValueError(f"padding {self.padding} leaves no output")
        if self.output.bits > WIDEST:
            raise ValueError(f"sums of {self.output.bits} bits are too wide, {WIDEST} is the most")

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        top, bottom, left, right = self.padding
        return self.input.shape[0] + top + bottom - 2, self.input.shape[1] + left + right - 2

    @cached_property
    def output(self) -> TensorType:
        """Exact transforms: no bit too wide. Rounded ones: taps are taken for independent."""
        ranges = [self._range(*place) for place in self._places()]
        bits, signed = bits_for(min(lo for lo, _ in ranges), max(hi for _, hi in ranges))
        return TensorType((*self.output_size, len(self.bias)), bits, signed)

    @property
    def macs(self) -> int:
        """Multiply-adds a frame of the direct convolution that it stands for."""
        height, width = self.output_size
        return height * width * 9 * self.weights.shape[2] * self.weights.shape[3]

    @cached_property
    def domain(self) -> Domain:
        """The arithmetic, tile by tile."""
        return Domain(
            self.input,
            self.output,
            TILES[self.tile],
            TILES[self.tile],
            self.padding,
            self.weights.astype(np.int16 if self.weight_bits < 16 else np.int32),
            self.bias.astype(np.int64),
            self.align,
            self._offsets,
            self.shifts,
            self._limits,
        )

    def compute(self, x: np.ndarray) -> np.ndarray:
        return self.domain.compute(x)

    @property
    def _offsets(self) -> np.ndarray:
        """What the transform makes of the zero point, (t, t)."""
        sums = np.array(TILES[self.tile].inputs).sum(1)
        return np.outer(sums, sums) * self.input.zero_point

    @cached_property
    def _limits(self) -> np.ndarray:
        """Least and greatest V of each tap, (t, t, 2)."""
        exact = (
            input_limits(TILES[self.tile], TILES[self.tile], self.input) - self._offsets[..., None]
        )
        if not self.transform_bits:
            return exact
        shifts = self.shifts[..., None]
        half = np.where(shifts, 1 << np.maximum(shifts - 1, 0), 0)
        return np.clip((exact + half) >> shifts, *range_of(self.transform_bits, True))

    def _places(self) -> list[tuple[tuple[bool, ...], tuple[bool, ...], int, int]]:
        """Which rows and columns of a tile lie on the map, and a row and column of its results:
        those of which none sees more than another."""
        top, _, left, _ = self.padding
        height, width, _ = self.input.shape
        rows = _seen(height, top, self.output_size[0], self.tile)
        columns = _seen(width, left, self.output_size[1], self.tile)
        return [(row, column, i, j) for row, i in rows for column, j in columns]

    def _range(self, rows, columns, i: int, j: int) -> tuple[int, int]:
        """Smallest and largest result at one place of a tile."""
        tile = TILES[self.tile]
        a = np.array(tile.outputs)
        share = np.outer(a[i], a[j]) << self.align
        if self.transform_bits:
            used = self.weights.astype(np.int64) * share[..., None, None]
            ends = [used * self._limits[..., end, None, None] for end in (0, 1)]
            lo, hi = (pick(*ends).sum((0, 1, 3)) for pick in (np.minimum, np.maximum))
        else:
            b = np.array(tile.inputs)
            down, across = b * np.array(rows), b * np.array(columns)
            used = self.weights * share[..., None, None]
            factors = np.einsum("pqkc,pa,qb->kcab", used, down, across, optimize=True)
            factors = factors.reshape(len(self.bias), -1)
            up, below = np.maximum(factors, 0).sum(1), np.minimum(factors, 0).sum(1)
            least, most = (end - self.input.zero_point for end in (self.input.lo, self.input.hi))
            lo, hi = up * least + below * most, up * most + below * least
        return int((lo + self.bias).min()), int((hi + self.bias).max())


def _seen(size: int, before: int, count: int, m: int) -> list[tuple[tuple[bool, ...], int]]:
    """Places of a tile on the map, with a place of its results, those that see most alone."""
    found: dict[int, set[tuple[bool, ...]]] = {}
    for place in range(count):
        start = place // m * m - before
        seen = tuple(0 <= start + n < size for n in range(m + 2))
        found.setdefault(place % m, set()).add(seen)
    return [
        (seen, place)
        for place, some in found.items()
        for seen in sorted(some)
        if not any(_less(seen, other) for other in some)
    ]


def _less(one: tuple[bool, ...], other: tuple[bool, ...]) -> bool:
    return one != other and all(b or not a for a, b in zip(one, other, strict=True))
