"""Into spikes and out of them: rate coding by a shift register, counts and first spikes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import xor

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring

from hwgen.beats import Beats, useful_lanes
from hwgen.network import FirstSpike, RateCode, SpikeCount
from hwgen.network.coding import POLYNOMIAL, SEED
from hwgen.primitives import Adder, Compare, Logic, Memory, Part, Register
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.memory import LutRam, Ram
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split
from hwgen.rtl_templates.queue import Queue, depth_for, passing
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.schedule import Process, Put, Read, Schedule, Take, Write

__all__ = ["RateSpec", "ReadoutSpec"]

#: Most inputs that are compared with levels at once.
MOST_LANES = 32


def _lanes(channels: int) -> list[int]:
    return [1 << n for n in range(MOST_LANES.bit_length()) if 1 << n <= channels]


@dataclass(frozen=True)
class RateSpec:
    """``lanes`` inputs a cycle meet their levels; the frame is held for all steps."""

    ops: tuple[RateCode, ...]
    lanes: int

    def __post_init__(self):
        _ = self.inputs  # which checks the lanes

    @property
    def op(self) -> RateCode:
        """The op."""
        return self.ops[0]

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes),)

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes),)

    @property
    def latency(self) -> int:
        """Cycles: the memory, the comparison, the queue."""
        return 3

    @property
    def folds(self) -> int:
        """Beats a frame, and a step."""
        return self.inputs[0].folds

    @property
    def capacity(self) -> int:
        """Beats of the ring: the frame in use and the next one."""
        return 1 << (2 * self.folds - 1).bit_length()

    @property
    def last(self) -> int:
        """Inputs in the last beat of a step."""
        return self.op.input.channels - (self.folds - 1) * self.lanes

    def fill_process(self) -> Process:
        """Takes a frame."""
        return Process((self.folds,), takes=(Take("i"),), write=Write("frame"))

    def code_process(self) -> Process:
        """Walks the frame in every step."""
        put = Put("o", self.latency, depth_for(self.latency, 1))
        read = Read("frame", 0, self.folds, (self.folds,))
        return Process((self.op.steps, self.folds), puts=(put,), read=read)

    @property
    def moves(self) -> list[int]:
        """How far the address of the beat in use moves with each loop."""
        return deltas((self.op.steps, self.folds), (0, 1), self.folds)

    def schedule(self) -> Schedule:
        return Schedule(
            {"fill": self.fill_process(), "code": self.code_process()}, {"frame": self.capacity}
        )

    def primitives(self) -> list[Part]:
        bits, state = (self.capacity - 1).bit_length(), POLYNOMIAL[0]
        fresh = self.lanes + self.op.input.bits - 1  # bits that levels are made of
        return [
            *Sequencer.primitives(self.code_process()),
            *Level.primitives(self.capacity),
            *Pointer.primitives(bits),
            Memory(self.capacity, self.inputs[0].width, "ram"),
            Register(bits + state + fresh + self.lanes),
            Adder(bits, constant=True),
            Logic(3 * fresh),
            MuxPart(state, 1 + (self.last != self.lanes)),
            Compare(self.op.input.bits, self.lanes),
            *Queue.primitives(self.outputs[0].width, self.code_process().puts[0].depth),
        ]

    def create(self, name: str = "rate") -> "Rate":
        return Rate(self)

    @staticmethod
    def foldings(op: RateCode, family: str) -> Iterator["RateSpec"]:
        """Every power of two of lanes."""
        for lanes in _lanes(op.input.channels):
            yield RateSpec((op,), lanes)


class Rate(wiring.Component):
    """The engine of ``RateSpec``: a beat a cycle."""

    def __init__(self, spec: RateSpec):
        self.spec = spec
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, source = self.spec, self.spec.inputs[0]
        process = spec.code_process()
        m.submodules.sequencer = code = Sequencer(process)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, process.puts[0].depth)
        m.submodules.frame = ram = Ram(spec.capacity, source.width)
        m.submodules.level = level = Level(spec.capacity, process.read, code)
        m.submodules.pointer = pointer = Pointer(code, spec.moves, len(ram.address))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        tail = Signal.like(ram.address)
        m.d.sync += tail.eq(tail + level.write)
        m.d.comb += [
            self.i.ready.eq(level.room),
            level.write.eq(self.i.valid & self.i.ready),
            code.step.eq(level.ready & queue.room),
            queue.reserve.eq(code.step),
            ram.write.eq(level.write),
            ram.write_address.eq(tail),
            ram.write_data.eq(self.i.payload),
            ram.address.eq(pointer.value),
        ]

        # The 16 bits before the first that the beat uses, the most recent lowest.
        state = Signal(POLYNOMIAL[0], init=SEED)
        bits = [state[-1 - n] for n in range(POLYNOMIAL[0])]
        for n in range(spec.lanes + source.type.bits - 1):
            bits.append(reduce(xor, (bits[POLYNOMIAL[0] + n - tap] for tap in POLYNOMIAL)))
        with m.If(code.step):
            m.d.sync += state.eq(Cat(reversed(bits[spec.lanes :][: POLYNOMIAL[0]])))
        if spec.last != spec.lanes:
            with m.If(code.step & (code.index[1] == spec.folds - 1)):
                m.d.sync += state.eq(Cat(reversed(bits[spec.last :][: POLYNOMIAL[0]])))
        with m.If(code.step & code.moves[-1]):
            m.d.sync += state.eq(SEED)
        fresh = bits[POLYNOMIAL[0] :]
        levels = [Cat(fresh[n : n + source.type.bits]) for n in range(spec.lanes)]
        values = split(ram.data, spec.lanes, source.type.bits, False)
        above = [
            register(m, value > register(m, level, "level"), "above")
            for value, level in zip(values, levels, strict=True)
        ]
        # Spare lanes hold zeros, which are above nothing.
        m.d.comb += [queue.push.eq(delay(m, code.step, 2, "step")), queue.data.eq(Cat(above))]
        return m


@dataclass(frozen=True)
class ReadoutSpec:
    """``lanes`` neurons at once; a beat of results leaves in the last step."""

    ops: tuple[SpikeCount | FirstSpike, ...]
    lanes: int

    def __post_init__(self):
        _ = self.inputs  # which checks the lanes

    @property
    def op(self) -> SpikeCount | FirstSpike:
        """The op."""
        return self.ops[0]

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes),)

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes),)

    def process(self) -> Process:
        """Takes every beat of spikes, puts in the last step."""
        steps = self.op.input.shape[0]
        put = Put("o", 1, depth_for(1, 1), {0: (steps - 1,)})
        return Process((steps, self.inputs[0].folds), takes=(Take("i"),), puts=(put,))

    def schedule(self) -> Schedule:
        return Schedule({"readout": self.process()})

    def primitives(self) -> list[Part]:
        width, folds, bits = self.outputs[0].width, self.inputs[0].folds, self.op.output.bits
        return [
            *Sequencer.primitives(self.process()),
            Memory(folds, width, "lutram"),
            Adder(bits, self.lanes, constant=True),
            MuxPart(bits, 3, self.lanes),
            *Queue.primitives(width, self.process().puts[0].depth),
        ]

    def create(self, name: str = "readout") -> "Readout":
        return Readout(self)

    @staticmethod
    def foldings(op: SpikeCount | FirstSpike, family: str) -> Iterator["ReadoutSpec"]:
        """Every number of lanes that wastes no fold."""
        channels = op.input.channels
        for lanes in useful_lanes(channels):
            yield ReadoutSpec((op,), lanes)


class Readout(wiring.Component):
    """The engine of ``ReadoutSpec``: a beat a cycle."""

    def __init__(self, spec: ReadoutSpec):
        self.spec = spec
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, bits = self.spec, self.spec.op.output.bits
        process = spec.process()
        steps = process.loops[0]
        sequencer, queue = passing(m, self, process)
        m.submodules.results = ram = LutRam(spec.inputs[0].folds, spec.outputs[0].width)
        step, fold = sequencer.index
        fresh = step == 0
        results = []
        for n, before in enumerate(split(ram.data, spec.lanes, bits, False)):
            before = Mux(fresh, 0, before)
            spiked = self.i.payload[n]
            if isinstance(spec.op, SpikeCount):
                result = before + spiked
            else:
                left = Signal(bits)
                m.d.comb += left.eq(C(steps, bits + 1) - step)
                result = Mux(spiked & (before == 0), left, before)
            results.append(result)
        m.d.comb += [
            ram.address.eq(fold),
            ram.write.eq(sequencer.step),
            ram.write_address.eq(fold),
            ram.write_data.eq(join(results, bits)),
            queue.data.eq(join(results, bits)),
        ]
        return m
