"""The hardware of requantisation: a product, rounding, a clip, all pipelined."""

from functools import reduce
from operator import add

from amaranth import C, Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring

from hwgen.rtl_templates.adders import plus
from hwgen.rtl_templates.memory import Rom, words_of
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.queue import passing

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """The engine of ``RequantiseSpec``: a beat a cycle, each ``spec.latency`` cycles later."""

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, op = self.spec, self.spec.op
        sequencer, queue = passing(m, self, spec.process(), spec.latency)
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
            multiplied(
                m, spec.products, values[n :: spec.lanes], [Cat(scales[n], C(0, 1)).as_signed()]
            )
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
