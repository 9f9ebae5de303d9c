"""Requantisation: from wide sums to narrow activations, exactly as ``Requantise.compute``."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hwgen.beats import Beats, useful_lanes
from hwgen.cost.multiply import RULES, outside
from hwgen.network import Requantise
from hwgen.primitives import Adder, Around, Clip, Multiplier, Part, Register, SoftProduct
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.adders import tree_parts
from hwgen.rtl_templates.memory import rom_part
from hwgen.rtl_templates.multiply import BLOCK, SOFT, Products, Style
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.requantiser import Requantiser
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["RequantiseSpec"]

#: Bits of a sum that one DSP block multiplies at full speed, by family. On ECP5 (18 x 18, signed)
#: two blocks in a row are too slow for one cycle; on UltraScale+ (27 x 18) sums seldom need two.
LIMBS = {"ecp5": 17, "xcup": 26}


@dataclass(frozen=True)
class RequantiseSpec:
    """``lanes`` channels of ``pixels`` pixels at once.

    Sums wider than ``limb`` bits are multiplied in pieces of so many, each product in its own DSP
    block and clock cycle; 0 multiplies them whole. ``style`` is one product a block, or in LUTs.
    """

    ops: tuple[Requantise, ...]
    lanes: int
    pixels: int = 1
    limb: int = 0
    style: Style = BLOCK

    def __post_init__(self):
        if self.style not in (BLOCK, SOFT):
            raise ValueError("the products of a requantisation share no operand")
        if self.style == SOFT and self.op.negative is not None:
            raise ValueError("products in LUTs have one multiplier a channel")
        _ = self.inputs, self.outputs  # which check the folding

    @property
    def op(self) -> Requantise:
        """The op."""
        return self.ops[0]

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes, self.pixels),)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    @property
    def multipliers(self) -> int:
        """Multipliers by the scale; none when every scale is a power of two."""
        return 0 if self.op.is_shift else self.lanes * self.pixels

    @property
    def latency(self) -> int:
        """Cycles: operands, rounding, clip, queue; with a product, also the scale that the memory
        read, the product, and the sum of its pieces."""
        if self.op.is_shift:
            return 4
        made = self.products.latency if self.soft else 1
        return 5 + made + (len(self.pieces) > 1)

    @property
    def products(self) -> Products:
        """Products of one lane in LUTs, made whole: every pixel's sum with its scale. A scale is
        unsigned, a weight is not."""
        bits = self.scale_bits + 1
        return Products(*self.op.centred, bits, style=self.style, pixels=self.pixels)

    @property
    def soft(self) -> bool:
        """Whether ``products`` makes the products. It has one scale a lane: where negative sums
        have a scale of their own, that of each pixel is another."""
        return self.products.soft and self.op.negative is None

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """First bit and bits of each piece of a sum."""
        bits, _ = self.op.centred
        step = 0 if self.soft else self.limb
        step = step or bits
        # What is left over at the top joins the last piece if that is then still a bit wider only.
        starts = [n for n in range(0, bits, step) if n == 0 or bits - n > 1]
        return [(a, b - a) for a, b in pairwise([*starts, bits])]

    @property
    def folds(self) -> int:
        """Beats a pixel group."""
        return self.inputs[0].folds

    @property
    def scale_bits(self) -> int:
        """Bits of a multiplier without its sign."""
        negative = 0 if self.op.negative is None else int(np.abs(self.op.negative).max())
        return max(1, max(int(self.op.multiplier.max()), negative).bit_length())

    @property
    def stored_bits(self) -> int:
        """Bits of a multiplier in memory, with its sign if any is negative."""
        negative = self.op.negative is not None and bool((self.op.negative < 0).any())
        return self.scale_bits + negative

    @property
    def offset(self) -> int:
        """What is added before the shift: a half for rounding, and the zero point."""
        half = 1 << (self.op.shift - 1) if self.op.shift else 0
        return half + (self.op.zero_point << self.op.shift)

    @property
    def spare(self) -> bool:
        """Whether the last fold has lanes without a channel, which must put zeros."""
        return self.folds * self.lanes != self.op.input.channels

    @property
    def chooses(self) -> bool:
        """Whether folds differ, so that they must be counted."""
        return self.spare or self.stores

    @property
    def stores(self) -> bool:
        """Whether a memory holds the multipliers: folds that are all alike have constants."""
        scales = self.scale_words()
        return not self.op.is_shift and bool((scales != scales[0]).any())

    def scale_words(self) -> np.ndarray:
        """Multipliers, (folds, lanes); those for negative sums are as many more in each row."""
        spare = self.folds * self.lanes - self.op.input.channels
        sides = [side for side in (self.op.multiplier, self.op.negative) if side is not None]
        words = [np.pad(s.astype(np.int64), (0, spare)).reshape(-1, self.lanes) for s in sides]
        return np.hstack(words)

    def process(self) -> Process:
        """Every beat of the frame, one a step."""
        beats = self.inputs[0]
        loops = (beats.type.map_shape[0] * beats.groups, self.folds)
        put = Put("o", self.latency, depth_for(self.latency, 1))
        return Process(loops, takes=(Take("i"),), puts=(put,))

    def schedule(self) -> Schedule:
        return Schedule({"requantise": self.process()})

    def primitives(self) -> list[Part]:
        op, values, put = self.op, self.inputs[0].values, self.process().puts[0]
        wide = op.centred[0] + (0 if op.is_shift else self.scale_bits)
        parts: list[Part] = [
            *Sequencer.primitives(self.process(), skip=1 if self.chooses else 2),
            Register(self.latency - 1),
        ]
        if op.input.zero_point:
            parts.append(Adder(op.centred[0], values, constant=True))
        scales = rom_part(self.scale_words(), self.stored_bits)
        if self.stores:
            parts.append(scales)
        if op.is_shift:
            parts += [Register((wide - self.unused) * values), *self._rounding(wide, values)]
        elif self.soft:
            products = self.products
            made = products.primitives(self.lanes, stored=scales.width if self.stores else 0)
            if not self.stores:  # a constant's row is its factor, and costs an adder, if anything
                made = [part for part in made if not isinstance(part, SoftProduct)]
                wide_row, words = op.centred[0] + 3, self.scale_words()[0]
                made += [Adder(wide_row, self.pixels * (_rows(int(s)) - 1)) for s in words if s]
            parts += [
                Register(op.centred[0] * values),
                *made,
                *tree_parts(products.bits, 1, 1, values, **products.carried),
                *self._rounding(wide, values),
            ]
        else:
            parts += self._block_parts(wide)
        narrow = max(2, wide + bool(self.offset) - op.shift)
        half = 1 << (narrow - 1)
        sides = (op.lo > -half) + (op.hi < half - 1)
        parts += [
            Register(narrow * values),
            Clip(narrow, min(narrow, op.bits), sides, values),
            Register(op.bits * values),
            *Queue.primitives(self.outputs[0].width, put.depth),
        ]
        return parts

    @property
    def unused(self) -> int:
        """Low bits that the shift drops, and that rounding never carries."""
        return max(0, self.op.shift - 1)

    def _rounding(self, wide: int, count: int) -> list[Part]:
        """What rounds ``count`` products of ``wide`` bits."""
        return [Adder(wide + 1 - self.unused, count, constant=True)] if self.offset else []

    def _block_parts(self, wide: int) -> Iterator[Part]:
        """Products of ``wide`` bits in DSP blocks, from the registers of the sums to what rounds
        them."""
        values, words = self.inputs[0].values, self.scale_words()
        bits, is_signed = self.op.centred
        scales, below = 0, self.stored_bits > self.scale_bits
        if self.op.negative is not None:
            yield MuxPart(self.stored_bits, 2, values)
            yield Register(values)  # signs, which choose
            scales = self.stored_bits * values
        elif self.stores:
            scales = rom_part(words, self.stored_bits).width
        for count, scale, ones in self._scaled(words):
            around = Around(
                signed=bits * count * is_signed + scales * below,
                unsigned=bits * count * (not is_signed) + scales * (not below),
                before=bits * count,
                product=(wide - self.unused) * count,
                rounding=tuple(self._rounding(wide, count)),
            )
            scales = 0
            if not scale:
                yield from outside(around)
            elif len(self.pieces) == 1:
                widths = bits + (not is_signed), scale + 1
                product = bits + scale
                yield Multiplier(*widths, count, "requantise", product, around, ones)
            else:
                yield from self._in_pieces(wide, count, scale)
                yield from outside(around)

    def _in_pieces(self, wide: int, count: int, scale: int) -> Iterator[Part]:
        """Products that are sums of products of pieces with a scale of so many bits."""
        pieces = self.pieces
        yield Adder(wide, count)
        for start, bits in pieces:
            # Of the lowest piece, bits that no other piece reaches may be unused.
            dropped = min(self.unused, pieces[1][0]) if start == 0 else 0
            yield Register((bits + self.scale_bits - dropped) * count)
            is_signed = self.op.centred[1] and (start, bits) == pieces[-1]
            widths = bits + (not is_signed), scale + 1
            yield Multiplier(*widths, count, "requantise", bits + scale)

    def _scaled(self, words: np.ndarray) -> Iterator[tuple[int, int, int | None]]:
        """How many sums are multiplied by a scale of how many bits; a power of two has none. Of
        constant ones, how many are set."""
        if self.stores or self.op.negative is not None:
            yield self.inputs[0].values, self.scale_bits, None
            return
        for scale in map(int, words[0]):
            ones = scale.bit_count()
            yield self.pixels, scale.bit_length() if ones > 1 else 0, ones

    def create(self, name: str = "requantise") -> Requantiser:
        return Requantiser(self, name)

    @staticmethod
    def foldings(op: Requantise, family: str) -> Iterator["RequantiseSpec"]:
        """Every number of lanes that wastes no fold, and of pixels that divides the width."""
        channels, width = op.input.channels, op.input.map_shape[1]
        for lanes in useful_lanes(channels):
            for pixels in (n for n in range(1, width + 1) if width % n == 0):
                spec = RequantiseSpec((op,), lanes, pixels, LIMBS.get(family, 0))
                yield spec
                if RULES[family] and not op.is_shift and op.negative is None:
                    yield replace(spec, style=SOFT)


def _rows(scale: int) -> int:
    """Digits of a constant that are not zero, as Booth's recoding has them: two bits and the one
    below them are not alike."""
    return sum((2 * scale >> n) & 7 not in (0, 7) for n in range(0, scale.bit_length() + 1, 2))
