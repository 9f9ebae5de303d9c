"""Hardware of the spiking layers: the scanner that finds events, and what walks the soma."""

from functools import reduce
from operator import or_

from amaranth import C, Cat, Elaboratable, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring

from hwgen.rtl_templates.memory import LutRam, Ram, Rom, words_of
from hwgen.rtl_templates.pipeline import delay, ports, register, split
from hwgen.rtl_templates.queue import Queue
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer
from hwgen.rtl_templates.soma import LATENCY, Soma

__all__ = ["DirectCore", "Scanner", "SpikingCore"]


class Scanner(Elaboratable):
    """Finds the spikes of each beat, lowest lane first, one a cycle.

    Attributes
    ----------
    i : stream In
        Beats of spikes.
    offered : Signal(1), out
        There is an event: ``address`` has spiked, or, with ``end``, the step is over.

    Parameters
    ----------
    core : Sequencer
        Of the process that reads the events.
    """

    def __init__(self, spec, core: Sequencer):
        self.spec, self.core = spec, core
        self.i = stream.Signature(spec.lanes).flip().create(path=("i",))
        self.offered, self.end = Signal(), Signal()
        self.address = Signal(max(1, spec.address_bits))

    def elaborate(self, platform):
        m = Module()
        spec, lanes, core = self.spec, self.spec.lanes, self.core
        capacity = spec.schedule().rings["events"]
        m.submodules.sequencer = scan = Sequencer(spec.scan_process())
        last_beat = scan.index[1] == spec.inputs[0].folds - 1
        taking = ~scan.index[2]
        read = spec.core_process().read
        m.submodules.level = level = Level(capacity, read, core)
        rest, pending = Signal(lanes), Signal(lanes)
        end = ~taking & (rest == 0)
        m.d.comb += [
            self.i.ready.eq(taking),
            scan.step.eq(Mux(taking, self.i.valid, level.room)),
            pending.eq(Mux(taking, self.i.payload, rest & (rest - 1))),
            scan.ends.eq((pending == 0) & (~last_beat | end)),
        ]
        with m.If(scan.step):
            m.d.sync += rest.eq(pending)

        lowest = rest & ~(rest - 1)[:lanes]
        lane = [
            reduce(or_, (lowest[n] for n in range(lanes) if n >> bit & 1))
            for bit in range((lanes - 1).bit_length())
        ]
        beat = scan.index[1][: (spec.inputs[0].folds - 1).bit_length()]
        m.submodules.events = events = LutRam(capacity, len(self.address) + 1)
        head, tail = Signal(range(capacity)), Signal(range(capacity))
        m.d.sync += [head.eq(head + level.released), tail.eq(tail + level.write)]
        m.d.comb += [
            level.write.eq(scan.step & ~taking),
            events.write.eq(level.write),
            events.write_address.eq(tail),
            events.write_data.eq(Cat(end, *lane, beat)),
            events.address.eq(head),
            self.offered.eq(level.ready),
            self.end.eq(events.data[0]),
            self.address.eq(events.data[1:]),
        ]
        return m


class SpikingCore(wiring.Component):
    """The engine of ``SpikingSpec``."""

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, op, folding = self.spec, self.spec.op, self.spec.folding
        process = spec.core_process()
        put = process.puts[0]
        m.submodules.sequencer = core = Sequencer(process)
        m.submodules.scanner = scanner = Scanner(spec, core)
        m.submodules.soma = soma = Soma(folding, self.name)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, put.depth)
        wiring.connect(m, wiring.flipped(self.i), scanner.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        putting = core.selects(put.at)
        m.d.comb += [
            core.ends.eq(scanner.end),
            core.step.eq(scanner.offered & (queue.room | ~putting)),
            soma.step.eq(core.step),
            soma.fires.eq(scanner.end),
            soma.fresh.eq((core.index[0] == 0) & ~core.index[1]),
            soma.fold.eq(core.index[2]),
            queue.reserve.eq(core.step & putting),
            queue.push.eq(delay(m, core.step & putting, LATENCY - 1, "put")),
            queue.data.eq(soma.out),
        ]

        # Synapses lie word by word: a spike's own word comes first, the next one an input on.
        words = words_of(spec.synapse_words(), op.index_bits)
        rom = Rom(words, folding.units * op.index_bits, f"{self.name}_synapses")
        m.submodules.synapses = rom
        following = Signal.like(rom.address)
        m.d.comb += rom.address.eq(Mux(core.begins(2), scanner.address, following))
        with m.If(core.step):
            m.d.sync += following.eq(rom.address + op.input.channels)
        for weight, index in zip(
            soma.weights, split(rom.data, folding.units, op.index_bits, False), strict=True
        ):
            m.d.comb += weight.eq(register(m, self._entry(m, index), "weight"))
        return m

    def _entry(self, m, index):
        """What the codebook has at ``index``."""
        entry = Signal(signed(self.spec.folding.weight_bits))
        with m.Switch(index):
            for n, weight in enumerate(self.spec.op.codebook):
                with m.Case(n):
                    m.d.comb += entry.eq(C(int(weight), signed(len(entry))))
        return entry


class DirectCore(wiring.Component):
    """The engine of ``LeakySpec``."""

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, op, folding = self.spec, self.spec.op, self.spec.folding
        process = spec.core_process()
        put = process.puts[0]
        m.submodules.sequencer = core = Sequencer(process)
        m.submodules.soma = soma = Soma(folding, self.name)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, put.depth)
        m.submodules.currents = ram = Ram(spec.capacity, spec.inputs[0].width)
        m.submodules.level = level = Level(spec.capacity, process.read, core)
        m.submodules.pointer = pointer = Pointer(core, spec.moves, len(ram.address))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        putting = core.selects(put.at)
        tail = Signal.like(ram.address)
        m.d.sync += tail.eq(tail + level.write)
        m.d.comb += [
            self.i.ready.eq(level.room),
            level.write.eq(self.i.valid & self.i.ready),
            core.step.eq(level.ready & (queue.room | ~putting)),
            soma.step.eq(core.step),
            soma.fires.eq(core.index[1]),
            soma.fresh.eq((core.index[0] == 0) & (core.index[1] == 0)),
            soma.fold.eq(core.index[2]),
            queue.reserve.eq(core.step & putting),
            queue.push.eq(delay(m, core.step & putting, LATENCY - 1, "put")),
            queue.data.eq(soma.out),
            ram.write.eq(level.write),
            ram.write_address.eq(tail),
            ram.write_data.eq(self.i.payload),
            ram.address.eq(pointer.value),
        ]
        given = split(ram.data, folding.units, op.input.bits, op.input.signed)
        for weight, current in zip(soma.weights, given, strict=True):
            m.d.comb += weight.eq(register(m, current, "current"))
        return m
