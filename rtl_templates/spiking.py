"""Layers of spiking neurons: a few soma units, shared in time by all neurons of the layer.

A scanner turns the beats of a step into events: the address of each spike, then the end of the
step. A core takes one event at a time and walks the neurons, ``units`` a cycle: for a spike it adds
a synapse to each membrane, at the end of the step it fires and leaks. So a step takes
``(spikes + 1) * ceil(neurons / units)`` cycles, whatever the width of the input. Membranes and
synapses lie in memories; nothing but addresses grows with the number of neurons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.beats import Beats
from hwgen.network import Leaky, SpikingLinear
from hwgen.primitives import ROM_WORDS, Adder, Logic, Memory, Part, Register
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.memory import rom_part
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.rtl_templates.soma import LATENCY, Folding, soma_parts
from hwgen.rtl_templates.spiking_core import DirectCore, SpikingCore
from hwgen.schedule import FIRST, LAST, LATER, Process, Put, Read, Schedule, Take, Trips, Write

__all__ = ["LeakySpec", "SpikingSpec"]

#: Events between scanner and core: as deep as the smallest LUT memory costs nothing more.
EVENTS = 32

#: Widest beat that the scanner looks through for spikes in a cycle.
MOST_LANES = 32


class _Layer:
    """What both engines share: ``units`` soma units for the neurons of one op."""

    ops: tuple[SpikingLinear | Leaky, ...]
    units: int

    @property
    def op(self):
        """The layer."""
        return self.ops[0]

    @cached_property
    def folding(self) -> Folding:
        """How the neurons are walked."""
        return Folding(self.op, self.units)

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.units),)

    def _put(self, end_of_step) -> Put:
        """A beat for each word of neurons that fire: every step, or, of membranes, in the last."""
        at = {1: end_of_step, 2: range(self.folding.words)}
        if getattr(self.op, "readout", "spikes") == "membrane":
            at[0] = (self.op.steps - 1,)
        return Put("o", LATENCY, depth_for(LATENCY, 1), at)


@dataclass(frozen=True)
class SpikingSpec(_Layer):
    """``units`` neurons and ``lanes`` bits of the incoming spikes at once.

    ``lanes`` is a power of two, or all inputs.
    """

    ops: tuple[SpikingLinear, ...]
    units: int
    lanes: int = 1

    def __post_init__(self):
        if not 1 <= self.units <= self.op.neurons:
            raise ValueError(f"units must be 1 to {self.op.neurons}, not {self.units}")
        if self.lanes & (self.lanes - 1) and self.lanes != self.op.input.channels:
            raise ValueError(f"lanes must be a power of two, or all inputs, not {self.lanes}")
        _ = self.inputs  # which checks the rest

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes),)

    @property
    def address_bits(self) -> int:
        """Bits of the address of a spike: its lane, then its beat."""
        folds = self.inputs[0].folds
        return (self.lanes - 1).bit_length() + (folds - 1).bit_length()

    def scan_process(self) -> Process:
        """Takes a beat, writes an event for each of its spikes, and one at the end of a step."""
        folds, lanes = self.inputs[0].folds, self.lanes
        last = self.op.input.channels - (folds - 1) * lanes
        worst = (*[1 + lanes] * (folds - 1), 2 + last)
        mean = (folds + self._activity + 1) / folds
        return Process(
            (self.op.steps, folds, Trips("scanned", worst, mean)),
            takes=(Take("i", {2: FIRST}),),
            write=Write("events", {2: LATER}),
        )

    def core_process(self) -> Process:
        """Walks the neurons for each event of each step."""
        worst = self.op.input.channels + 1
        events = Trips("events", (worst,), self._activity + 1)
        return Process(
            (self.op.steps, events, self.folding.folds),
            puts=(self._put(LAST),),
            read=Read("events", 2, 1, (1, 1, 1)),
        )

    @property
    def _activity(self) -> float:
        """Spikes a step on the data that the plan is made for; if that is not known, the most."""
        return self.op.activity or float(self.op.input.channels)

    def schedule(self) -> Schedule:
        return Schedule(
            {"scan": self.scan_process(), "core": self.core_process()}, {"events": EVENTS}
        )

    def trips(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Trip counts that input spikes (B, T, 1, F) decide, by name."""
        beats, lanes = self.inputs[0], self.lanes
        padded = np.zeros((*x.shape[:2], beats.folds * lanes), x.dtype)
        padded[..., : x.shape[3]] = x[:, :, 0]
        scanned = 1 + padded.reshape(*x.shape[:2], beats.folds, lanes).sum(3)
        scanned[..., -1] += 1
        return {"scanned": scanned, "events": 1 + x.sum((2, 3))}

    def synapse_words(self) -> np.ndarray:
        """Indices in the order of the core's addresses, (words * inputs, units)."""
        return self.folding.per_word(self.op.indices.T).transpose(1, 0, 2).reshape(-1, self.units)

    def primitives(self) -> list[Part]:
        op, lanes, folding = self.op, self.lanes, self.folding
        synapses = op.input.channels * folding.words
        event = self.address_bits + 1
        codebook_bits = folding.weight_bits
        rom = Memory(synapses, self.units * op.index_bits, "rom")
        if synapses <= ROM_WORDS:
            rom = rom_part(self.synapse_words(), op.index_bits)
        # A table of 2^b entries a bit, which six inputs at a time decide.
        luts = max(1, len(op.codebook) // 16)
        return [
            *Sequencer.primitives(self.scan_process()),
            *Sequencer.primitives(self.core_process()),
            Register(lanes),
            Adder(lanes, constant=True),
            MuxPart(lanes),
            Logic(2 * lanes),
            *Level.primitives(EVENTS),
            Memory(EVENTS, event, "lutram"),
            Register(10),
            Adder(5, 2, constant=True),
            rom,
            Register((synapses - 1).bit_length()),
            Adder((synapses - 1).bit_length(), constant=True),
            MuxPart((synapses - 1).bit_length()),
            Logic(codebook_bits * self.units * luts),
            Register(codebook_bits * self.units),
            *soma_parts(folding),
            *Queue.primitives(self.outputs[0].width, self.core_process().puts[0].depth),
        ]

    def create(self, name: str = "spiking") -> SpikingCore:
        return SpikingCore(self, name)

    @staticmethod
    def foldings(op: SpikingLinear, family: str) -> Iterator["SpikingSpec"]:
        """Numbers of units that walk the neurons in fewer cycles than any smaller number, with
        every width of beats."""
        inputs = op.input.channels
        lanes = [1 << n for n in range(MOST_LANES.bit_length()) if 1 << n <= inputs]
        for units in Folding.useful(op.neurons):
            for width in lanes:
                yield SpikingSpec((op,), units, width)


@dataclass(frozen=True)
class LeakySpec(_Layer):
    """``units`` neurons at once, which get the same current in every step."""

    ops: tuple[Leaky, ...]
    units: int

    def __post_init__(self):
        if not 1 <= self.units <= self.op.neurons:
            raise ValueError(f"units must be 1 to {self.op.neurons}, not {self.units}")

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.units),)

    @property
    def capacity(self) -> int:
        """Words of currents: those in use, and those of the next frame."""
        return 1 << (2 * self.folding.words - 1).bit_length()

    def fill_process(self) -> Process:
        """Takes the currents of a frame."""
        return Process((self.folding.words,), takes=(Take("i"),), write=Write("currents"))

    def core_process(self) -> Process:
        """In each step adds the currents, then fires."""
        words = self.folding.words
        return Process(
            (self.op.steps, 2, self.folding.folds),
            puts=(self._put((1,)),),
            read=Read("currents", 0, words, (words,)),
        )

    @property
    def moves(self) -> list[int]:
        """How far the address of the currents moves with each loop."""
        words = self.folding.words
        return deltas((self.op.steps, 2, self.folding.folds), (0, 0, 1), words)

    def schedule(self) -> Schedule:
        return Schedule(
            {"fill": self.fill_process(), "core": self.core_process()}, {"currents": self.capacity}
        )

    def primitives(self) -> list[Part]:
        bits = (self.capacity - 1).bit_length()
        width = self.inputs[0].width
        return [
            *Sequencer.primitives(self.core_process()),
            *Level.primitives(self.capacity),
            *Pointer.primitives(bits),
            Memory(self.capacity, width, "ram"),
            Register(bits + width),
            Adder(bits, constant=True),
            *soma_parts(self.folding),
            *Queue.primitives(self.outputs[0].width, self.core_process().puts[0].depth),
        ]

    def create(self, name: str = "leaky") -> DirectCore:
        return DirectCore(self, name)

    @staticmethod
    def foldings(op: Leaky, family: str) -> Iterator["LeakySpec"]:
        """Numbers of units that walk the neurons in fewer cycles than any smaller number."""
        for units in Folding.useful(op.neurons):
            yield LeakySpec((op,), units)
