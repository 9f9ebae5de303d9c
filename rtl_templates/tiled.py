"""What the engines have in common that compute convolutions tile by tile (``network.domain``).

Every cycle all taps of ``tiles`` tiles meet ``in_lanes`` input and ``out_lanes`` output channels.
Adder trees sum over the input lanes, accumulators over the steps of the input channels, modulo as
few bits as the result needs. Then the inverse transform makes the results of each tile, which wait
in row memories until they leave row by row. Direct convolution has no transforms: its taps go into
one sum.

One group of tiles meets all output channels before the next one comes: so only two groups of
transformed tiles are held, and only one of sums. Weights are read once for each group; keeping them
for a whole strip instead would save reads, but hold a strip of transformed tiles.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from hwgen.beats import Beats
from hwgen.network.domain import Domain
from hwgen.network.types import signed_bits
from hwgen.primitives import Part
from hwgen.rtl_templates.adders import levels
from hwgen.rtl_templates.multiply import Products, Style, Weights, packed_bits
from hwgen.rtl_templates.strips import Strips
from hwgen.rtl_templates.tiled_parts import parts_of
from hwgen.rtl_templates.tiled_schedule import schedule_of
from hwgen.rtl_templates.transforms import Programme, exact_results
from hwgen.schedule import Process, Schedule

__all__ = ["Tap", "TiledSpec"]

Tap = tuple[int, int]


class TiledSpec(ABC):
    """``in_lanes`` by ``out_lanes`` channels of ``tiles`` tiles at once, ``slots`` steps for each
    fold of the input channels.

    Input beats carry ``source_pixels`` pixels, output beats ``target_pixels``. ``style`` says how
    products are made; taps whose numbers are too wide to share blocks of ``family`` take one each.
    """

    ops: tuple[Any, ...]
    in_lanes: int
    out_lanes: int
    tiles: int
    target_pixels: int
    style: Style
    family: str

    def __post_init__(self):
        if self.group_pixels % self.target_pixels:
            raise ValueError(f"target_pixels must divide {self.group_pixels}")
        _ = self.strips, self.outputs  # which check the rest

    # What the engines differ in

    domain: Domain
    strips: Strips

    @property
    @abstractmethod
    def in_folds(self) -> int:
        """Folds of the input channels."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Steps of a fold."""

    @property
    @abstractmethod
    def row_products(self) -> int:
        """Products of an output channel with one tap of a tile."""

    @property
    @abstractmethod
    def product_lanes(self) -> int:
        """Output lanes whose products with one input lane are made together."""

    @property
    @abstractmethod
    def operand_latency(self) -> int:
        """Cycles from a step until its operands are there."""

    @property
    @abstractmethod
    def index_bits(self) -> int:
        """Bits of what is stored beside each weight."""

    @abstractmethod
    def weight_fields(self) -> Iterator[tuple[np.ndarray, int]]:
        """Fields of the words of weights, the first lowest: numbers (words, lanes) in the order of
        the steps, and their bits."""

    @abstractmethod
    def store_schedule(self) -> tuple[dict[str, Process], dict[str, int]]:
        """Processes and rings that lead to the ring "tiles"."""

    @abstractmethod
    def store_parts(self) -> list[Part]:
        """Parts of what holds transformed tiles."""

    @property
    @abstractmethod
    def held(self) -> int:
        """Slots of the ring "tiles" that a group of tiles takes."""

    # What they have in common

    @property
    def op(self):
        """The layer."""
        return self.ops[0]

    @property
    def group_pixels(self) -> int:
        """Pixels of a row of results that a group of tiles makes."""
        return self.domain.across.m * self.tiles

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.out_lanes, self.target_pixels),)

    @cached_property
    def taps(self) -> tuple[Tap, ...]:
        """Row and column of each tap of a tile."""
        return tuple(np.ndindex(self.domain.size))

    @property
    def multipliers(self) -> int:
        """Products a cycle."""
        return len(self.taps) * self.tiles * self.in_lanes * self.out_lanes

    @property
    def multiplications(self) -> int:
        """Products a frame; edge tiles count whole, spare lanes do not."""
        down, across = self.domain.counts
        return len(self.taps) * down * across * self.op.output.channels * self.row_products

    @property
    def out_folds(self) -> int:
        """Steps over the output channels."""
        return self.outputs[0].folds

    @property
    def words(self) -> int:
        """Words of weights: steps of a group of tiles."""
        return self.out_folds * self.in_folds * self.slots

    @cached_property
    def ideal(self) -> int:
        """Cycles a frame if every multiplier works in every cycle; edge tiles count whole."""
        return self.strips.strips * self.strips.groups * self.words

    @property
    def transforms(self) -> bool:
        """Whether there is an inverse transform."""
        return (self.domain.down.m, self.domain.across.m) != (1, 1)

    @cached_property
    def results(self) -> Programme:
        """The inverse transform."""
        return exact_results(self.domain.down.m, np.array(self.domain.results[0]))

    @property
    def divisions(self) -> int:
        """Cycles of the division by nine: two additions each."""
        return -(-len(self.ninths) // 2)

    @cached_property
    def ninths(self) -> tuple[int, ...]:
        """Shifts of the division: 1/9 = (1 - 2^3)(1 + 2^6)(1 + 2^12)... modulo a power of two."""
        assert self.domain.odd in (1, 9), "the odd part of S^2 is 1 or 9"
        bits = self.op.output.bits
        return tuple(n for n in (3, 6, 12, 24, 48) if n < bits and self.domain.odd == 9)

    @cached_property
    def sum_taps(self) -> tuple[tuple[Tap, ...], ...]:
        """Taps of each accumulator: one, or, without an inverse transform, all of them."""
        return tuple((tap,) for tap in self.taps) if self.transforms else (self.taps,)

    @property
    def terms(self) -> int:
        """Products that an adder tree sums."""
        return self.in_lanes * len(self.sum_taps[0])

    @property
    def adding(self) -> int:
        """Cycles from operands to sums of products."""
        return self.product_latency + levels(self.terms)

    @cached_property
    def made(self) -> int:
        """Cycles from a last step until its results are in the row memories: operands, products,
        one for each level of the adder tree, accumulators, two transforms, division."""
        return self.operand_latency + self.adding + 1 + 2 * self.transforms + self.divisions

    @property
    def latency(self) -> int:
        """Cycles from the step that puts a beat until it is offered: behind what makes it, the
        row memories, their choice, the queue."""
        return self.made + 3

    @property
    def strip(self) -> int:
        """Slots of results of a strip."""
        return self.strips.groups * self.out_folds

    def schedule(self) -> Schedule:
        return schedule_of(self)

    def folded(self, values: np.ndarray, fill: int = 0) -> np.ndarray:
        """``values`` (K, ...) as (output folds, out_lanes, ...); spare lanes hold ``fill``."""
        spare = self.out_folds * self.out_lanes - len(values)
        padded = np.pad(values, ((0, spare), *[(0, 0)] * (values.ndim - 1)), constant_values=fill)
        return padded.reshape(self.out_folds, self.out_lanes, *values.shape[1:])

    @cached_property
    def tap_products(self) -> dict[Tap, Products]:
        """Products of one input lane, by tap: every tile with ``product_lanes`` output lanes."""
        found = {}
        every = int(self.domain.weight_bits.max())
        for tap in self.taps:
            # Taps that go into one sum are made alike.
            least = int(self.domain.weight_bits[tap]) if self.transforms else every
            weights = self.domain.weights[tap] if self.transforms else self.domain.weights
            bits = max(2, least)
            few = bits == 2 and weights.min() >= -1
            plain = Products(
                *self.strips.shapes[tap[0]][tap[1]],
                bits,
                Weights.TERNARY if few else Weights.INTEGER,
                pixels=self.tiles,
                lanes=self.product_lanes,
                x_least=self.strips.reaches_least(*tap),
            )
            wide = bits if few else packed_bits(weights, bits, self.style)
            found[tap] = replace(plain, w_bits=wide, style=self.style)
            if self.style.products > 1 and not self._fits(found[tap]):
                found[tap] = plain
        return found

    def _fits(self, products: Products) -> bool:
        return bool(self.family) and products.blocks(self.family) is not None

    @cached_property
    def product_latency(self) -> int:
        """Cycles of the slowest products; the others wait."""
        return max(products.latency for products in self.tap_products.values())

    @cached_property
    def sum_bits(self) -> tuple[int, ...]:
        """Bits of each accumulator, two's complement; no more than need be."""
        found = []
        for taps in self.sum_taps:
            lo, hi = sum(self.domain.sums[tap] for tap in taps)
            found.append(min(signed_bits(lo, hi), self.domain.modulus))
        return tuple(found)

    @cached_property
    def first_words(self) -> np.ndarray:
        """What the sums of the tap ``domain.home`` start from, (output folds, out_lanes)."""
        return self.folded(self.domain.first)

    @property
    def first_bits(self) -> int:
        """Stored bits of them, two's complement."""
        return signed_bits(self.first_words.min(), self.first_words.max())

    def blocks(self, family: str) -> int:
        """DSP blocks of all products."""
        counts = Counter(self.tap_products.values())
        each = ((products.blocks(family) or 0) * n for products, n in counts.items())
        return sum(each) * self.in_lanes * self.out_lanes // self.product_lanes

    @property
    def word_bits(self) -> int:
        """Bits of a word of the memory of weights."""
        entry = sum(products.w_bits + self.index_bits for products in self.tap_products.values())
        return entry * self.in_lanes * self.out_lanes

    def primitives(self) -> list[Part]:
        return parts_of(self)
