"""Streams side by side: the channels of several maps become those of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from operator import and_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats
from hwgen.network import Concat
from hwgen.primitives import Adder, Part
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.pipeline import split
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["ConcatSpec"]


@dataclass(frozen=True)
class ConcatSpec:
    """``lanes`` channels of ``pixels`` pixels leave at once; inputs are called ``i0``, ``i1`` ...

    Either one input after another, each in beats of as many lanes, which divide the channels of all
    but the last; or, with as many lanes as channels, a whole beat of all inputs at once.
    """

    ops: tuple[Concat, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self):
        if not self.is_whole and any(k.channels % self.lanes for k in self.op.inputs[:-1]):
            raise ValueError(f"{self.lanes} lanes do not divide the channels of {self.op.inputs}")
        _ = self.inputs, self.outputs  # which check the rest

    @property
    def op(self) -> Concat:
        """The op."""
        return self.ops[0]

    @property
    def is_whole(self) -> bool:
        """Whether all channels leave at once."""
        return self.lanes == self.op.output.channels

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return tuple(
            Beats(kind, kind.channels if self.is_whole else self.lanes, self.pixels)
            for kind in self.op.inputs
        )

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    def process(self) -> Process:
        """Every beat that leaves, as soon as what it is made of is there; a cycle later it is."""
        beats = self.outputs[0]
        put = Put("o", 1, depth_for(1, 1))
        ends = list(accumulate((source.folds for source in self.inputs), initial=0))
        takes = tuple(
            Take(f"i{n}", {} if self.is_whole else {1: range(ends[n], ends[n + 1])})
            for n in range(len(self.inputs))
        )
        return Process((beats.count // beats.folds, beats.folds), takes=takes, puts=(put,))

    def schedule(self) -> Schedule:
        return Schedule({"concat": self.process()})

    def primitives(self) -> list[Part]:
        process, beats = self.process(), self.outputs[0]
        parts: list[Part] = [
            *Sequencer.primitives(process, skip=1),
            *Queue.primitives(beats.width, process.puts[0].depth),
        ]
        if not self.is_whole:
            parts.append(MuxPart(beats.type.bits, len(self.inputs), beats.values))
        for source, shift in zip(self.inputs, self.op.shifts, strict=True):
            if self.op.zero_point != source.type.zero_point << shift:
                parts.append(Adder(beats.type.bits, source.values, constant=True))
        return parts

    def create(self, name: str = "concat") -> "Concatenating":
        return Concatenating(self)

    @staticmethod
    def foldings(op: Concat, family: str) -> Iterator["ConcatSpec"]:
        """Every number of lanes that the channels allow, and of pixels that divides the width."""
        most, width = min(kind.channels for kind in op.inputs), op.output.map_shape[1]
        shared = [n for n in range(1, most + 1) if not any(k.channels % n for k in op.inputs[:-1])]
        for lanes in (*shared, op.output.channels):
            for pixels in (n for n in range(1, width + 1) if width % n == 0):
                yield ConcatSpec((op,), lanes, pixels)


class Concatenating(wiring.Component):
    """The engine of ``ConcatSpec``: a beat a cycle."""

    def __init__(self, spec: ConcatSpec):
        self.spec = spec
        ports = {f"i{n}": In(stream.Signature(b.width)) for n, b in enumerate(spec.inputs)}
        super().__init__({**ports, "o": Out(stream.Signature(spec.outputs[0].width))})

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        process = spec.process()
        width = spec.outputs[0].width
        m.submodules.sequencer = sequencer = Sequencer(process)
        m.submodules.queue = queue = Queue(width, process.puts[0].depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        streams = [getattr(self, take.port) for take in process.takes]
        chosen = [sequencer.selects(take.at) for take in process.takes]
        there = [stream.valid | ~used for stream, used in zip(streams, chosen, strict=True)]
        step = reduce(and_, there, queue.room)
        m.d.comb += [sequencer.step.eq(step), queue.reserve.eq(step), queue.push.eq(step)]
        m.d.comb += [
            # Inputs that leave together are taken only together.
            stream.ready.eq(step & used)
            for stream, used in zip(streams, chosen, strict=True)
        ]
        values = [self._aligned(m, number, sequencer.index[1]) for number in range(len(streams))]
        if spec.is_whole:
            beats = list(zip(values, (source.lanes for source in spec.inputs), strict=True))
            channels = [
                part[pixel * lanes : (pixel + 1) * lanes]
                for pixel in range(spec.pixels)
                for part, lanes in beats
            ]
            m.d.comb += queue.data.eq(Cat(*channels))
        else:
            data = Cat(values[-1])
            for used, part in zip(chosen[:-1], values[:-1], strict=True):
                data = Mux(used, Cat(part), data)
            m.d.comb += queue.data.eq(data)
        return m

    def _aligned(self, m, number: int, fold):
        """Values of a beat of input ``number`` as those of the output."""
        spec = self.spec
        beats, shift, target = spec.inputs[number], spec.op.shifts[number], spec.op.output
        kind = beats.type
        port = getattr(self, f"i{number}")
        offset = target.zero_point - (kind.zero_point << shift)
        used = kind.channels - (beats.folds - 1) * beats.lanes
        aligned = []
        for n, value in enumerate(split(port.payload, beats.values, kind.bits, kind.signed)):
            if offset and n % beats.lanes >= used:  # a lane without a channel at the end
                shown = Mux(fold == spec.outputs[0].folds - 1, 0, (value << shift) + offset)
            else:
                shown = (value << shift) + offset
            aligned.append(Signal(target.bits, name=f"i{number}_{n}"))
            m.d.comb += aligned[-1].eq(shown)
        return aligned
