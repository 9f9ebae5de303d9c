"""Signs of sums: a comparison for each channel, in place of a requantisation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from amaranth import C, Cat, Module, signed
from amaranth.lib import wiring

from hwgen.beats import Beats, useful_lanes
from hwgen.network import Threshold
from hwgen.network.types import bits_for
from hwgen.primitives import Compare, Part, Register
from hwgen.rtl_templates.memory import Rom, rom_part, words_of
from hwgen.rtl_templates.pipeline import ports, register, split
from hwgen.rtl_templates.queue import Queue, depth_for, passing
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["ThresholdSpec", "Thresholder"]


@dataclass(frozen=True)
class ThresholdSpec:
    """``lanes`` channels of ``pixels`` pixels at once."""

    ops: tuple[Threshold, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self):
        _ = self.inputs, self.outputs  # which check the folding

    @property
    def op(self) -> Threshold:
        """The op."""
        return self.ops[0]

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes, self.pixels),)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    @property
    def latency(self) -> int:
        """Cycles: operands, which wait for the thresholds that the memory reads; comparison;
        queue."""
        return 4

    @property
    def folds(self) -> int:
        """Beats a pixel group."""
        return self.inputs[0].folds

    @property
    def bits(self) -> int:
        """Stored bits of a threshold, two's complement."""
        bits, is_signed = bits_for(int(self.words().min()), int(self.words().max()))
        return bits + (not is_signed)

    def words(self) -> np.ndarray:
        """Thresholds, (folds, lanes); a lane without a channel never reaches its own."""
        spare = self.folds * self.lanes - self.op.input.channels
        never = self.op.input.hi + 1
        padded = np.pad(self.op.thresholds.astype(np.int64), (0, spare), constant_values=never)
        return padded.reshape(-1, self.lanes)

    @property
    def stores(self) -> bool:
        """Whether a memory holds the thresholds: folds that are all alike have constants."""
        words = self.words()
        return bool((words != words[0]).any())

    def process(self) -> Process:
        """Every beat of the frame, one a step."""
        beats = self.inputs[0]
        loops = (beats.type.map_shape[0] * beats.groups, self.folds)
        put = Put("o", self.latency, depth_for(self.latency, 1))
        return Process(loops, takes=(Take("i"),), puts=(put,))

    def schedule(self) -> Schedule:
        return Schedule({"threshold": self.process()})

    def primitives(self) -> list[Part]:
        put, values, words = self.process().puts[0], self.inputs[0].values, self.words()
        # Where all compare with zero, a sign bit is all that is kept of a sum.
        kept = 1 if not words.any() else self.op.input.bits
        parts: list[Part] = [
            *Sequencer.primitives(self.process()),
            Register(2 * kept * values + self.latency - 1),
            Compare(kept, values, constant=not self.stores),
            Register(values),
            *Queue.primitives(self.outputs[0].width, put.depth),
        ]
        if self.stores:
            thresholds = rom_part(words, self.bits)
            parts += [thresholds, Register(thresholds.width)]
        return parts

    def create(self, name: str = "threshold") -> "Thresholder":
        return Thresholder(self, name)

    @staticmethod
    def foldings(op: Threshold, family: str) -> Iterator["ThresholdSpec"]:
        """Every number of lanes that wastes no fold, and of pixels that divides the width."""
        channels, width = op.input.channels, op.input.map_shape[1]
        for lanes in useful_lanes(channels):
            for pixels in (n for n in range(1, width + 1) if width % n == 0):
                yield ThresholdSpec((op,), lanes, pixels)


class Thresholder(wiring.Component):
    """The engine of ``ThresholdSpec``: a beat a cycle, each ``spec.latency`` cycles later."""

    def __init__(self, spec: ThresholdSpec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, op = self.spec, self.spec.op
        sequencer, queue = passing(m, self, spec.process(), spec.latency)
        thresholds = self._thresholds(m, sequencer.index[1])
        values = split(self.i.payload, spec.inputs[0].values, op.input.bits, op.input.signed)
        for _ in range(2):
            values = [register(m, value) for value in values]
        reached = [
            register(m, value >= thresholds[n % spec.lanes]) for n, value in enumerate(values)
        ]
        m.d.comb += queue.data.eq(Cat(reached))
        return m

    def _thresholds(self, m, fold):
        """Threshold of each lane, two cycles after ``fold``."""
        words, bits = self.spec.words(), self.spec.bits
        if not self.spec.stores:
            return [C(int(word), signed(bits)) for word in words[0]]
        rom = Rom(words_of(words, bits), bits * self.spec.lanes, f"{self.name}_thresholds")
        m.submodules.thresholds = rom
        m.d.comb += rom.address.eq(fold)
        return [register(m, value) for value in split(rom.data, self.spec.lanes, bits, True)]
