"""Windows reduced channel by channel: max-pooling, sum-pooling, depthwise convolution.

Every cycle one tap of ``pixels`` windows meets ``lanes`` channels. Channels do not see one another,
so there is no adder tree; after the last tap a beat of ``pixels x lanes`` results leaves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.beats import Beats, useful_lanes
from hwgen.network import Conv2d, MaxPool2d, SumPool2d
from hwgen.network.types import bits_for
from hwgen.primitives import Accumulator, Adder, Compare, Hold, Part, Register
from hwgen.rtl_templates.adders import tree_parts
from hwgen.rtl_templates.channelwise_array import Channelwise
from hwgen.rtl_templates.memory import rom_part
from hwgen.rtl_templates.multiply import BLOCK, Products, Style
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.rtl_templates.styles import styles
from hwgen.rtl_templates.window import Window
from hwgen.schedule import Process, Put, Schedule

__all__ = ["ChannelwiseSpec"]


@dataclass(frozen=True)
class ChannelwiseSpec:
    """``lanes`` channels of ``pixels`` windows at once, a tap a cycle; ``style`` says how products
    are made.

    A convolution must be depthwise: as many groups, and output channels, as input channels.
    """

    ops: tuple[MaxPool2d | SumPool2d | Conv2d, ...]
    lanes: int
    pixels: int = 1
    style: Style = BLOCK

    def __post_init__(self):
        if isinstance(self.op, Conv2d) and not _is_depthwise(self.op):
            raise ValueError("only a depthwise convolution goes channel by channel")
        if self.op.input.encoding == "bipolar" and self.multiplies:
            raise ValueError("products of bipolar numbers are those of ConvSpec")
        _ = self.window, self.outputs  # which check the folding

    @property
    def op(self) -> MaxPool2d | SumPool2d | Conv2d:
        """The op."""
        return self.ops[0]

    @property
    def multiplies(self) -> bool:
        """Whether taps are weighted."""
        return isinstance(self.op, Conv2d)

    @cached_property
    def window(self) -> Window:
        """How the input is walked."""
        op = self.op
        beats = Beats(op.input, self.lanes, Window.source_pixels(self.pixels, op.stride))
        fill = op.input.coded(op.input.lo) if isinstance(op, MaxPool2d) else op.input.zero_point
        dilation = op.dilation if isinstance(op, Conv2d) else (1, 1)
        return Window(beats, op.kernel, op.stride, op.padding, fill, self.pixels, dilation)

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.window.source,)

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.lanes, self.pixels),)

    @property
    def multipliers(self) -> int:
        """Products a cycle; none for pooling."""
        return self.lanes * self.pixels if self.multiplies else 0

    @property
    def latency(self) -> int:
        """Cycles: memory, operands, product if there is one, best or sum so far, queue."""
        return 4 + (self.products.latency if self.multiplies else 0)

    @property
    def products(self) -> Products:
        """Products of one lane: every window with its weight."""
        source = self.op.input
        shape = source.bits, source.signed, self.weight_bits
        return Products(*shape, style=self.style, pixels=self.pixels)

    @property
    def folds(self) -> int:
        """Beats a pixel group."""
        return self.window.source.folds

    def compute_process(self) -> Process:
        """Walks windows, folds of channels and taps."""
        window = self.window
        kernel = window.kernel
        last = {3: (kernel[0] - 1,), 4: (kernel[1] - 1,)}
        put = Put("o", self.latency, depth_for(self.latency, kernel[0] * kernel[1]), last)
        loops = (window.counts[0], window.groups, self.folds, *kernel)
        return Process(loops, puts=(put,), read=window.read())

    @property
    def strides(self) -> list[int]:
        """Beats that each loop of the compute process moves in the ring."""
        by = self.window.strides
        return [by[name] for name in ("row", "group", "fold", "tap_row", "tap_column")]

    def schedule(self) -> Schedule:
        return Schedule(
            {"fill": self.window.fill_process(), "compute": self.compute_process()},
            {"window": self.window.capacity},
        )

    def weight_words(self) -> np.ndarray:
        """Weights in the order of the steps, (folds * taps, lanes)."""
        weights = self.op.weights.astype(np.int64)[..., 0]  # (C, kh, kw)
        spare = self.folds * self.lanes - len(weights)
        padded = np.pad(weights, ((0, spare), (0, 0), (0, 0)))
        shaped = padded.reshape(self.folds, self.lanes, *self.window.kernel)
        return shaped.transpose(0, 2, 3, 1).reshape(-1, self.lanes)

    def first_words(self) -> np.ndarray:
        """What sums start from, (folds, lanes): the bias, or less all zero points of a window."""
        op, channels = self.op, self.op.input.channels
        if isinstance(op, Conv2d):
            first = op.bias.astype(np.int64)
        else:
            taps = self.window.kernel[0] * self.window.kernel[1]
            first = np.full(channels, -taps * op.input.zero_point)
        return np.pad(first, (0, self.folds * self.lanes - channels)).reshape(-1, self.lanes)

    @property
    def stores_first(self) -> bool:
        """Whether a memory holds what sums start from: folds that are all alike have constants."""
        words = self.first_words()
        return bool((words != words[0]).any())

    @property
    def weight_bits(self) -> int:
        """Stored bits of a weight, two's complement; signs with zeros in spare lanes take two."""
        return max(2, self.op.weight_bits)

    @property
    def first_bits(self) -> int:
        """Stored bits of what a sum starts from, two's complement."""
        words = self.first_words()
        bits, is_signed = bits_for(int(words.min()), int(words.max()))
        return bits + (not is_signed)

    def primitives(self) -> list[Part]:
        process, source, values = self.compute_process(), self.op.input, self.outputs[0].values
        parts: list[Part] = [
            *Sequencer.primitives(process),
            *self.window.primitives(),
            Register(3 * self.latency - 5),
            *Queue.primitives(self.outputs[0].width, process.puts[0].depth),
        ]
        wide = self.op.output.bits
        if isinstance(self.op, MaxPool2d):
            return [
                *parts,
                Compare(source.bits, values),
                Hold(source.bits * values),
                Register(2 * source.bits * values),
            ]
        carries = self.products.carries * self.lanes if self.multiplies else 0
        sums: list[Part] = [
            Accumulator(wide + 1, carries),
            Accumulator(wide, values - carries),
            Register(wide * values),
        ]
        if self.stores_first:
            firsts = rom_part(self.first_words(), self.first_bits)
            parts.append(firsts)
            sums.append(Register(firsts.width))
        if not self.multiplies:
            return [*parts, Register(source.bits * values), *sums]
        products, words = self.products, self.folds * self.window.kernel[0] * self.window.kernel[1]
        weights = rom_part(self.weight_words(), self.weight_bits)
        parts += [
            weights,
            Register((words - 1).bit_length()),
            Adder((words - 1).bit_length(), constant=True),
        ]
        if products.single == self.pixels:
            return [*parts, *products.primitives(self.lanes, sums, weights.width)]
        parts += tree_parts(products.bits, 1, 1, carries, **products.carried)
        return [*parts, *products.primitives(self.lanes, stored=weights.width), *sums]

    def create(self, name: str = "channelwise") -> Channelwise:
        return Channelwise(self, name)

    @staticmethod
    def foldings(op, family: str) -> Iterator["ChannelwiseSpec"]:
        """Every number of lanes that wastes no fold, and of pixels that divides the width; none for
        a convolution that is not depthwise."""
        if isinstance(op, Conv2d) and not _is_depthwise(op):
            return
        width, channels = op.output.map_shape[1], op.input.channels
        for pixels in (n for n in range(1, width + 1) if width % n == 0):
            for lanes in useful_lanes(channels):
                try:
                    spec = ChannelwiseSpec((op,), lanes, pixels)
                except ValueError:
                    continue  # this many pixels do not tile the input
                for style in styles(spec.products, family) if spec.multiplies else (BLOCK,):
                    yield replace(spec, style=style)


def _is_depthwise(op: Conv2d) -> bool:
    return op.groups == op.input.channels == len(op.weights)
