"""Maps made smaller or larger at their edges: parts of them taken out, and padding put around."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar

from amaranth import C, Cat, Module, Mux
from amaranth.lib import wiring

from hwgen.beats import Beats, useful_lanes
from hwgen.network import Pad2d, Slice
from hwgen.primitives import Logic, Part
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.pipeline import ports, split
from hwgen.rtl_templates.queue import Queue, depth_for, passing
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["PadSpec", "SliceSpec"]


class _Walk:
    """What both have: they walk the larger map, a beat a step."""

    ops: tuple
    lanes: int
    pixels: int
    #: None.
    multipliers: ClassVar[int] = 0

    @property
    def op(self):
        """The op."""
        return self.ops[0]

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes, self.pixels),)

    def schedule(self) -> Schedule:
        return Schedule({"walk": self.process()})

    def create(self, name: str = "walk") -> "Walking":
        return Walking(self)


@dataclass(frozen=True)
class SliceSpec(_Walk):
    """``lanes`` channels of ``pixels`` pixels are taken at once.

    Unless all channels are, the lanes must divide the first that is wanted; those that leave are
    then as many.
    """

    ops: tuple[Slice, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self):
        first, end = self.op.start, self.op.stop
        if first[1] % self.pixels or (end[1] - first[1]) % self.pixels:
            raise ValueError(f"{self.pixels} pixels do not divide columns {first[1]} to {end[1]}")
        if not self.is_whole and first[2] % self.lanes:
            raise ValueError(f"{self.lanes} lanes do not divide channel {first[2]}")
        _ = self.inputs, self.outputs  # which check the rest

    @property
    def is_whole(self) -> bool:
        """Whether all channels come at once."""
        return self.lanes == self.op.input.channels

    @property
    def outputs(self) -> tuple[Beats, ...]:
        kind = self.op.output
        return (Beats(kind, kind.channels if self.is_whole else self.lanes, self.pixels),)

    def process(self) -> Process:
        """Takes every beat, and puts those that are wanted, a cycle later."""
        source, target, start = self.inputs[0], self.outputs[0], self.op.start
        group, fold = start[1] // self.pixels, 0 if self.is_whole else start[2] // self.lanes
        wanted = {
            0: range(start[0], self.op.stop[0]),
            1: range(group, group + target.groups),
            2: range(fold, fold + target.folds),
        }
        loops = (source.type.map_shape[0], source.groups, source.folds)
        return Process(loops, takes=(Take("i"),), puts=(Put("o", 1, depth_for(1, 1), wanted),))

    @property
    def spare(self) -> int:
        """Lanes of the last fold that leave without a channel, so with zeros."""
        return 0 if self.is_whole else self.outputs[0].folds * self.lanes - self.op.output.channels

    def primitives(self) -> list[Part]:
        process, beats = self.process(), self.outputs[0]
        # Of what is wanted whole, from the outermost loop on, nobody counts the steps.
        wanted = zip(process.most, process.puts[0].at.values(), strict=True)
        whole = takewhile(lambda loop: len(loop[1]) == loop[0], wanted)
        return [
            *Sequencer.primitives(process, skip=len(list(whole))),
            *Queue.primitives(beats.width, process.puts[0].depth),
            Logic(3 + self.spare * self.pixels * beats.type.bits),
        ]

    def data(self, payload, sequencer, takes):
        """The beat to put."""
        source = self.inputs[0]
        values = split(payload, source.values, source.type.bits, False)
        if self.is_whole:
            wanted = range(self.op.start[2], self.op.stop[2])
            return Cat(value for n, value in enumerate(values) if n % self.lanes in wanted)
        last = sequencer.index[2] == self.process().puts[0].at[2][-1]
        used = self.lanes - self.spare
        return Cat(Mux(last, 0, v) if n % self.lanes >= used else v for n, v in enumerate(values))

    @staticmethod
    def foldings(op: Slice, family: str) -> Iterator["SliceSpec"]:
        """Numbers of lanes that waste no fold at either end, and every number of pixels; of both,
        what the edges of the part allow."""
        first, channels = op.start[2], op.output.channels
        if first:
            fit = {n for n in range(1, min(first, channels) + 1) if first % n == 0}
        else:
            fit = {*useful_lanes(channels), *useful_lanes(op.input.channels)}
        ways = {n for n in fit if n <= channels} | {op.input.channels}
        width = op.input.map_shape[1]
        for lanes in sorted(ways):
            for pixels in (n for n in range(1, width + 1) if width % n == 0):
                try:
                    yield SliceSpec((op,), lanes, pixels)
                except ValueError:
                    continue  # an edge lies inside a beat


@dataclass(frozen=True)
class PadSpec(_Walk):
    """``lanes`` channels of ``pixels`` pixels at once; pixels divide the padding at the left."""

    ops: tuple[Pad2d, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self):
        if self.op.padding[2] % self.pixels:
            raise ValueError(f"{self.pixels} pixels do not divide {self.op.padding[2]} columns")
        _ = self.inputs, self.outputs  # which check the rest

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    def process(self) -> Process:
        """Puts every beat, and takes those on the map a cycle before; not before the map comes."""
        source, target = self.inputs[0], self.outputs[0]
        top, group = self.op.padding[0], self.op.padding[2] // self.pixels
        inside = {
            0: range(top, top + source.type.map_shape[0]),
            1: range(group, group + source.groups),
        }
        loops = (target.type.map_shape[0], target.groups, target.folds)
        puts = (Put("o", 1, depth_for(1, 1)),)
        return Process(loops, (Take("i", inside),), puts, after="i" if top or group else None)

    def primitives(self) -> list[Part]:
        process, beats = self.process(), self.outputs[0]
        return [
            *Sequencer.primitives(process),
            *Queue.primitives(beats.width, process.puts[0].depth),
            MuxPart(beats.width),
        ]

    def data(self, payload, sequencer, takes):
        """The beat to put; lanes without a channel hold zeros, as they do on the map."""
        beats, op = self.inputs[0], self.op
        used = op.input.channels - (beats.folds - 1) * self.lanes
        last, fill = (
            sequencer.index[2] == beats.folds - 1,
            C(op.value % (1 << op.input.bits), op.input.bits),
        )
        lanes = [Mux(last, 0, fill) if n >= used else fill for n in range(self.lanes)]
        return Mux(takes, payload, Cat(lanes * self.pixels))

    @staticmethod
    def foldings(op: Pad2d, family: str) -> Iterator["PadSpec"]:
        """Every number of lanes that wastes no fold, and of pixels that the edges allow."""
        channels = op.input.channels
        for lanes in useful_lanes(channels):
            for pixels in range(1, op.input.shape[1] + 1):
                try:
                    yield PadSpec((op,), lanes, pixels)
                except ValueError:
                    continue  # an edge lies inside a beat


class Walking(wiring.Component):
    """The engine of ``SliceSpec`` and ``PadSpec``: a step a cycle."""

    def __init__(self, spec: SliceSpec | PadSpec):
        self.spec = spec
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        process = self.spec.process()
        sequencer, queue = passing(m, self, process)
        takes = sequencer.selects(process.takes[0].at)
        m.d.comb += queue.data.eq(self.spec.data(self.i.payload, sequencer, takes))
        return m
