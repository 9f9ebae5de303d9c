"""Where streams part and meet: a fork, and an exact addition of two streams."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats
from hwgen.network import Add
from hwgen.primitives import Adder, Part, Register
from hwgen.rtl_templates import constant
from hwgen.rtl_templates.pipeline import delay, join, register, split
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["AddSpec", "ForkSpec"]


@dataclass(frozen=True)
class ForkSpec:
    """Plumbing: each beat goes to ``ways`` readers, one cycle later."""

    beats: Beats
    ways: int

    def __post_init__(self):
        if self.ways < 2:
            raise ValueError(f"a fork has at least 2 ways, not {self.ways}")

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.beats,)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (self.beats,) * self.ways

    def process(self) -> Process:
        """Every beat of the frame, when all ways have room."""
        puts = tuple(Put(f"o{n}", 1, depth_for(1, 1)) for n in range(self.ways))
        return Process((self.beats.count,), takes=(Take("i"),), puts=puts)

    def schedule(self) -> Schedule:
        return Schedule({"fork": self.process()})

    def primitives(self) -> list[Part]:
        depth = self.process().puts[0].depth
        return [*Queue.primitives(self.beats.width, depth)] * self.ways

    def create(self, name: str = "fork") -> "Fork":
        return Fork(self)


class Fork(wiring.Component):
    """The hardware of ``ForkSpec``; takes a beat when every way has room."""

    def __init__(self, spec: ForkSpec):
        self.spec = spec
        width = spec.beats.width
        outs = {f"o{n}": Out(stream.Signature(width)) for n in range(spec.ways)}
        super().__init__({"i": In(stream.Signature(width)), **outs})

    def elaborate(self, platform):
        m = Module()
        step = self.i.valid & self.i.ready
        queues = []
        for n, put in enumerate(self.spec.process().puts):
            m.submodules[f"queue{n}"] = queue = Queue(self.spec.beats.width, put.depth)
            wiring.connect(m, queue.o, wiring.flipped(getattr(self, f"o{n}")))
            m.d.comb += [
                queue.reserve.eq(step),
                queue.push.eq(step),
                queue.data.eq(self.i.payload),
            ]
            queues.append(queue)
        m.d.comb += self.i.ready.eq(reduce(and_, (queue.room for queue in queues)))
        return m


@dataclass(frozen=True)
class AddSpec:
    """``lanes`` channels of ``pixels`` pixels at once; inputs are called ``i0`` and ``i1``."""

    ops: tuple[Add, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self):
        if self.op.output.channels % self.lanes:
            raise ValueError(f"lanes must divide the {self.op.output.channels} channels")
        _ = self.inputs, self.outputs  # which check the rest

    @property
    def op(self) -> Add:
        """The op."""
        return self.ops[0]

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return tuple(Beats(kind, self.lanes, self.pixels) for kind in self.op.inputs)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def is_shift(self) -> bool:
        """Whether operands are only shifted before they are added."""
        return all(map(constant.is_shift, self.op.factors))

    @property
    def latency(self) -> int:
        """Cycles: products unless they are shifts, sum, queue."""
        return 2 if self.is_shift else 3

    def process(self) -> Process:
        """Every beat of the frame, when both are there."""
        put = Put("o", self.latency, depth_for(self.latency, 1))
        return Process((self.outputs[0].count,), takes=(Take("i0"), Take("i1")), puts=(put,))

    def schedule(self) -> Schedule:
        return Schedule({"add": self.process()})

    def primitives(self) -> list[Part]:
        out, values = self.op.output, self.outputs[0].values
        products: list[Part] = []
        if not self.is_shift:
            products.append(Register(self.latency - 2))
            for kind, factor in zip(self.op.inputs, self.op.factors, strict=True):
                width = kind.bits + 1 + factor.bit_length()
                products += constant.parts(kind.bits + 1, factor, values)
                products.append(Register(width * values))
        return [
            *products,
            Adder(out.bits, values),
            Register(out.bits * values),
            *Queue.primitives(self.outputs[0].width, self.process().puts[0].depth),
        ]

    def create(self, name: str = "add") -> "Adding":
        return Adding(self)

    @staticmethod
    def foldings(op: Add, family: str) -> Iterator["AddSpec"]:
        """Lanes that divide the channels, so that none is spare; pixels that divide the width."""
        channels, width = op.output.channels, op.output.map_shape[1]
        for lanes in (n for n in range(1, channels + 1) if channels % n == 0):
            for pixels in (n for n in range(1, width + 1) if width % n == 0):
                yield AddSpec((op,), lanes, pixels)


class Adding(wiring.Component):
    """The engine of ``AddSpec``: a beat a cycle, taken from both sides at once."""

    def __init__(self, spec: AddSpec):
        self.spec = spec
        a, b = spec.inputs
        super().__init__(
            {
                "i0": In(stream.Signature(a.width)),
                "i1": In(stream.Signature(b.width)),
                "o": Out(stream.Signature(spec.outputs[0].width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        put = spec.process().puts[0]
        m.submodules.queue = queue = Queue(spec.outputs[0].width, put.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        step = self.i0.valid & self.i1.valid & queue.room
        # Each side is taken only together with the other.
        m.d.comb += [
            self.i0.ready.eq(self.i1.valid & queue.room),
            self.i1.ready.eq(self.i0.valid & queue.room),
            queue.reserve.eq(step),
            queue.push.eq(delay(m, step, spec.latency - 1, "step")),
        ]
        aligned = [
            [
                constant.times(value - kind.zero_point, factor)
                for value in split(port.payload, beats.values, kind.bits, kind.signed)
            ]
            for port, kind, beats, factor in zip(
                (self.i0, self.i1), spec.op.inputs, spec.inputs, spec.op.factors, strict=True
            )
        ]
        if not spec.is_shift:
            aligned = [[register(m, value, "product") for value in side] for side in aligned]
        sums = [register(m, a + b) for a, b in zip(*aligned, strict=True)]
        m.d.comb += queue.data.eq(join(sums, spec.op.output.bits))
        return m
