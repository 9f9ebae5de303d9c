"""The soma: what happens to membranes, ``units`` of them a cycle, in a pipeline that runs free.

Cycles after the step that names a word of neurons: 1, its word is addressed; 2, the membranes are
there, and so are the weights; 3, comparisons and what leaks are; 4, the sum is, and the word is
written. So the same word may come again after ``PIPELINE`` cycles, and a layer is walked in at
least so many.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import C, Cat, Const, Elaboratable, Module, Mux, Signal, signed

from hwgen.network import Leaky, SpikingLinear
from hwgen.network.types import signed_bits
from hwgen.primitives import Adder, Clip, Compare, Delay, Memory, Multiplier, Part, Register
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates import constant
from hwgen.rtl_templates.constant import times
from hwgen.rtl_templates.memory import Ram, Rom, rom_part, words_of
from hwgen.rtl_templates.pipeline import delay, register, split

__all__ = ["LATENCY", "PIPELINE", "Folding", "Soma", "soma_parts"]

#: Cycles until a word that was read may be read again.
PIPELINE = 4

#: Cycles from the step that fires to the beat of spikes.
LATENCY = 4


@dataclass(frozen=True)
class Folding:
    """The neurons of ``op`` in words of ``units``."""

    op: SpikingLinear | Leaky
    units: int

    @property
    def words(self) -> int:
        """Words of neurons; the last is padded."""
        return -(-self.op.neurons // self.units)

    @property
    def folds(self) -> int:
        """Cycles to walk all neurons."""
        return max(self.words, PIPELINE)

    @staticmethod
    def useful(neurons: int) -> list[int]:
        """Numbers of units that walk ``neurons`` in fewer cycles than any smaller number."""
        folds = range(min(neurons, PIPELINE), neurons + 1)
        return sorted({-(-neurons // n) for n in folds})

    def per_word(self, values: np.ndarray) -> np.ndarray:
        """Values of each neuron (..., N) as (..., words, units)."""
        spare = self.words * self.units - values.shape[-1]
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, spare)])
        return padded.reshape(*values.shape[:-1], self.words, self.units)

    @cached_property
    def weight_bits(self) -> int:
        """Bits of what is added to a membrane at once."""
        if isinstance(self.op, Leaky):
            return self.op.input.bits + (not self.op.input.signed)
        return signed_bits(int(self.op.codebook.min()), int(self.op.codebook.max()))

    @property
    def largest(self) -> bool:
        """Whether the largest membrane of each neuron is kept, beside the membrane."""
        return getattr(self.op, "readout", "spikes") == "membrane"

    @property
    def word_bits(self) -> int:
        """Bits of a word of the membrane memory."""
        return self.units * self.op.membrane_bits * (1 + self.largest)

    @cached_property
    def constants(self) -> dict[str, tuple[np.ndarray, int]]:
        """Numbers of the neurons, (N,), and their bits, two's complement."""
        op = self.op
        return {
            name: (
                np.broadcast_to(values, (op.neurons,)).astype(np.int64),
                signed_bits(int(values.min()), int(values.max())),
            )
            for name, values in (
                ("bias", op.bias), ("decay", op.decay), ("threshold", op.threshold)
            )
        }  # fmt: skip

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """Constants that differ from neuron to neuron, and so lie in a memory."""
        return tuple(
            name for name, (values, _) in self.constants.items() if len(np.unique(values)) > 1
        )

    @property
    def shifted(self) -> bool:
        """Whether membranes leak by a shift alone."""
        first = int(self.op.decay[0])
        return "decay" not in self.stored and first > 0 and constant.is_shift(first)


