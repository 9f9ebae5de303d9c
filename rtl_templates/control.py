"""What stands beside the accelerator: its register file, and what watches its ports."""

from functools import reduce
from operator import and_, or_

from amaranth import C, Cat, Elaboratable, Module, Mux, ResetInserter, Signal

from hwgen import registers
from hwgen.primitives import Adder, Compare, Logic, Part, Register
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.axi_lite import AxiLite
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process

__all__ = ["Control", "Port"]

#: Bits of a count of frames inside: more than any chain of queues holds.
FRAMES = 16


class Port(Elaboratable):
    """Watches one AXI4-Stream port.

    Attributes
    ----------
    valid, ready, last : Signal(1), in
        Of the stream; a source without ``tlast`` leaves ``last`` low.
    first : Signal(1), out
        The first beat of a frame passes.
    end : Signal(1), out
        The last beat of a frame passes, by count.
    errors : Signal(3), out
        Those of ``registers.ERRORS`` that this cycle shows.
    """

    def __init__(self, beats: int):
        self.beats = beats
        self.valid, self.ready, self.last = Signal(), Signal(), Signal()
        self.first, self.end = Signal(), Signal()
        self.errors = Signal(len(registers.ERRORS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = Sequencer(Process((self.beats,)))
        step, final, waited = Signal(), beats.moves[-1], Signal()
        m.d.sync += waited.eq(self.valid & ~self.ready)
        m.d.comb += [
            step.eq(self.valid & self.ready),
            beats.step.eq(step),
            self.first.eq(step & beats.begins(0)),
            self.end.eq(step & final),
            self.errors[0].eq(step & self.last & ~final),
            self.errors[1].eq(step & final & ~self.last),
            self.errors[2].eq(waited & ~self.valid),
        ]
        return m


class Progress(Elaboratable):
    """Counts frames, and the cycles of the last one, over ports that run apart.

    A frame begins with the first beat that any input takes, and ends with the last that leaves by
    any output.

    Attributes
    ----------
    starts, ends : list of Signal(1), in
        Of each input: a first beat passes. Of each output: a last one does.
    frames, cycles : Signal(32), out
    """

    def __init__(self, inputs: int, outputs: int):
        self.starts = [Signal(name=f"start{n}") for n in range(inputs)]
        self.ends = [Signal(name=f"end{n}") for n in range(outputs)]
        self.frames, self.cycles = Signal(32), Signal(32)

    def elaborate(self, platform):
        m = Module()
        begins, done, inside = Signal(), Signal(), Signal(FRAMES)
        if len(self.starts) == 1:
            m.d.comb += begins.eq(self.starts[0])
        else:
            # How many frames each input is behind the one that is furthest.
            behind = [Signal(FRAMES, name=f"behind{n}") for n in range(len(self.starts))]
            ahead = [s & (b == 0) for s, b in zip(self.starts, behind, strict=True)]
            m.d.comb += begins.eq(reduce(or_, ahead))
            m.d.sync += [b.eq(b + begins - s) for s, b in zip(self.starts, behind, strict=True)]
        if len(self.ends) == 1:
            m.d.comb += done.eq(self.ends[0])
        else:
            # How many frames each output is before the one that is last.
            before = [Signal(FRAMES, name=f"before{n}") for n in range(len(self.ends))]
            m.d.comb += done.eq(
                reduce(and_, (e | (b != 0) for e, b in zip(self.ends, before, strict=True)))
            )
            m.d.sync += [b.eq(b + e - done) for e, b in zip(self.ends, before, strict=True)]
        count = Signal(32)
        m.d.sync += [
            inside.eq(inside + begins - done),
            count.eq(Mux(done | (begins & (inside == 0)), 1, count + 1)),
        ]
        with m.If(done):
            m.d.sync += [self.cycles.eq(count), self.frames.eq(self.frames + 1)]
        return m


class Control(Elaboratable):
    """The register file of ``hwgen.registers``, over AXI4-Lite, beside an accelerator whose inputs
    take ``beats`` beats a frame.

    It only listens to the streams, so it neither delays nor stalls them. ``identity`` is the hash
    of the network, of 64 bits.

    Attributes
    ----------
    axi : AxiLite
    inputs : list of Port
        ``valid``, ``ready`` and ``last`` are to be wired to those of each input.
    ends : list of Signal(1), in
        Of each output: a beat with ``tlast`` passes.
    reset : Signal(1), out
        The accelerator is to be held in reset.
    """

    def __init__(self, beats: list[int], outputs: int, identity: int):
        self.axi = AxiLite()
        self.inputs = [Port(count) for count in beats]
        self.ends = [Signal(name=f"end{n}") for n in range(outputs)]
        self.progress = Progress(len(beats), outputs)
        self.identity = identity
        self.reset = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.axi = axi = self.axi
        progress = self.progress
        m.submodules.progress = ResetInserter(self.reset)(progress)
        shown = [C(0, len(registers.ERRORS))] * registers.WATCHED
        for n, port in enumerate(self.inputs):
            m.submodules[f"input{n}"] = ResetInserter(self.reset)(port)
            m.d.comb += progress.starts[n].eq(port.first)
            place = min(n, registers.WATCHED - 1)
            shown[place] = shown[place] | port.errors
        for end, seen in zip(progress.ends, self.ends, strict=True):
            m.d.comb += end.eq(seen)

        errors = []
        for n, now in enumerate(shown):
            if n >= len(self.inputs):
                errors.append(C(0, 4))
                continue
            kept = Signal(len(registers.ERRORS), name=f"errors{n}")
            clear = Signal(len(registers.ERRORS), name=f"clear{n}")
            with m.If(axi.write & (axi.index == registers.index_of("ERRORS"))):
                strobe = axi.strobe.bit_select(n // 2, 1)
                m.d.comb += clear.eq(Mux(strobe, axi.data.word_select(n, 4)[:3], 0))
            # What happens in the very cycle in which it is cleared is not lost.
            m.d.sync += kept.eq(Mux(self.reset, 0, kept & ~clear | now))
            errors += [kept, C(0, 1)]
        with m.If(axi.write & (axi.index == registers.index_of("CONTROL")) & axi.strobe[0]):
            m.d.sync += self.reset.eq(axi.data[0])

        values = {
            "MAGIC": C(registers.MAGIC, 32),
            "VERSION": C(registers.VERSION, 32),
            "HASH_LOW": C(self.identity & 0xFFFFFFFF, 32),
            "HASH_HIGH": C(self.identity >> 32, 32),
            "CONTROL": self.reset,
            "ERRORS": Cat(*errors),
            "FRAMES": progress.frames,
            "CYCLES": progress.cycles,
        }
        with m.Switch(axi.index):
            for at in registers.REGISTERS:
                with m.Case(at.offset // 4):
                    m.d.comb += [
                        axi.value.eq(values[at.name]),
                        axi.readable.eq(1),
                        axi.writable.eq(at.access != "ro"),
                    ]
        return m

    @staticmethod
    def primitives(beats: list[int], outputs: int) -> list[Part]:
        """Parts of it all."""
        apart = [n for n in (len(beats), outputs) if n > 1]
        flags = len(registers.ERRORS) * min(len(beats), registers.WATCHED)
        return [
            *AxiLite.primitives(),
            *(part for count in beats for part in Sequencer.primitives(Process((count,)))),
            Register(len(beats)),  # waited
            Logic(3 * len(beats)),
            Register(flags + 1),  # errors, reset
            Logic(2 * flags),
            Register(32 + 32 + 32 + FRAMES),  # frames, cycles, count, inside
            Adder(32, 2, constant=True),
            Adder(FRAMES),
            Compare(FRAMES, constant=True),
            *(Register(n * FRAMES) for n in apart),
            *(Adder(FRAMES, n) for n in apart),
            *(Compare(FRAMES, n, constant=True) for n in apart),
            MuxPart(32, ways=4),  # constants cost little
        ]
