"""Tiles of a map: takes it as it comes, pads it, and makes transformed tiles, word by word.

Rows of the padded map run through a ring of row memories, as many as two tiles are high: one tile's
rows are read, all at once, while the next one's are written, into the next frame as well. Columns
in which tiles overlap are read anew. A column a cycle goes through the vertical transform into a
window of registers; when the window holds a tile, the horizontal transform takes it whole. Direct
convolution has tiles as well, of one result, and transforms that do nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd

import numpy as np

from hwgen.beats import Beats
from hwgen.network.domain import Domain, Tile, input_limits
from hwgen.network.types import bits_for
from hwgen.primitives import Adder, Compare, Memory, Mux, Part, Register
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer
from hwgen.rtl_templates.transforms import inputs_of
from hwgen.schedule import Process, Read, Take, Write

__all__ = ["Strips"]

#: Bits, and whether there is a sign.
Shape = tuple[int, bool]

UNIT = np.ones(1, np.int64)


@dataclass(frozen=True, eq=False)
class Strips:
    """``tiles`` tiles side by side of ``lanes`` channels; ``pixels`` pixels of them a beat."""

    domain: Domain
    lanes: int
    tiles: int
    pixels: int

    def __post_init__(self):
        across = self.domain.counts[1]
        if self.tiles < 1 or across % self.tiles:
            raise ValueError(f"tiles must divide the {across} tiles of a row, not be {self.tiles}")
        if self.new_columns % self.pixels:
            raise ValueError(f"source_pixels must divide the {self.new_columns} columns of a step")
        _ = self.source  # which checks the lanes

    @cached_property
    def source(self) -> Beats:
        return Beats(self.domain.input, self.lanes, self.pixels)

    @property
    def new_columns(self) -> int:
        """Columns from one group of tiles to the next."""
        return self.domain.step[1] * self.tiles

    @property
    def columns(self) -> int:
        """Columns of a group of tiles."""
        return self.domain.step[1] * (self.tiles - 1) + self.domain.size[1]

    @property
    def strips(self) -> int:
        """Tiles down."""
        return self.domain.counts[0]

    @property
    def groups(self) -> int:
        """Groups of tiles across."""
        return self.domain.counts[1] // self.tiles

    @property
    def folds(self) -> int:
        """Steps over the channels."""
        return self.source.folds

    @cached_property
    def left_beats(self) -> int:
        """Whole beats of padding at the left."""
        return -(-self.domain.padding[2] // self.pixels)

    @cached_property
    def offset(self) -> int:
        """Place of the first tile's first column in its beat."""
        return self.left_beats * self.pixels - self.domain.padding[2]

    @cached_property
    def padded(self) -> tuple[int, int]:
        """Rows and pixel groups of the padded map."""
        columns = self.offset + (self.groups - 1) * self.new_columns + self.columns
        across = max(self.left_beats + self.source.groups, -(-columns // self.pixels))
        rows = (self.strips - 1) * self.domain.step[0] + self.domain.size[0]
        return max(rows, self.domain.padding[0] + self.source.type.map_shape[0]), across

    @cached_property
    def row(self) -> int:
        """Beats a padded row."""
        return self.padded[1] * self.folds

    @cached_property
    def release(self) -> tuple[int, int]:
        """Rows given up from one strip to the next, and at the end of the frame."""
        down = self.domain.step[0]
        return down, self.padded[0] - (self.strips - 1) * down

    @cached_property
    def rows(self) -> int:
        """Rows that the ring holds: those of a strip, and what the next one needs anew."""
        return self.domain.size[0] + max(self.domain.size[0], *self.release)

    @cached_property
    def unit(self) -> int:
        """Strips begin at multiples of so many rows in the ring."""
        return gcd(self.rows, *self.release)

    @property
    def latency(self) -> int:
        """Cycles from a step until what it wrote is in the memory of tiles: rows, choice,
        vertical and horizontal transform, and rounding if there is any."""
        return 4 + bool(self.domain.shifts.any() or self.domain.offsets.any())

    @property
    def lines(self) -> int:
        """Beats of the ring of rows."""
        return self.rows * self.row

    def fill_process(self) -> Process:
        """Walks the padded map, one beat a step."""
        top, _, _, _ = self.domain.padding
        height = self.source.type.map_shape[0]
        rows = range(top, top + height)
        columns = range(self.left_beats, self.left_beats + self.source.groups)
        return Process(
            (*self.padded, self.folds),
            takes=(Take("i", {0: rows, 1: columns}),),
            write=Write("lines"),
            after="i"
            if top >= self.domain.size[0]
            else None,  # or tiles of padding would run ahead
        )

    def transform_process(self, ring: str, least: int = 1) -> Process:
        """Walks strips, groups of tiles, folds and columns, of which the last makes a word of
        ``ring``; for each word it takes ``least`` steps or more."""
        down, last = self.release
        span = self.domain.size[0] * self.row
        read = Read("lines", 1, span, (down * self.row, last * self.row))
        loops = (self.strips, self.groups, self.folds, max(self.columns, least))
        return Process(loops, write=Write(ring, {3: (self.columns - 1,)}), read=read)

    @property
    def column_shapes(self) -> tuple[Shape, ...]:
        """Bits and sign of what the vertical transform makes for each row."""
        return self._wide[0]

    @property
    def raw_shapes(self) -> tuple[tuple[Shape, ...], ...]:
        """Bits and sign of each tap of the transform, before any rounding."""
        return self._wide[1]

    @property
    def _wide(self):
        domain = self.domain
        return _shapes(domain.down, domain.across, domain.input.lo, domain.input.hi)

    @property
    def taps(self) -> Iterator[tuple[int, int]]:
        """Row and column of each tap."""
        return np.ndindex(self.domain.size)

    @cached_property
    def shapes(self) -> list[list[Shape]]:
        """Bits and sign of each tap, as it meets the weights."""
        limits = self.domain.limits
        return [[bits_for(*map(int, ends)) for ends in row] for row in limits]

    def reaches_least(self, i: int, j: int) -> bool:
        """Whether a tap may be the least number of its bits."""
        bits, signed = self.shapes[i][j]
        return not signed or bool(self.domain.limits[i, j, 0] == -1 << (bits - 1))

    def clips(self, i: int, j: int) -> bool:
        """Whether rounding leaves a tap wider than it may be."""
        shift = int(self.domain.shifts[i, j])
        half = 1 << (shift - 1) if shift else 0
        exact = input_limits(self.domain.down, self.domain.across, self.domain.input)[i, j]
        rounded = (exact - self.domain.offsets[i, j] + half) >> shift
        return bool((rounded != self.domain.limits[i, j]).any())

    @cached_property
    def word(self) -> int:
        """Bits of a transformed group of tiles, one fold."""
        taps = sum(bits for row in self.shapes for bits, _ in row)
        return taps * self.lanes * self.tiles

    def primitives(self) -> list[Part]:
        """Parts, without what holds the words."""
        process, bits = self.transform_process(""), max(1, (self.row - 1).bit_length())
        width = self.source.width // self.pixels
        (th, tw), lanes, domain = self.domain.size, self.lanes, self.domain
        banks = Memory(self.row, width, "ram")
        parts: list[Part] = [
            *Sequencer.primitives(self.fill_process()),
            *Sequencer.primitives(process),
            *Level.primitives(self.lines),
            *Pointer.primitives(bits),
            Register(bits + 2 * self.rows.bit_length()),
            Adder(bits, 2, constant=True),
            *[banks] * (self.rows * self.pixels),
            Mux(width, self.pixels, self.rows),
            Mux(width, self.rows // self.unit, th),
            Register(th * width + 5 * self.latency),
        ]
        if any(self.domain.padding):
            parts.append(Mux(self.source.width))
        adders = _adders(domain.down, domain.across, domain.input.lo, domain.input.hi)
        parts += [Adder(bits, count * lanes, terms=terms) for (bits, terms), count in adders]
        parts.append(Register(sum(bits for bits, _ in self.column_shapes) * tw * lanes))
        raw = sum(bits for row in self.raw_shapes for bits, _ in row) * lanes
        parts.append(Register(raw + (self.tiles - 1) * self.word // self.tiles))
        if self.latency > 4:
            parts.append(Register(self.word // self.tiles))
            for i, j in self.taps:
                if domain.shifts[i, j] or domain.offsets[i, j]:
                    wide, narrow = self.raw_shapes[i][j][0], self.shapes[i][j][0]
                    parts.append(Adder(wide, lanes, constant=True))
                    if self.clips(i, j):
                        parts.append(Compare(wide, 2 * lanes, constant=True))
                        parts.append(Mux(narrow, 3, lanes))
        return parts


@lru_cache
def _shapes(
    down: Tile, across: Tile, lo: int, hi: int
) -> tuple[tuple[Shape, ...], tuple[tuple[Shape, ...], ...]]:
    """What the vertical transform makes of numbers in ``[lo, hi]``, and then the horizontal one."""
    rows, columns = np.array(down.inputs), np.array(across.inputs)
    first = tuple(_form(row, UNIT, lo, hi) for row in rows)
    return first, tuple(tuple(_form(row, column, lo, hi) for column in columns) for row in rows)


@lru_cache
def _adders(down: Tile, across: Tile, lo: int, hi: int) -> tuple[tuple[tuple[int, int], int], ...]:
    """Bits and terms of the adders of both transforms, one lane; and how many there are of each."""
    found: Counter[tuple[int, int]] = Counter()
    for tile, rows in ((down, UNIT[None]), (across, np.array(down.inputs))):
        programme = inputs_of(tile)
        for form, terms in zip(programme.forms(), programme.terms(), strict=True):
            if terms:
                found.update((_form(row, form, lo, hi)[0], terms) for row in rows)
    return tuple(found.items())


def _form(down: np.ndarray, across: np.ndarray, lo: int, hi: int) -> Shape:
    """Bits and sign of a sum of numbers in ``[lo, hi]`` with the factors ``down x across``."""
    factors = np.outer(down, across)
    up, below = int(np.maximum(factors, 0).sum()), int(np.minimum(factors, 0).sum())
    return bits_for(up * lo + below * hi, up * hi + below * lo)
