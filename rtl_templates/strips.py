"""Tiles of a map: takes it as it comes, pads it, and makes the transformed tiles of Winograd.

Rows of the padded map run through a ring of row memories, as many as two tiles are high: one tile's
rows are read, all at once, while the next one's are written, into the next frame as well. Tiles
overlap by two columns, which are read anew. A column a cycle goes through the vertical transform
into a window of registers; when the window holds a tile, the horizontal transform takes it whole.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from hwgen.beats import Beats
from hwgen.network.types import bits_for
from hwgen.network.winograd import TILES, Domain, input_limits
from hwgen.primitives import Adder, Compare, Memory, Mux, Part, Register
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer
from hwgen.rtl_templates.transforms import INPUTS
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
    def m(self) -> int:
        """Rows and columns of a tile's results."""
        return self.domain.m

    @property
    def t(self) -> int:
        """Rows and columns of a tile."""
        return self.domain.tile.t

    @property
    def new_columns(self) -> int:
        """Columns from one group of tiles to the next."""
        return self.m * self.tiles

    @property
    def columns(self) -> int:
        """Columns of a group of tiles."""
        return self.new_columns + 2

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
        columns = self.offset + self.groups * self.new_columns + 2
        across = max(self.left_beats + self.source.groups, -(-columns // self.pixels))
        return self.strips * self.m + 2, across

    @cached_property
    def row(self) -> int:
        """Beats a padded row."""
        return self.padded[1] * self.folds

    @property
    def rows(self) -> int:
        """Rows that the ring holds."""
        return 2 * self.t

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
            after="i" if top >= self.t else None,  # or tiles of padding would run ahead
        )

    def transform_process(self) -> Process:
        """Walks strips, groups of tiles, folds and columns; the last of these makes a tile."""
        read = Read("lines", 1, self.t * self.row, (self.m * self.row, self.t * self.row))
        loops = (self.strips, self.groups, self.folds, self.columns)
        return Process(loops, write=Write("tiles", {3: (self.columns - 1,)}), read=read)

    @property
    def column_shapes(self) -> tuple[Shape, ...]:
        """Bits and sign of what the vertical transform makes for each row."""
        return _shapes(self.m, self.domain.input.lo, self.domain.input.hi)[0]

    @property
    def raw_shapes(self) -> tuple[tuple[Shape, ...], ...]:
        """Bits and sign of each tap of the transform, before any rounding."""
        return _shapes(self.m, self.domain.input.lo, self.domain.input.hi)[1]

    @cached_property
    def shapes(self) -> list[list[Shape]]:
        """Bits and sign of each tap, as it meets the weights."""
        t = self.t
        return [[bits_for(*map(int, self.domain.limits[i, j])) for j in range(t)] for i in range(t)]

    def clips(self, i: int, j: int) -> bool:
        """Whether rounding leaves a tap wider than it may be."""
        shift = int(self.domain.shifts[i, j])
        half = 1 << (shift - 1) if shift else 0
        exact = input_limits(self.domain.tile, self.domain.input)[i, j]
        rounded = (exact - self.domain.offsets[i, j] + half) >> shift
        return bool((rounded != self.domain.limits[i, j]).any())

    @cached_property
    def word(self) -> int:
        """Bits of a transformed group of tiles, one fold."""
        taps = sum(bits for row in self.shapes for bits, _ in row)
        return taps * self.lanes * self.tiles

    def primitives(self) -> list[Part]:
        process, bits = self.transform_process(), max(1, (self.row - 1).bit_length())
        width = self.source.width // self.pixels
        t, lanes, m = self.t, self.lanes, self.m
        banks = Memory(self.row, width, "ram")
        capacity = 2 * self.folds
        parts: list[Part] = [
            *Sequencer.primitives(self.fill_process()),
            *Sequencer.primitives(process),
            *Level.primitives(self.lines),
            *Level.primitives(capacity),
            *Pointer.primitives(range(5), bits),
            Register(bits + 2 * self.rows.bit_length()),
            Adder(bits, 2, constant=True),
            *[banks] * (self.rows * self.pixels),
            Mux(width, self.pixels, self.rows),
            Mux(width, t, t),
            Register(t * width + 5 * self.latency),
            Memory(capacity, self.word, "ram"),
            Register(2 * capacity.bit_length()),
        ]
        if any(self.domain.padding):
            parts.append(Mux(self.source.width))
        ends = self.domain.input.lo, self.domain.input.hi
        parts += [Adder(bits, count * lanes) for bits, count in _adders(m, *ends)]
        parts.append(Register(sum(bits for bits, _ in self.column_shapes) * t * lanes))
        raw = sum(bits for row in self.raw_shapes for bits, _ in row) * lanes
        parts.append(Register(raw + (self.tiles - 1) * self.word // self.tiles))
        if self.latency > 4:
            parts.append(Register(self.word // self.tiles))
            for i, j in np.ndindex(t, t):
                if self.domain.shifts[i, j] or self.domain.offsets[i, j]:
                    wide, narrow = self.raw_shapes[i][j][0], self.shapes[i][j][0]
                    parts.append(Adder(wide, lanes, constant=True))
                    if self.clips(i, j):
                        parts.append(Compare(wide, 2 * lanes, constant=True))
                        parts.append(Mux(narrow, 3, lanes))
        return parts


@lru_cache
def _shapes(m: int, lo: int, hi: int) -> tuple[tuple[Shape, ...], tuple[tuple[Shape, ...], ...]]:
    """What the vertical transform makes of numbers in ``[lo, hi]``, and then the horizontal one."""
    rows = np.array(TILES[m].inputs)
    columns = tuple(_form(row, UNIT, lo, hi) for row in rows)
    return columns, tuple(tuple(_form(down, across, lo, hi) for across in rows) for down in rows)


@lru_cache
def _adders(m: int, lo: int, hi: int) -> tuple[tuple[int, int], ...]:
    """Bits and number of the adders of both transforms, one lane."""
    forms = INPUTS[m].forms()
    bits = [_form(form, UNIT, lo, hi)[0] for form in forms]
    bits += [_form(down, form, lo, hi)[0] for down in np.array(TILES[m].inputs) for form in forms]
    return tuple(Counter(bits).items())


def _form(down: np.ndarray, across: np.ndarray, lo: int, hi: int) -> Shape:
    """Bits and sign of a sum of numbers in ``[lo, hi]`` with the factors ``down x across``."""
    factors = np.outer(down, across)
    up, below = int(np.maximum(factors, 0).sum()), int(np.minimum(factors, 0).sum())
    return bits_for(up * lo + below * hi, up * hi + below * lo)
