"""Control counters of a process, built from the very loops that the token game plays."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from amaranth import C, Elaboratable, Module, Mux, Signal

from hwgen.primitives import Accumulator, Adder, Compare, Register
from hwgen.schedule import FIRST, LAST, LATER, At, Process, Take, chosen

__all__ = ["Pointer", "Sequencer", "among", "deltas"]


class Sequencer(Elaboratable):
    """Counts the loops of ``process``; moves on when ``step`` is high.

    Attributes
    ----------
    step : Signal(1), in
        The body happens in this cycle.
    index : list of Signal, out
        Index of each loop, outermost first.
    moves : list of Signal(1), out
        One of them is high: the loop that this step moves on, or, the last, the end of the frame.
        Valid whether or not the step happens.
    ends : Signal(1), in
        The step is in the last iteration of the loop whose trip count data decides, if there is
        one. The index of that loop is 0 in its first iteration and 1 in all others.
    """

    def __init__(self, process: Process):
        self.loops, self.decided, self.after = process.most, process.decided, process.after
        self.step = Signal()
        self.ends = Signal()
        self.index = [
            Signal(1 if n == self.decided else range(max(2, trip)), name=f"index{n}")
            for n, trip in enumerate(self.loops)
        ]
        self.moves = [Signal(name=f"moves{n}") for n in range(len(self.loops) + 1)]

    def selects(self, at: At):
        """High when ``at`` selects the current step."""
        return reduce(and_, (self._selects(at, n) for n in at), C(1, 1))

    def _selects(self, at: At, n: int):
        if n != self.decided:
            return among(self.index[n], chosen(at, n, self.loops[n]), self.loops[n])
        if at[n] == LAST:
            return self.ends
        assert at[n] in (FIRST, LATER), "no other iterations can be told"
        return self.index[n] if at[n] == LATER else ~self.index[n]

    def waits(self, take: Take):
        """High when the current step needs the beat that ``take`` offers, taken or not."""
        takes = self.selects(take.at)
        return takes | self.begins(0) if self.after == take.port else takes

    def begins(self, depth: int):
        """High in the first step of an iteration of the outermost ``depth`` loops."""
        return self.selects({n: FIRST for n in range(depth, len(self.loops))})

    def elaborate(self, platform):
        m = Module()
        inner_last = C(1, 1)
        for n in reversed(range(len(self.loops))):
            trip, index = self.loops[n], self.index[n]
            if n == self.decided:
                last = self.ends
                with m.If(self.step & inner_last):
                    m.d.sync += index.eq(~last)
            else:
                last = (index == trip - 1) if trip > 1 else C(1, 1)
            m.d.comb += self.moves[n].eq(inner_last & ~last)
            if trip > 1 and n != self.decided:
                with m.If(self.step & inner_last):
                    m.d.sync += index.eq(Mux(last, 0, index + 1))
            inner_last = inner_last & last
        m.d.comb += self.moves[-1].eq(inner_last)
        return m

    @staticmethod
    def primitives(process: Process, skip: int = 0):
        """Parts of the counters of ``process``, without the outermost ``skip``: those that nothing
        looks at, which synthesis leaves out."""
        for n, trip in enumerate(process.most):
            if n < skip:
                continue
            if n == process.decided:
                yield Register(1)
            elif trip > 1:
                bits = (trip - 1).bit_length()
                yield Register(bits)
                yield Adder(bits, constant=True)
                yield Compare(bits, constant=True)


def among(index, chosen: Sequence[int], trip: int):
    """``index``, which is below ``trip``, is one of ``chosen``."""
    chosen = sorted(chosen)
    if len(chosen) == trip:
        return C(1, 1)
    if len(chosen) > 1 and chosen[-1] - chosen[0] == len(chosen) - 1:
        low = index >= chosen[0] if chosen[0] > 0 else C(1, 1)
        high = index <= chosen[-1] if chosen[-1] < trip - 1 else C(1, 1)
        return low & high
    if len(chosen) <= 4:
        return reduce(or_, (index == n for n in chosen))
    # A table of one bit an index is what a synthesiser makes of a long list of comparisons anyway.
    return C(sum(1 << n for n in chosen), trip).bit_select(index, 1)


def deltas(loops: Sequence[int], strides: Sequence[int], frame: int) -> list[int]:
    """How far an address moves when each loop moves on, and, last, at the end of the frame.

    The address is ``sum(index * stride)`` from a base that ``frame`` moves on each frame.
    """
    moves = []
    for n in range(len(loops) + 1):
        back = sum(s * (t - 1) for s, t in zip(strides[n + 1 :], loops[n + 1 :], strict=True))
        if n == len(loops):
            back, step = sum(s * (t - 1) for s, t in zip(strides, loops, strict=True)), frame
        else:
            step = strides[n]
        moves.append(step - back)
    return moves


class Pointer(Elaboratable):
    """An address that follows the loops of a sequencer, modulo ``2**bits``.

    Attributes
    ----------
    value : Signal(bits), out
    """

    def __init__(self, sequencer: Sequencer, moves: Sequence[int], bits: int):
        self.sequencer, self.moves = sequencer, moves
        self.value = Signal(bits)

    def elaborate(self, platform):
        m = Module()
        bits = len(self.value)
        amount = Signal(bits)
        for move, by in zip(self.sequencer.moves, self.moves, strict=True):
            with m.If(move):
                m.d.comb += amount.eq(by % (1 << bits))
        with m.If(self.sequencer.step):
            m.d.sync += self.value.eq(self.value + amount)
        return m

    @staticmethod
    def primitives(bits: int):
        """Parts of the pointer."""
        yield Register(bits)
        yield Accumulator(bits)