def soma_parts(folding: Folding) -> Iterator[Part]:
    """Parts of a ``Soma``."""
    op, units, bits = folding.op, folding.units, folding.op.membrane_bits
    yield Memory(folding.words, folding.word_bits, "ram")
    number, padded = (folding.words - 1).bit_length(), folding.words * units > op.neurons
    yield Register(number * (4 if padded else 1) + 12)
    yield Delay(number, 0 if padded else 3)  # for spare neurons it is looked at on its way
    yield MuxPart(bits, 2, units)  # fresh or stored
    yield Adder(bits, units)
    yield Compare(bits, units)
    # What is left, what is added to it, the sum; a product is subtracted later, so it waits too.
    added = max(folding.weight_bits, folding.constants["bias"][1])
    waiting = 2 if folding.shifted or not op.decay.any() else 3
    yield Register((waiting * bits + added + 1) * units)
    yield MuxPart(added, 2, units)
    if op.decay.any():
        yield Adder(bits, units)
    if folding.shifted:  # nothing leaks within a step
        yield MuxPart(bits - op.decay_shift, 2, units)
    if "decay" in folding.stored:
        yield Multiplier(bits, folding.constants["decay"][1], units, "soma")
    else:
        yield from constant.parts(bits, int(op.decay[0]), units)
    if op.saturates:
        yield Clip(bits + 1, bits, 2, units)
    if op.reset == "subtract":
        lowered = 1 + max(folding.constants[name][1] for name in ("bias", "threshold"))
        yield MuxPart(lowered, 2, units)
        if {"bias", "threshold"} & {*folding.stored}:
            yield Adder(lowered, units)
            yield Register(lowered * units)
    elif op.reset == "zero":
        yield MuxPart(bits, 2, units)
    if folding.largest:
        yield Compare(bits, units)
        yield MuxPart(bits, 2, 2 * units)
        yield Register(bits * units)
    if folding.stored:
        names = folding.stored
        found = [folding.constants[name] for name in names]
        columns = [folding.per_word(values) & (1 << bits) - 1 for values, bits in found]
        yield rom_part(np.concatenate(columns, axis=1), max(bits for _, bits in found))


