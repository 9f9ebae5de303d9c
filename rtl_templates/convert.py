"""Width conversion: the same values in beats of another size.

The order of the values is the same on both sides, so conversion is a short, fixed programme over
a few beats: take, put, or both. It is worked out once, by ``plan_steps``, and both the schedule and
the hardware are read off it.
"""

from dataclasses import dataclass
from functools import cached_property
from math import lcm

import numpy as np
from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats
from hwgen.primitives import Mux as MuxPart
from hwgen.primitives import Part, Register
from hwgen.rtl_templates.queue import Queue, depth_for, passing
from hwgen.rtl_templates.sequencer import Sequencer, among
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["ConvertSpec", "Converter", "Step"]


#: Sources of a value, as numbers: ``n`` is value ``n`` of the beat that is taken, ``HELD + n`` what
#: is held at place ``n``. ZERO is nothing, ANY is whatever is cheapest.
HELD, ZERO, ANY = 1 << 20, -1, -2


#: Longest programme, and most values that one may move in all: beyond, a converter is no longer
#: small beside the engines that it joins.
MOST_STEPS, MOST_MOVES = 1024, 1 << 20


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
            raise ValueError(f"{self.source} and {self.target} order their values too differently")

    @staticmethod
    def possible(source: Beats, target: Beats) -> bool:
        """Whether both sides send the values in the same order, and the programme stays short."""
        together = source.pixels == target.pixels
        if not together and any(b.pixels > 1 and b.folds > 1 for b in (source, target)):
            return False
        unit = _unit(source, target)
        steps = max(-(-unit // beats.lanes) for beats in (source, target))
        return steps <= MOST_STEPS and steps * max(source.values, target.values) <= MOST_MOVES

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.source,)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (self.target,)

    @property
    def lanes(self) -> tuple[list[int], list[int]]:
        """Real values of each beat of a unit, on both sides.

        A unit is the fewest whole pixel groups of both; or, where lanes divide the channels, the
        fewest whole beats of both.
        """
        channels = self.source.type.channels
        unit = _unit(self.source, self.target)
        if unit < channels:
            return tuple([b.lanes] * (unit // b.lanes) for b in (self.source, self.target))  # type: ignore
        pixels = lcm(self.source.pixels, self.target.pixels)
        source, target = (
            [
                min(beats.lanes, channels - fold * beats.lanes) * beats.pixels // self.together
                for _ in range(pixels // beats.pixels)
                for fold in range(beats.folds)
            ]
            for beats in (self.source, self.target)
        )
        return source, target

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The programme over one unit: take when too little is held, put as soon as enough is."""
        takes, puts = self.lanes
        coming, held, steps = iter(takes), 0, []
        for put in puts:
            while held < put:
                taken = next(coming)
                full = held + taken >= put
                steps.append(Step(held, taken, put if full else None))
                held += taken
                if full:
                    break
            else:
                steps.append(Step(held, None, put))
            held -= put
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

    @cached_property
    def moves(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each value comes from, (steps, values): of the output beat, and of what is held."""
        out = np.full((len(self.steps), self.values(self.target)), ANY)
        rest = np.full((len(self.steps), self.room), ANY)
        for n, step in enumerate(self.steps):
            line = np.r_[HELD + np.arange(step.held), np.arange(step.taken or 0)]
            used = step.put or 0
            if step.put:
                out[n] = ZERO
            out[n, :used] = line[:used]
            rest[n, : len(line) - used] = line[used:]
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
            *Sequencer.primitives(process, skip=1),
            *Queue.primitives(self.target.width, process.puts[0].depth),
            Register(self.room * width),
        ]
        out, rest = self.moves
        stays = HELD + np.arange(rest.shape[1])  # a register that keeps its value needs no mux
        columns = np.hstack([out, np.where(rest == stays, ANY, rest)])
        columns.sort(axis=0)
        fresh = np.vstack([columns[:1] != ANY, columns[1:] != columns[:-1]]) & (columns != ANY)
        ways, counts = np.unique(fresh.sum(0), return_counts=True)
        parts += [
            MuxPart(width, int(way), int(count))
            for way, count in zip(ways, counts, strict=True)
            if way > 1
        ]
        return parts

    def create(self, name: str = "convert") -> "Converter":
        return Converter(self)


def _unit(source: Beats, target: Beats) -> int:
    """Values, of each pixel if pixels stay together, after which the programme starts anew."""
    channels, both = source.type.channels, lcm(source.lanes, target.lanes)
    if source.pixels == target.pixels:
        return both if channels % both == 0 else channels
    return channels * lcm(source.pixels, target.pixels)


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
        sequencer, queue = passing(m, self, spec.process())
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
        values = {ZERO: C(0, width)}
        values |= {HELD + n: value for n, value in enumerate(held)}
        values |= dict(enumerate(given))
        out, rest = spec.moves
        at = sequencer.index[1]
        beat = [_choose(by_step, values, at) for by_step in out.T]
        with m.If(sequencer.step):
            for store, by_step in zip(held, rest.T, strict=True):
                m.d.sync += store.eq(_choose(by_step, values, at))
        lanes = spec.values(spec.target)
        ordered = (beat[n].word_select(p, bits) for p in range(together) for n in range(lanes))
        m.d.comb += queue.data.eq(Cat(ordered))
        return m


def _choose(by_step: np.ndarray, values, at):
    """The value of the source that ``by_step`` names for step ``at``."""
    steps: dict[int, list[int]] = {}
    for number, source in enumerate(by_step.tolist()):
        if source != ANY:
            steps.setdefault(source, []).append(number)
    if not steps:
        return values[ZERO]
    most, *others = sorted(steps, key=lambda source: -len(steps[source]))
    result = values[most]
    for source in others:
        result = Mux(among(at, steps[source], len(by_step)), values[source], result)
    return result
