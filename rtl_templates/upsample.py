"""Nearest upsampling: every row several times, every pixel of it several times."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from amaranth import Cat, Module
from amaranth.lib import wiring

from hwgen.beats import Beats, useful_lanes
from hwgen.network import Upsample2d
from hwgen.primitives import Part
from hwgen.rtl_templates.pipeline import delay, ports
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.rtl_templates.window import Window
from hwgen.rtl_templates.window_reader import reading
from hwgen.schedule import Process, Put, Schedule

__all__ = ["UpsampleSpec"]


@dataclass(frozen=True)
class UpsampleSpec:
    """``lanes`` channels of ``pixels`` pixels are taken at once.

    If ``wide``, a beat that leaves holds every pixel as often as it is wanted across; otherwise
    the beats of a pixel, of which there is then one at a time, leave again and again.
    """

    ops: tuple[Upsample2d, ...]
    lanes: int
    pixels: int = 1
    wide: bool = True

    def __post_init__(self):
        if self.pixels > 1 and not self.wide:
            raise ValueError("several pixels at once leave in wide beats")
        _ = self.inputs, self.outputs  # which check the folding

    @property
    def op(self) -> Upsample2d:
        """The op."""
        return self.ops[0]

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.input, self.lanes, self.pixels),)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        across = self.op.factor[1] if self.wide else 1
        return (Beats(self.op.output, self.lanes, self.pixels * across),)

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def latency(self) -> int:
        """Cycles: memory, queue."""
        return 2

    @cached_property
    def window(self) -> Window:
        """What is held: a row if it is wanted again, or else a pixel; a beat is one pixel here."""
        beats = self.inputs[0]
        height, width, channels = beats.type.map_shape
        shape = (height, width // self.pixels, channels * self.pixels)
        whole = Beats(replace(beats.type, shape=shape), beats.values)
        return Window(whole, (1, shape[1] if self.op.factor[0] > 1 else 1), (1, 1), (0, 0, 0, 0), 0)

    def compute_process(self) -> Process:
        """Walks rows, or pixels; what is held is read so often down, across, and by folds."""
        window, (down, across) = self.window, self.op.factor
        repeats = 1 if self.wide else across
        loops = (*window.counts, down, window.kernel[1], repeats, window.source.folds)
        put = Put("o", self.latency, depth_for(self.latency, 1))
        return Process(loops, puts=(put,), read=window.read())

    @property
    def strides(self) -> list[int]:
        """Beats that each loop of the compute process moves in the ring."""
        by = self.window.strides
        return [by["row"], by["group"], 0, by["tap_column"], 0, by["fold"]]

    def schedule(self) -> Schedule:
        return Schedule(
            {"fill": self.window.fill_process(), "compute": self.compute_process()},
            {"window": self.window.capacity},
        )

    def primitives(self) -> list[Part]:
        process = self.compute_process()
        return [
            *Sequencer.primitives(process),
            *self.window.primitives(),
            *Queue.primitives(self.outputs[0].width, process.puts[0].depth),
        ]

    def create(self, name: str = "upsample") -> "Upsampling":
        return Upsampling(self)

    @staticmethod
    def foldings(op: Upsample2d, family: str) -> Iterator["UpsampleSpec"]:
        """Every number of lanes that wastes no fold, and of pixels that divides the width."""
        width, channels = op.input.shape[1:]
        for lanes in useful_lanes(channels):
            if op.factor[1] > 1:
                yield UpsampleSpec((op,), lanes, 1, False)
            for pixels in (n for n in range(1, width + 1) if width % n == 0):
                yield UpsampleSpec((op,), lanes, pixels)


class Upsampling(wiring.Component):
    """The engine of ``UpsampleSpec``: a beat a cycle."""

    def __init__(self, spec: UpsampleSpec):
        self.spec = spec
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        _, window, queue, putting = reading(m, self, spec.compute_process(), column=3)
        m.d.comb += queue.push.eq(delay(m, putting, spec.latency - 1, "step"))
        pixel = self.spec.inputs[0].width // spec.pixels
        copies = spec.op.factor[1] if spec.wide else 1
        m.d.comb += queue.data.eq(
            Cat([window.data.word_select(n, pixel)] * copies for n in range(spec.pixels))
        )
        return m
