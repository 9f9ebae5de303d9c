"""Max-pooling: the window's taps one after another against the best so far."""

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats
from hwgen.network import MaxPool2d
from hwgen.primitives import Compare, Part, Register
from hwgen.primitives import Mux as MuxPart
from hwgen.rtl_templates.pipeline import delay, join, register, split
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.rtl_templates.window import Window, WindowReader
from hwgen.schedule import Process, Put, Schedule

__all__ = ["MaxPool", "MaxPoolSpec"]

#: Loops of the compute process, outermost first, as ways to walk the window.
WALK = ("row", "group", "fold", "tap_row", "tap_column")


@dataclass(frozen=True)
class MaxPoolSpec:
    """``lanes`` channels of ``pixels`` windows at once, a tap a cycle."""

    ops: tuple[MaxPool2d, ...]
    lanes: int
    pixels: int = 1

    def __post_init__(self):
        _ = self.window, self.outputs  # which check the folding

    @property
    def op(self) -> MaxPool2d:
        """The op."""
        return self.ops[0]

    @property
    def window(self) -> Window:
        """How the input is walked."""
        op = self.op
        beats = Beats(op.input, self.lanes, Window.source_pixels(self.pixels, op.stride))
        return Window(beats, op.kernel, op.stride, op.padding, op.input.lo, self.pixels)

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.window.source,)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def latency(self) -> int:
        """Cycles: memory, operands, best so far, queue."""
        return 4

    def compute_process(self) -> Process:
        """Walks windows, folds of channels and taps."""
        window = self.window
        kernel = window.kernel
        last = {3: (kernel[0] - 1,), 4: (kernel[1] - 1,)}
        put = Put("o", self.latency, depth_for(self.latency, kernel[0] * kernel[1]), last)
        loops = (window.counts[0], window.groups, window.source.folds, *kernel)
        return Process(loops, puts=(put,), read=window.read())

    def schedule(self) -> Schedule:
        return Schedule(
            {"fill": self.window.fill_process(), "compute": self.compute_process()},
            {"window": self.window.capacity},
        )

    def primitives(self) -> list[Part]:
        process, bits = self.compute_process(), self.op.input.bits
        values = self.outputs[0].values
        return [
            *Sequencer.primitives(process),
            *self.window.primitives(process),
            Compare(bits, values),
            MuxPart(bits, 2, values),
            Register(2 * bits * values),
            *Queue.primitives(self.outputs[0].width, process.puts[0].depth),
        ]

    def create(self, name: str = "pool") -> "MaxPool":
        return MaxPool(self)

    @staticmethod
    def foldings(op: MaxPool2d, family: str) -> Iterator["MaxPoolSpec"]:
        """Every number of lanes that wastes no fold, and of pixels that divides the width."""
        width = op.output.map_shape[1]
        channels = op.input.channels
        for pixels in (n for n in range(1, width + 1) if width % n == 0):
            for lanes in sorted({-(-channels // folds) for folds in range(1, channels + 1)}):
                try:
                    yield MaxPoolSpec((op,), lanes, pixels)
                except ValueError:
                    continue  # this many pixels do not tile the input


class MaxPool(wiring.Component):
    """The engine of ``MaxPoolSpec``: a beat leaves ``spec.latency`` cycles after its last tap."""

    def __init__(self, spec: MaxPoolSpec):
        self.spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(spec.inputs[0].width)),
                "o": Out(stream.Signature(spec.outputs[0].width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, source = self.spec, self.spec.op.input
        process = spec.compute_process()
        put = process.puts[0]
        m.submodules.sequencer = sequencer = Sequencer(process)
        m.submodules.window = window = WindowReader(spec.window, sequencer, WALK, column=4)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, put.depth)
        wiring.connect(m, wiring.flipped(self.i), window.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        last = sequencer.selects(put.at)
        m.d.comb += [
            sequencer.step.eq(window.ready & (queue.room | ~last)),
            queue.reserve.eq(sequencer.step & last),
            queue.push.eq(delay(m, sequencer.step & last, spec.latency - 1, "last")),
        ]
        began = delay(m, sequencer.begins(3), spec.latency - 2, "first")
        stepped = delay(m, sequencer.step, spec.latency - 2, "step")
        results = []
        for value in split(window.data, spec.outputs[0].values, source.bits, source.signed):
            tap = register(m, value)
            best = Signal(value.shape(), reset_less=True, name="best")
            with m.If(stepped & (began | (tap > best))):
                m.d.sync += best.eq(tap)
            results.append(best)
        m.d.comb += queue.data.eq(join(results, source.bits))
        return m
