"""The queue at the output of every engine, and a FIFO, which is a queue and nothing else."""

from dataclasses import dataclass

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.hdl import Assert
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats
from hwgen.primitives import Adder, Compare, Memory, Part, Register, memory_style
from hwgen.rtl_templates.memory import LutRam
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["FifoSpec", "Queue"]


class Queue(Elaboratable):
    """Holds what an engine has put until it is taken, and tells whether one more has room.

    Room is reserved when the engine *decides* to put (``reserve``), which may be many cycles before
    the beat arrives (``push``). So pipelines run free, without an enable, and no ``ready`` runs
    through an engine: timing does not depend on what is connected to what.

    A pushed beat is offered from the next cycle on. A beat that is taken gives its room back at
    the end of that cycle.
    """

    def __init__(self, width: int, depth: int):
        self.width, self.depth = width, depth
        self.room = Signal()
        self.reserve = Signal()
        self.push = Signal()
        self.data = Signal(width)
        self.o = stream.Signature(width).create(path=("o",))

    def elaborate(self, platform):
        m = Module()
        depth = self.depth
        reserved = Signal(range(depth + 1))
        waiting = Signal(range(depth + 1))
        taken = self.o.valid & self.o.ready
        m.d.comb += [self.room.eq(reserved != depth), self.o.valid.eq(waiting != 0)]
        m.d.sync += [
            reserved.eq(reserved + self.reserve - taken),
            waiting.eq(waiting + self.push - taken),
        ]
        if platform is None:
            m.d.sync += Assert(~(self.push & (waiting == depth)))
            m.d.sync += Assert(~(self.reserve & ~self.room))
        if depth == 1:
            with m.If(self.push):
                m.d.sync += self.o.payload.eq(self.data)
            return m
        m.submodules.words = words = LutRam(depth, self.width)
        head, tail = Signal(range(depth)), Signal(range(depth))
        with m.If(self.push):
            m.d.sync += tail.eq(Mux(tail == depth - 1, 0, tail + 1))
        with m.If(taken):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        m.d.comb += [
            words.write.eq(self.push),
            words.write_address.eq(tail),
            words.write_data.eq(self.data),
            words.address.eq(head),
            self.o.payload.eq(words.data),
        ]
        return m

    @staticmethod
    def primitives(width: int, depth: int):
        """Parts of the queue."""
        bits = depth.bit_length()
        yield Register(2 * bits)
        yield Adder(bits, 4, constant=True)
        yield Compare(bits, 2, constant=True)
        if depth == 1:
            yield Register(width)
        else:
            pointer = (depth - 1).bit_length()
            yield Register(2 * pointer)
            yield Adder(pointer, 2, constant=True)
            yield Compare(pointer, 2, constant=True)
            yield Memory(depth, width, "lutram", memory_style(depth, width, "lutram"))


def depth_for(latency: int, period: int) -> int:
    """Queue that never stops an engine that puts every ``period`` steps into a ready sink: one
    slot for each beat in flight, and one more for the beat that is being taken."""
    return -(-(latency + 1) // period) + 1


@dataclass(frozen=True)
class FifoSpec:
    """Plumbing: ``depth`` beats between two engines. A beat is offered one cycle after it came."""

    beats: Beats
    depth: int

    def __post_init__(self):
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, not {self.depth}")

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.beats,)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (self.beats,)

    def schedule(self) -> Schedule:
        every = Process((self.beats.count,), takes=(Take("i"),), puts=(Put("o", 1, self.depth),))
        return Schedule({"move": every})

    def primitives(self) -> list[Part]:
        return list(Queue.primitives(self.beats.width, self.depth))

    def create(self, name: str = "fifo") -> "Fifo":
        return Fifo(self)


class Fifo(wiring.Component):
    """A queue with a stream at each end."""

    def __init__(self, spec: FifoSpec):
        self.spec = spec
        width = spec.beats.width
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(self.spec.beats.width, self.spec.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        step = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(queue.room),
            queue.reserve.eq(step),
            queue.push.eq(step),
            queue.data.eq(self.i.payload),
        ]
        return m
