"""Width conversion: the same values in beats of another size.

The order of the values is the same on both sides, so conversion is a short, fixed programme over
a few beats: take, put, or both. It is worked out once, by ``plan_steps``, and both the schedule and
the hardware are read off it.
"""

from dataclasses import dataclass
from math import lcm

from amaranth import Array, C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from hwgen.rtl_templates.pipeline import join
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer

from hwgen.beats import Beats
from hwgen.primitives import Mux, Part, Register
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["ConvertSpec", "Converter", "Step"]


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

        A unit is the fewest whole pixel groups of both. With equal ``pixels`` a value here is a
        column of that many pixels, and the conversion is of lanes alone.
        """
        channels = self.source.type.channels
        unit = lcm(self.source.pixels, self.target.pixels)
        return tuple(  # type: ignore[return-value]
            [
                min(beats.lanes, channels - fold * beats.lanes) * self._depth(beats)
                for _ in range(unit // beats.pixels)
                for fold in range(beats.folds)
            ]
            for beats in (self.source, self.target)
        )

    def _depth(self, beats: Beats) -> int:
        return 1 if self.source.pixels == self.target.pixels else beats.pixels

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

    def primitives(self) -> list[Part]:
        process, steps = self.process(), self.steps
        column = self._column
        ways = len({step.held for step in steps})
        parts: list[Part] = [
            *Sequencer.primitives(process),
            *Queue.primitives(self.target.width, process.puts[0].depth),
        ]
        if self.room:
            parts += [Register(self.room * column), Mux(column, ways + 1, self.room)]
        return parts

    @property
    def _column(self) -> int:
        """Bits of what is moved as one: a value, or a column of pixels."""
        pixels = self.source.pixels if self.source.pixels == self.target.pixels else 1
        return self.source.type.bits * pixels

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
        bits = spec.source.type.bits
        equal = spec.source.pixels == spec.target.pixels
        depth = spec.source.pixels if equal else 1
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

        def columns(beats, payload):
            """The beat as columns: value ``n`` of every pixel, when pixels stay together."""
            count = beats.lanes if equal else beats.values
            stride = beats.lanes if equal else 0
            return [
                Cat(payload.word_select(p * stride + n, bits) for p in range(depth))
                for n in range(count)
            ]

        given = columns(spec.source, self.i.payload)
        zero = C(0, bits * depth)
        held = [Signal(bits * depth, reset_less=True, name=f"held{n}") for n in range(spec.room)]
        choices, rests = [], []
        for step in spec.steps:
            line = held[: step.held] + (given[: step.taken] if step.taken is not None else [])
            used = step.put or 0
            out = line[:used] + [zero] * len(given)
            choices.append(out)
            rests.append(line[used:])
        at = sequencer.index[1]
        values = spec.target.lanes if equal else spec.target.values
        result = []
        for n in range(values):
            options = [(choice + [zero] * values)[n] for choice in choices]
            result.append(_choose(options, at))
        with m.If(sequencer.step):
            for n, store in enumerate(held):
                options = [rest[n] if n < len(rest) else store for rest in rests]
                m.d.sync += store.eq(_choose(options, at))
        stride = spec.target.lanes
        ordered = (
            [result[n].word_select(p, bits) for p in range(depth) for n in range(stride)]
            if equal
            else result
        )
        m.d.comb += queue.data.eq(join(ordered, bits))
        return m


def _choose(options, at):
    """``options[at]``; no choice where all are the same signal."""
    return options[0] if all(o is options[0] for o in options) else Array(options)[at]
