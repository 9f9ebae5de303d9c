"""The queue at the output of every engine, and how the simple ones go about it."""

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.hdl import Assert
from amaranth.lib import stream, wiring

from hwgen.primitives import Adder, Compare, Memory, Register
from hwgen.rtl_templates.memory import LutRam
from hwgen.rtl_templates.pipeline import delay
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process

__all__ = ["Queue", "depth_for", "passing"]


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
            yield Memory(depth, width, "lutram")


def passing(m: Module, engine, process: Process, latency: int = 1) -> tuple[Sequencer, Queue]:
    """The sequencer and the queue of an ``engine`` whose only process takes beats of ``i`` and puts
    beats on ``o``, ``latency`` cycles later, and holds none in a ring.

    What ``queue.data`` then is, in that cycle, is left to the engine.
    """
    (take,), (put,) = process.takes, process.puts
    m.submodules.sequencer = sequencer = Sequencer(process)
    m.submodules.queue = queue = Queue(len(engine.o.payload), put.depth)
    wiring.connect(m, queue.o, wiring.flipped(engine.o))
    can, putting, ready, offered = queue.room, sequencer.step, queue.room, engine.i.valid
    if put.at:
        can, putting = can | ~sequencer.selects(put.at), putting & sequencer.selects(put.at)
        ready = can
    if take.at:
        ready, offered = can & sequencer.selects(take.at), offered | ~sequencer.waits(take)
    m.d.comb += [
        engine.i.ready.eq(ready),
        sequencer.step.eq(offered & can),
        queue.reserve.eq(putting),
        queue.push.eq(delay(m, putting, latency - 1, "step")),
    ]
    return sequencer, queue


def depth_for(latency: int, period: int) -> int:
    """Queue that never stops an engine that puts every ``period`` steps into a ready sink: one
    slot for each beat in flight, and one more for the beat that is being taken."""
    return -(-(latency + 1) // period) + 1
