"""How full a ring is: the control of what one process writes and another reads."""

from amaranth import Elaboratable, Module, Signal

from hwgen.primitives import Adder, Compare, Part, Register
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Read

__all__ = ["Level"]


class Level(Elaboratable):
    """Counts the slots of a ring of ``capacity`` that are written and not yet given up.

    Attributes
    ----------
    write : Signal(1), in
        A slot is written by this cycle's step.
    room : Signal(1), out
        There is a free slot.
    ready : Signal(1), out
        The current step of ``reader`` finds what it reads.
    released : Signal, out
        Slots that are given up in this cycle.
    """

    def __init__(self, capacity: int, read: Read, reader: Sequencer):
        self.capacity, self.read, self.reader = capacity, read, reader
        self.write = Signal()
        self.room = Signal()
        self.ready = Signal()
        self.released = Signal(range(max(read.release) + 1))

    def elaborate(self, platform):
        m = Module()
        read, reader = self.read, self.reader
        # Below zero: slots given up before they came, rows that no strip reads.
        least = min(0, read.span - max(read.release))
        level = Signal(range(least, self.capacity + 1))
        for loop, amount in zip((*range(read.depth), -1), read.release, strict=True):
            with m.If(reader.step & reader.moves[loop]):
                m.d.comb += self.released.eq(amount)
        m.d.sync += level.eq(level + self.write - self.released)
        m.d.comb += [
            self.room.eq(level != self.capacity),
            self.ready.eq((level >= read.span) | ~reader.begins(read.depth)),
        ]
        return m

    @staticmethod
    def primitives(capacity: int) -> list[Part]:
        """Parts of the counter."""
        bits = capacity.bit_length()
        return [Register(bits), Adder(bits, terms=3), Compare(bits, 2, constant=True)]
