"""Convolutions with sub-row-balanced weights (``network.srbs``): banks of tiles against an array.

Each of ``banks`` holds the transformed tiles of a sub-row of input channels. In each step it reads
one of them for every tap and output lane, the one that the index of an entry of the weights names,
and multiplies it by the entry's value. After ``n`` steps all banks have met all that a row keeps of
their sub-rows, whatever the weights: no bank waits for another. Serves Winograd's algorithm with
weights in its domain; direct convolution; and fully connected layers, which have one tap.

A word of transformed tiles, of a few channels, comes whole. A process of its own spreads it over
the banks, a channel a cycle, while the next word is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.beats import Beats
from hwgen.network import Conv2d, Linear, WinogradConv2d
from hwgen.network.direct import direct
from hwgen.network.domain import Domain
from hwgen.network.srbs import SubRows, entries
from hwgen.primitives import Adder, Memory, Mux, Part, Register
from hwgen.rtl_templates import srbs_foldings
from hwgen.rtl_templates.multiply import BLOCK, Style
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.rtl_templates.srbs_array import Sparse
from hwgen.rtl_templates.strips import Strips
from hwgen.rtl_templates.tiled import TiledSpec
from hwgen.schedule import Process, Read, Write

__all__ = ["SparseSpec"]


@dataclass(frozen=True)
class SparseSpec(TiledSpec):
    """``in_lanes`` banks, each of a sub-row of ``pattern``; beats of ``stream_lanes`` channels."""

    ops: tuple[WinogradConv2d | Conv2d | Linear, ...]
    pattern: SubRows
    in_lanes: int
    out_lanes: int
    stream_lanes: int = 1
    tiles: int = 1
    source_pixels: int = 1
    target_pixels: int = 1
    style: Style = BLOCK
    family: str = ""

    def __post_init__(self):
        if self.sub_rows % self.in_lanes:
            raise ValueError(f"banks must divide the {self.sub_rows} sub-rows of a row")
        if self.pattern.length % self.stream_lanes:
            raise ValueError(f"stream_lanes must divide the sub-rows of {self.pattern.length}")
        if isinstance(self.op, Linear) and self.op.input.channels % self.stream_lanes:
            raise ValueError(f"stream_lanes must divide the {self.op.input.channels} channels")
        super().__post_init__()
        _ = self.entries  # which checks the weights

    @cached_property
    def domain(self) -> Domain:
        """The layer's arithmetic."""
        return self.op.domain if isinstance(self.op, WinogradConv2d) else direct(self.op)

    @property
    def tile(self) -> int:
        """Rows and columns of the results of a tile; 1 without Winograd."""
        return self.domain.down.m

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Places and values of the weights, each (rows, columns, K, sub-rows, n)."""
        return entries(self.op, self.pattern)

    @property
    def sub_rows(self) -> int:
        """Sub-rows of a row."""
        return self.pattern.count(self.domain.input.channels)

    @cached_property
    def strips(self) -> Strips:
        """How the input becomes tiles."""
        return Strips(self.domain, self.stream_lanes, self.tiles, self.source_pixels)

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.stream_lanes, self.source_pixels),)

    @property
    def in_folds(self) -> int:
        return self.sub_rows // self.in_lanes

    @property
    def slots(self) -> int:
        return self.pattern.kept

    @property
    def row_products(self) -> int:
        return self.sub_rows * self.slots

    @property
    def product_lanes(self) -> int:
        return 1

    @property
    def index_bits(self) -> int:
        return self.pattern.index_bits

    @property
    def operand_latency(self) -> int:
        """Behind the strips: a register. Entries are read ahead, banks in the same cycle."""
        return self.strips.latency + 1

    @property
    def held(self) -> int:
        return self.strips.folds * self.stream_lanes

    @property
    def depth(self) -> int:
        """Words of a bank: two groups of tiles."""
        return 2 * self.in_folds * self.pattern.length

    def spread_process(self) -> Process:
        """Walks strips, groups of tiles, words and their lanes."""
        loops = (self.strips.strips, self.strips.groups, self.strips.folds, self.stream_lanes)
        return Process(loops, write=Write("tiles"), read=Read("words", 3, 1, (1, 1, 1, 1)))

    def store_schedule(self):
        # A word's last lane leaves, and then the next word may come.
        transform = self.strips.transform_process("words", self.stream_lanes + 1)
        processes = {"transform": transform, "spread": self.spread_process()}
        return processes, {"words": 1, "tiles": 2 * self.held}

    def store_parts(self) -> list[Part]:
        spread, held = self.spread_process(), 2 * self.held
        address, fold = (self.depth - 1).bit_length(), (2 * self.in_folds - 1).bit_length()
        parts: list[Part] = [
            *[*Sequencer.primitives(spread)] * 2,
            *Level.primitives(1),
            *Level.primitives(held),
            Register(self.strips.word + self.strips.latency + address + 2 * fold + self.in_lanes),
            Mux(self.strips.word * (self.stream_lanes - 1) // self.stream_lanes),
            Adder(address, constant=True),
            Adder(fold, 2, constant=True),
        ]
        for i, j in self.taps:
            width = self.strips.shapes[i][j][0] * self.tiles
            parts += [Memory(self.depth, width, "bank", self.out_lanes)] * self.in_lanes
        return [*parts, Register(self.word_bits)]

    def weight_fields(self) -> Iterator[tuple[np.ndarray, int]]:
        places, values = self.entries
        for tap, products in self.tap_products.items():
            yield self._in_steps(places[tap]), self.index_bits
            yield self._in_steps(values[tap]), products.w_bits

    def _in_steps(self, entries: np.ndarray) -> np.ndarray:
        """``entries`` (K, sub-rows, n) as (words, out_lanes * in_lanes), banks inside."""
        shaped = self.folded(entries.astype(np.int64)).reshape(
            self.out_folds, self.out_lanes, self.in_folds, self.in_lanes, self.slots
        )
        return shaped.transpose(0, 2, 4, 1, 3).reshape(self.words, -1)

    def create(self, name: str = "sparse") -> Sparse:
        return Sparse(self, name)

    @staticmethod
    def foldings(op: WinogradConv2d | Conv2d | Linear, family: str) -> Iterator["SparseSpec"]:
        """Foldings for the densest pattern that the weights obey; none where there is none."""
        yield from srbs_foldings.foldings(SparseSpec, op, family)
