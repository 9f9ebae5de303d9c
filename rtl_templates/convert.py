"""Width conversion: the same values in beats of another size.

The order of the values is the same on both sides, so conversion is a short, fixed programme over
a few beats: take, put, or both. It is worked out once, by ``plan_steps``, and both the schedule and
the hardware are read off it.
"""

from dataclasses import dataclass
from functools import reduce
from math import lcm
from operator import or_

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer

from hwgen.beats import Beats
from hwgen.primitives import Mux as MuxPart
from hwgen.primitives import Part, Register
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["ConvertSpec", "Converter", "Step"]


#: Where a value comes from: the beat that is taken, what is held, or nowhere; None is anywhere.
Source = tuple[str, int] | None


@dataclass(frozen=True)
class Step:
    """One step: ``held`` values wait; a beat may be taken, then a beat may be put.

    ``taken`` and ``put`` count the real values, without padding, or are None.
    """

    held: int
    taken: int | None
    put: int | None


@dataclass(frozen=True)
class ConvertSpec:
    """Plumbing: beats of ``source`` become beats of ``target``; both carry the same tensor."""

    source: Beats
    target: Beats

    def __post_init__(self):
        if self.source.type.integers != self.target.type.integers:
            raise ValueError("both sides must carry the same tensor")
        if not self.possible(self.source, self.target):
            raise ValueError(f"{self.source} and {self.target} order their values differently")

    @staticmethod
    def possible(source: Beats, target: Beats) -> bool:
        """Whether both sides send the values in the same order."""
        return source.pixels == target.pixels or all(
            beats.pixels == 1 or beats.folds == 1 for beats in (source, target)
        )

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.source,)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (self.target,)

    @property
    def lanes(self) -> tuple[list[int], list[int]]:
        """Real values of each beat of a unit, on both sides.

        A unit is the fewest whole pixel groups of both.
        """
        channels = self.source.type.channels
        unit = lcm(self.source.pixels, self.target.pixels)
        source, target = (
            [
                min(beats.lanes, channels - fold * beats.lanes) * beats.pixels // self.together
                for _ in range(unit // beats.pixels)
                for fold in range(beats.folds)
            ]
            for beats in (self.source, self.target)
        )
        return source, target

    @property
    def steps(self) -> tuple[Step, ...]:
        """The programme over one unit: take when too little is held, put as soon as enough is."""
        takes, puts = (list(side) for side in self.lanes)
        held, steps = 0, []
        while puts:
            taken = takes.pop(0) if held < puts[0] else None
            put = puts.pop(0) if held + (taken or 0) >= puts[0] else None
            steps.append(Step(held, taken, put))
            held += (taken or 0) - (put or 0)
        return tuple(steps)

    def process(self) -> Process:
        """Units of the frame, and the programme over each."""
        steps = self.steps
        source, _ = self.lanes
        puts = tuple(n for n, step in enumerate(steps) if step.put is not None)
        takes = tuple(n for n, step in enumerate(steps) if step.taken is not None)
        return Process(
            (self.source.count // len(source), len(steps)),
            takes=(Take("i", {1: takes}),),
            puts=(Put("o", 1, depth_for(1, 1), {1: puts}),),
        )

    def schedule(self) -> Schedule:
        return Schedule({"convert": self.process()})

    @property
    def room(self) -> int:
        """Values held between steps, at the most."""
        return max(step.held for step in self.steps)

    def moves(self) -> tuple[list[list[Source]], list[list[Source]]]:
        """Where each value comes from, by step: of the output beat, and of what is held after."""
        steps, values = self.steps, self.values(self.target)
        out: list[list[Source]] = [[] for _ in range(values)]
        rest: list[list[Source]] = [[] for _ in range(self.room)]
        for step in steps:
            line: list[Source] = [("held", n) for n in range(step.held)]
            line += [("given", n) for n in range(step.taken or 0)]
            used = step.put or 0
            for n in range(values):
                blank: Source = ("zero", 0) if step.put else None
                out[n].append(line[n] if n < used else blank)
            left = line[used:]
            for n in range(self.room):
                rest[n].append(left[n] if n < len(left) else None)
        return out, rest

    @property
    def together(self) -> int:
        """Pixels that stay side by side, so that only lanes are converted."""
        return self.source.pixels if self.source.pixels == self.target.pixels else 1

    def values(self, beats: Beats) -> int:
        """What a beat holds: single values, or lanes of ``together`` pixels."""
        return beats.values // self.together

    def primitives(self) -> list[Part]:
        process = self.process()
        width = self.source.type.bits * self.together
        parts: list[Part] = [
            *Sequencer.primitives(process),
            *Queue.primitives(self.target.width, process.puts[0].depth),
            Register(self.room * width),
        ]
        out, rest = self.moves()
        for n, by_step in enumerate([*out, *rest]):
            ways = len({source for source in by_step if source} - {("held", n - len(out))})
            if ways > 1:
                parts.append(MuxPart(width, ways))
        return parts

    def create(self, name: str = "convert") -> "Converter":
        return Converter(self)


class Converter(wiring.Component):
    """The hardware of ``ConvertSpec``: a beat a cycle on the busier side, one cycle later."""

    def __init__(self, spec: ConvertSpec):
        self.spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(spec.source.width)),
                "o": Out(stream.Signature(spec.target.width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        process = spec.process()
        put = process.puts[0]
        m.submodules.sequencer = sequencer = Sequencer(process)
        m.submodules.queue = queue = Queue(spec.target.width, put.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        takes, puts = sequencer.selects(process.takes[0].at), sequencer.selects(put.at)
        can = queue.room | ~puts
        m.d.comb += [
            self.i.ready.eq(can & takes),
            sequencer.step.eq(can & (self.i.valid | ~takes)),
            queue.reserve.eq(sequencer.step & puts),
            queue.push.eq(sequencer.step & puts),
        ]

        bits, together = spec.source.type.bits, spec.together
        width = bits * together
        held = [Signal(width, reset_less=True, name=f"held{n}") for n in range(spec.room)]
        given = [
            Cat(
                self.i.payload.word_select(pixel * spec.source.lanes + n, bits)
                for pixel in range(together)
            )
            for n in range(spec.values(spec.source))
        ]
        values = {("zero", 0): C(0, width)}
        values |= {("held", n): value for n, value in enumerate(held)}
        values |= {("given", n): value for n, value in enumerate(given)}
        out, rest = spec.moves()
        at = sequencer.index[1]
        beat = [_choose(by_step, values, at) for by_step in out]
        with m.If(sequencer.step):
            for store, by_step in zip(held, rest, strict=True):
                m.d.sync += store.eq(_choose(by_step, values, at))
        lanes = spec.values(spec.target)
        ordered = (beat[n].word_select(p, bits) for p in range(together) for n in range(lanes))
        m.d.comb += queue.data.eq(Cat(ordered))
        return m


def _choose(by_step: list[Source], values, at):
    """The value of the source that ``by_step`` names for step ``at``; None is any."""
    steps: dict[Source, list[int]] = {}
    for number, source in enumerate(by_step):
        if source:
            steps.setdefault(source, []).append(number)
    if not steps:
        return values["zero", 0]
    most, *others = sorted(steps, key=lambda source: -len(steps[source]))
    result = values[most]
    for source in others:
        chosen = reduce(or_, (at == number for number in steps[source]))
        result = Mux(chosen, values[source], result)
    return result