class Soma(Elaboratable):
    """Membranes, and what adds to them, fires and leaks.

    Attributes
    ----------
    step, fires, fresh : Signal(1), in
        A word is walked; at the end of a step; for the first time in the frame.
    fold : Signal, in
        Number of the word; those above the last are idle cycles.
    weights : list of Signal, in
        Two cycles after the step: what is added to each membrane.
    out : Signal, out
        Three cycles after a step that fires: spikes, or largest membranes, of the word.
    """

    def __init__(self, folding: Folding, name: str):
        self.folding, self.name = folding, name
        self.step, self.fires, self.fresh = Signal(), Signal(), Signal()
        self.fold = Signal(range(max(2, folding.folds)))
        self.weights = [
            Signal(signed(folding.weight_bits), name=f"weight{n}") for n in range(folding.units)
        ]
        self.out = Signal(folding.units * (folding.op.membrane_bits if folding.largest else 1))

    def elaborate(self, platform):
        m = Module()
        folding, op = self.folding, self.folding.op
        words, bits, units = folding.words, op.membrane_bits, folding.units
        used = self.fold < words if folding.folds > words else C(1, 1)
        fires = delay(m, self.fires, 2, "fires", reset_less=True)
        fresh = delay(m, self.fresh, 2, "fresh", reset_less=True)
        write = delay(m, self.step & used, 4, "write")
        fold = [self.fold]
        for n in range(4):
            fold.append(register(m, fold[-1], f"fold{n + 1}"))

        m.submodules.membranes = memory = Ram(words, folding.word_bits)
        m.d.comb += memory.address.eq(fold[1])
        cells = split(memory.data, units, folding.word_bits // units, False)
        constants = self._constants(m, fold[1])
        present = [C(1, 1)] * units
        if words * units > op.neurons:
            rest = op.neurons - (words - 1) * units
            present = [C(1, 1) if n < rest else fold[3] != words - 1 for n in range(units)]

        results, outs = [], []
        for n, (cell, weight) in enumerate(zip(cells, self.weights, strict=True)):
            bias, decay, threshold = (constants[name][n] for name in constants)
            stored = Mux(fresh, bias, cell[:bits].as_signed())
            v = Signal(signed(bits), name=f"v{n}")
            m.d.comb += v.eq(stored)
            # Cycle 2: compare, leak; a synapse's weight, or, at the end of a step, the bias.
            spiked = register(m, fires & (v > threshold), f"spiked{n}")
            left = self._left(m, v, decay, fires, n)
            added = register(m, Mux(fires, bias, weight), f"added{n}")
            # Cycle 3: reset, from the bias, which has fewer bits than a membrane; and the one sum.
            if op.reset == "subtract":
                added = Mux(spiked, self._lowered(m, bias, threshold, n), added)
            elif op.reset == "zero":
                left = Mux(spiked, 0, left)
            result = self._clip(m, left + added)[:bits]
            if folding.largest:
                before_best = Mux(fresh, op.limits[0], cell[bits:].as_signed())
                better = fires & (v > before_best)
                best = register(m, Mux(better, v, before_best)[:bits].as_signed(), f"best{n}")
                result = Cat(result, best)
                outs.append(Mux(present[n], best, 0)[:bits])
            else:
                outs.append(spiked & present[n])
            results.append(register(m, result, f"result{n}"))
        m.d.comb += [
            self.out.eq(Cat(outs)),
            memory.write.eq(write),
            memory.write_address.eq(fold[4]),
            memory.write_data.eq(Cat(results)),
        ]
        return m

    def _left(self, m, v, decay, fires, n):
        """``v``, or, if ``fires``, what is left of it after the leak, in the next cycle."""
        op, bits = self.folding.op, self.folding.op.membrane_bits
        if not op.decay.any():
            return register(m, v, f"left{n}")
        product = v * decay if isinstance(decay, Signal) else times(v, int(op.decay[0]))
        dropped = Mux(fires, product >> op.decay_shift, 0)
        if self.folding.shifted:  # what is left lies between 0 and v
            return register(m, (v - dropped)[:bits].as_signed(), f"left{n}")
        return register(m, v, f"before{n}") - register(m, dropped, f"dropped{n}")

    def _lowered(self, m, bias, threshold, n):
        """``bias - threshold``, in the next cycle."""
        if isinstance(bias, Const) and isinstance(threshold, Const):
            return C(bias.value - threshold.value)
        return register(m, bias - threshold, f"lowered{n}")

    def _clip(self, m, value):
        """``value`` clipped to a membrane; in a layer that never clips, just its low bits."""
        lo, hi = self.folding.op.limits
        bits = self.folding.op.membrane_bits
        if not self.folding.op.saturates:
            return value[:bits].as_signed()
        clipped = Signal(signed(bits))
        m.d.comb += clipped.eq(Mux(value > hi, hi, Mux(value < lo, lo, value)))
        return clipped

    def _constants(self, m, fold):
        """Bias, decay and threshold of each unit: numbers, or signals in the cycle after ``fold``
        is given."""
        folding = self.folding
        found = {
            name: [C(int(values[0]), signed(bits))] * folding.units
            for name, (values, bits) in folding.constants.items()
        }
        if folding.stored:
            columns, widths = [], []
            for name in folding.stored:
                values, bits = folding.constants[name]
                columns.append(words_of(folding.per_word(values), bits))
                widths.append(folding.units * bits)
            words = [
                sum(word << sum(widths[:n]) for n, word in enumerate(row))
                for row in zip(*columns, strict=True)
            ]
            m.submodules.constants = rom = Rom(words, sum(widths), f"{self.name}_neurons")
            m.d.comb += rom.address.eq(fold)
            start = 0
            for name, width in zip(folding.stored, widths, strict=True):
                bits = width // folding.units
                parts = split(rom.data[start : start + width], folding.units, bits, True)
                found[name] = []
                for n, part in enumerate(parts):
                    found[name].append(Signal(signed(bits), name=f"{name}{n}"))
                    m.d.comb += found[name][-1].eq(part)
                start += width
        return found
