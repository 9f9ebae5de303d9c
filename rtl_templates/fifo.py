"""FIFOs between engines: shallow ones in LUTs, deep ones in block RAM."""

from dataclasses import dataclass

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats
from hwgen.primitives import Adder, Compare, Memory, Part, Register
from hwgen.rtl_templates.memory import Ram
from hwgen.rtl_templates.pipeline import delay
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.schedule import Process, Put, Read, Schedule, Take, Write

__all__ = ["Fifo", "FifoSpec"]

#: Beats up to which a FIFO is a queue in LUTs; a deeper one is a ring in block RAM before a queue.
SHALLOW = 32

#: Queue behind a ring: two cycles from the ring's read to the offered beat.
BEHIND = depth_for(2, 1)


@dataclass(frozen=True)
class FifoSpec:
    """Plumbing: ``depth`` beats between two engines. A beat is offered one cycle after it came, or,
    from a deep FIFO, three."""

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

    @property
    def ring(self) -> int:
        """Beats in block RAM; none in a shallow FIFO."""
        return self.depth - BEHIND if self.depth > SHALLOW else 0

    def schedule(self) -> Schedule:
        loops = (self.beats.count,)
        if not self.ring:
            put = Put("o", 1, self.depth)
            return Schedule({"move": Process(loops, takes=(Take("i"),), puts=(put,))})
        fill = Process(loops, takes=(Take("i"),), write=Write("ring"))
        drain = Process(loops, puts=(Put("o", 2, BEHIND),), read=Read("ring", 1, 1, (1, 1)))
        return Schedule({"fill": fill, "drain": drain}, {"ring": self.ring})

    def primitives(self) -> list[Part]:
        width = self.beats.width
        if not self.ring:
            return list(Queue.primitives(width, self.depth))
        bits = self.ring.bit_length()
        return [
            Memory(self.ring, width, "ram"),
            Register(3 * bits),
            Adder(bits, 3, constant=True),
            Compare(bits, 3, constant=True),
            *Queue.primitives(width, BEHIND),
        ]

    def create(self, name: str = "fifo") -> "Fifo":
        return Fifo(self)


class Fifo(wiring.Component):
    """A queue with a stream at each end, and a ring in between if it is deep."""

    def __init__(self, spec: FifoSpec):
        self.spec = spec
        width = spec.beats.width
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        ring, width = self.spec.ring, self.spec.beats.width
        m.submodules.queue = queue = Queue(width, BEHIND if ring else self.spec.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        taken = self.i.valid & self.i.ready
        if not ring:
            m.d.comb += [
                self.i.ready.eq(queue.room),
                queue.reserve.eq(taken),
                queue.push.eq(taken),
                queue.data.eq(self.i.payload),
            ]
            return m
        level, head, tail = Signal(range(ring + 1)), Signal(range(ring)), Signal(range(ring))
        m.submodules.ring = words = Ram(ring, width)
        step = (level != 0) & queue.room
        m.d.sync += level.eq(level + taken - step)
        with m.If(taken):
            m.d.sync += tail.eq(Mux(tail == ring - 1, 0, tail + 1))
        with m.If(step):
            m.d.sync += head.eq(Mux(head == ring - 1, 0, head + 1))
        m.d.comb += [
            self.i.ready.eq(level != ring),
            words.write.eq(taken),
            words.write_address.eq(tail),
            words.write_data.eq(self.i.payload),
            words.address.eq(head),
            queue.reserve.eq(step),
            queue.push.eq(delay(m, step, 1, "step")),
            queue.data.eq(words.data),
        ]
        return m
