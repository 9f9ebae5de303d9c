"""Requantisation: from wide sums to narrow activations, exactly as ``Requantise.compute``."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
from amaranth import C, Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring

from hwgen.beats import Beats, useful_lanes
from hwgen.cost.multiply import RULES
from hwgen.network import Requantise
from hwgen.primitives import Adder, Compare, Multiplier, Part, Register
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.adders import plus
from hwgen.rtl_templates.memory import Rom, rom_part, words_of
from hwgen.rtl_templates.multiply import BLOCK, SOFT, Products, Style
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["RequantiseSpec", "Requantiser"]

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
        wide, _ = op.centred
        unused = max(0, op.shift - 1)  # low bits that the shift drops and rounding never carries
        parts: list[Part] = [
            *Sequencer.primitives(self.process(), skip=1 if self.chooses else 2),
            Register((wide - unused if op.is_shift else wide) * values + self.latency - 1),
        ]
        if op.input.zero_point:
            parts.append(Adder(wide, values, constant=True))
        if not op.is_shift:
            words, bits = self.scale_words(), self.scale_bits
            scales = rom_part(words, self.stored_bits)
            if self.stores:
                parts.append(scales)
            if self.soft:
                parts += self.products.primitives(self.lanes)
            pieces = [] if self.soft else self.pieces
            for start, piece in pieces:
                parts += self._multipliers(piece, words)
                # Of the lowest piece, bits that no other piece reaches may be unused.
                alone = pieces[1][0] if len(pieces) > 1 else piece + bits
                dropped = min(unused, alone) if start == 0 else 0
                parts.append(Register((piece + bits - dropped) * values))
            wide += bits
            if len(pieces) > 1:
                parts += [Adder(wide, values), Register((wide - unused) * values)]
            if op.negative is not None:
                parts += [MuxPart(self.stored_bits, 2, values), Register(self.stored_bits * values)]
            elif self.stores:
                parts.append(Register(scales.width))
            parts.append(Register(op.centred[0] * values))
        if self.offset:
            parts.append(Adder(wide + 1 - unused, values, constant=True))
        narrow = max(2, wide + bool(self.offset) - op.shift)
        parts += [
            Register(narrow * values),
            Compare(narrow, 2 * values, constant=True),
            MuxPart(op.bits, 3, values),
            Register(op.bits * values),
            *Queue.primitives(self.outputs[0].width, put.depth),
        ]
        return parts

    def _multipliers(self, piece: int, words: np.ndarray) -> Iterator[Multiplier]:
        """Products of a piece of each sum with a scale; a power of two takes none."""
        alike = bool((words == words[0]).all()) and self.op.negative is None
        if not alike:
            values, bits = self.inputs[0].values, self.scale_bits
            yield Multiplier(piece + 1, bits + 1, values, "requantise", piece + bits)
            return
        for scale in (int(scale) for scale in words[0]):
            if scale.bit_count() > 1:
                bits = scale.bit_length()
                yield Multiplier(piece + 1, bits + 1, self.pixels, "requantise", piece + bits)

    def create(self, name: str = "requantise") -> "Requantiser":
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


class Requantiser(wiring.Component):
    """The engine of ``RequantiseSpec``: a beat a cycle, each ``spec.latency`` cycles later."""

    def __init__(self, spec: RequantiseSpec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, op = self.spec, self.spec.op
        process = spec.process()
        m.submodules.sequencer = sequencer = Sequencer(process)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, process.puts[0].depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += [
            self.i.ready.eq(queue.room),
            sequencer.step.eq(self.i.valid & queue.room),
            queue.reserve.eq(sequencer.step),
            queue.push.eq(delay(m, sequencer.step, spec.latency - 1, "step")),
        ]
        fold = sequencer.index[1]
        values = split(self.i.payload, spec.inputs[0].values, op.input.bits, op.input.signed)
        values = [register(m, self._centred(value)) for value in values]
        if not op.is_shift:
            scales = self._scales_of(m, fold, values)
            values = [register(m, value) for value in values]
            terms = self._products(m, values, scales)
        else:
            terms = [(value, None) for value in values]
        rounded = [register(m, self._round(*term)) for term in terms]
        in_range = self._present(delay(m, fold, spec.latency - 2, "fold", reset_less=True))
        clipped = [
            Signal(op.bits, reset_less=True, name=f"clipped{n}") for n in range(len(rounded))
        ]
        for n, (store, value) in enumerate(zip(clipped, rounded, strict=True)):
            m.d.sync += store.eq(Mux(in_range[n % spec.lanes], _clip(value, op.lo, op.hi), 0))
        m.d.comb += queue.data.eq(join(clipped, op.bits))
        return m

    def _centred(self, value):
        """``value`` less its zero point, in as many bits as that takes."""
        bits, is_signed = self.spec.op.centred
        if not self.spec.op.input.zero_point:
            return value
        value = (value - self.spec.op.input.zero_point)[:bits]
        return value.as_signed() if is_signed else value

    def _round(self, value, carry):
        """A product shifted right, with the zero point."""
        offset = C(self.spec.offset, signed(self.spec.offset.bit_length() + 1))
        return (
            value + offset if carry is None else plus(value, offset, carry)
        ) >> self.spec.op.shift

    def _products(self, m, values, scales):
        """Each value times its scale, and what is to be added to it."""
        spec = self.spec
        if not spec.soft:
            pairs = zip(values, scales, strict=True)
            return [(self._product(m, *pair), None) for pair in pairs]
        made = [
            spec.products.build(m, values[n :: spec.lanes], [Cat(scales[n], C(0, 1)).as_signed()])
            for n in range(spec.lanes)
        ]
        return [lane[pixel][0] for pixel in range(spec.pixels) for lane in made]

    def _product(self, m, value, scale):
        """``value * scale``, a cycle later, or two in pieces."""
        terms = []
        for start, bits in self.spec.pieces:
            piece = value[start : start + bits]
            if self.spec.op.centred[1] and start + bits == len(value):
                piece = piece.as_signed()  # the sign is in the last
            terms.append(register(m, piece * scale) << start)
        return terms[0] if len(terms) == 1 else register(m, reduce(add, terms))

    def _scales_of(self, m, fold, values):
        """Multiplier of each of ``values``, two cycles after ``fold``, one after the values."""
        spec, lanes = self.spec, self.spec.lanes
        scales = self._scales(m, fold)
        if spec.op.negative is not None:
            below = (value[-1] if spec.op.centred[1] else C(0, 1) for value in values)
            pairs = ((scales[n % lanes], scales[lanes + n % lanes]) for n in range(len(values)))
            chosen = (Mux(low, b, a) for low, (a, b) in zip(below, pairs, strict=True))
            return [register(m, scale) for scale in chosen]
        scales = [s if isinstance(s, Const) else register(m, s) for s in scales]
        return [scales[n % lanes] for n in range(len(values))]

    def _scales(self, m, fold):
        """Multipliers of each lane, in the cycle after ``fold``."""
        words, bits = self.spec.scale_words(), self.spec.stored_bits
        is_signed = bits > self.spec.scale_bits
        if not self.spec.stores:
            return [C(int(scale), Shape(bits, is_signed)) for scale in words[0]]
        rom = Rom(words_of(words, bits), bits * words.shape[1], f"{self.name}_scales")
        m.submodules.scales = rom
        m.d.comb += rom.address.eq(fold)
        return split(rom.data, words.shape[1], bits, is_signed)

    def _present(self, fold):
        """Whether each lane has a channel."""
        if not self.spec.spare:
            return [C(1, 1)] * self.spec.lanes
        last = self.spec.folds - 1
        used = self.spec.op.input.channels - last * self.spec.lanes
        return [C(1, 1) if n < used else fold != last for n in range(self.spec.lanes)]


def _clip(value, lo, hi):
    """``value`` clipped to ``[lo, hi]``; the low bits of the result are all that count."""
    return Mux(value > hi, hi, Mux(value < lo, lo, value))
