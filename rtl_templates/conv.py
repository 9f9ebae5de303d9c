"""Convolution and fully connected layers: a window of the map against an array of multipliers.

Every cycle ``pixels`` windows meet ``in_lanes`` input channels of one kernel tap and ``out_lanes``
output channels: ``pixels * in_lanes * out_lanes`` products. Adder trees sum over the input lanes,
accumulators over the taps and the folds of the input channels. After the last tap a beat of
``pixels x out_lanes`` sums leaves. A fully connected layer is one window as large as its input.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from hwgen.beats import Beats, useful_lanes
from hwgen.network import Conv2d, Linear
from hwgen.network.types import bits_for
from hwgen.primitives import Accumulator, Adder, Delay, Part, Register
from hwgen.rtl_templates.adders import COUNTED, counts_parts, levels, tree_parts
from hwgen.rtl_templates.conv_array import Conv
from hwgen.rtl_templates.memory import rom_part
from hwgen.rtl_templates.multiply import (
    BLOCK,
    Products,
    Style,
    Weights,
    packed_bits,
)
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.rtl_templates.styles import lost, styles
from hwgen.rtl_templates.window import Window
from hwgen.schedule import Process, Put, Schedule

__all__ = ["ConvSpec"]

#: Foldings with the same steps and multipliers that the planner is offered.
TIES = 8


@dataclass(frozen=True)
class ConvSpec:
    """``in_lanes`` input channels, ``out_lanes`` output channels and ``pixels`` windows at once;
    ``style`` says how products are made."""

    ops: tuple[Conv2d | Linear, ...]
    in_lanes: int
    out_lanes: int
    pixels: int = 1
    style: Style = BLOCK

    def __post_init__(self):
        if not 1 <= self.out_lanes <= len(self.op.weights):
            raise ValueError(f"out_lanes must be 1 to {len(self.op.weights)}")
        if self.groups > 1:
            shares = self.op.input.channels // self.groups, len(self.op.weights) // self.groups
            if shares[0] % self.in_lanes or shares[1] % self.out_lanes:
                raise ValueError(f"lanes must divide the channels of a group, {shares}")
        _ = self.window, self.outputs  # which check the rest

    @property
    def op(self) -> Conv2d | Linear:
        """The layer."""
        return self.ops[0]

    @cached_property
    def window(self) -> Window:
        """How the input is walked."""
        op, source = self.op, self.op.input
        if isinstance(op, Linear):
            kernel, stride, padding, dilation = source.map_shape[:2], (1, 1), (0, 0, 0, 0), (1, 1)
        else:
            kernel, stride, padding, dilation = op.kernel, op.stride, op.padding, op.dilation
        beats = Beats(source, self.in_lanes, Window.source_pixels(self.pixels, stride))
        return Window(beats, kernel, stride, padding, source.zero_point, self.pixels, dilation)

    @cached_property
    def groups(self) -> int:
        """Groups of channels that do not see one another."""
        return 1 if isinstance(self.op, Linear) else self.op.groups

    @cached_property
    def in_folds(self) -> int:
        """Steps over the input channels that an output channel sees."""
        return self.window.source.folds // self.groups

    @cached_property
    def out_folds(self) -> int:
        """Steps over the output channels of a group."""
        return self.outputs[0].folds // self.groups

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.window.source,)

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.out_lanes, self.pixels),)

    @property
    def multipliers(self) -> int:
        """Products a cycle, whether or not it takes a multiplier to make one."""
        return self.pixels * self.in_lanes * self.out_lanes

    @property
    def taps(self) -> int:
        """Steps that add up to one output beat."""
        return prod(self.window.kernel) * self.in_folds

    @property
    def latency(self) -> int:
        """Cycles from the last step of a window until its beat is offered: memories, operands,
        products, one for each level of the adder tree, accumulators, queue."""
        return 4 + self.products.latency + levels(self.terms)

    @property
    def terms(self) -> int:
        """Numbers that an adder tree sums: products, or counts of a few."""
        return -(-self.in_lanes // COUNTED) if self.products.counted else self.in_lanes

    def compute_process(self) -> Process:
        """Walks windows, groups of channels, output folds, kernel taps and input folds."""
        window = self.window
        kernel, folds = window.kernel, self.in_folds
        last = {4: (kernel[0] - 1,), 5: (kernel[1] - 1,), 6: (folds - 1,)}
        put = Put("o", self.latency, depth_for(self.latency, self.taps), last)
        loops = (window.counts[0], window.groups, self.groups, self.out_folds, *kernel, folds)
        return Process(loops, puts=(put,), read=window.read())

    @property
    def strides(self) -> list[int]:
        """Beats that each loop of the compute process moves in the ring."""
        by = self.window.strides
        taps = [by["tap_row"], by["tap_column"], by["fold"]]
        return [by["row"], by["group"], self.in_folds, 0, *taps]

    def schedule(self) -> Schedule:
        return Schedule(
            {"fill": self.window.fill_process(), "compute": self.compute_process()},
            {"window": self.window.capacity},
        )

    def weight_words(self) -> np.ndarray:
        """Weights in the order of the steps, (words, out_lanes * in_lanes), input lanes inside."""
        op, lanes, kernel = self.op, self.in_lanes, self.window.kernel
        channels = op.input.channels // self.groups
        weights = op.weights.reshape(len(op.weights), *kernel, channels).astype(np.int64)
        folds = self.outputs[0].folds
        spare = (
            (0, folds * self.out_lanes - len(weights)),
            (0, 0),
            (0, 0),
            (0, self.in_folds * lanes - channels),
        )
        # A spare lane of bits that are counted holds a 0 on the map, which is unlike +1.
        padded = np.pad(weights, spare, constant_values=int(self.products.counted))
        shaped = padded.reshape(folds, self.out_lanes, *kernel, self.in_folds, lanes)
        stored = self.products.encode(shaped.transpose(0, 2, 3, 4, 5, 1))
        return stored.swapaxes(-1, -2).reshape(-1, self.out_lanes * lanes)

    def bias_words(self) -> np.ndarray:
        """What sums start from, (output folds, out_lanes): the bias, less one for each product
        that is counted, since a count is half of a product and one."""
        folds = self.outputs[0].folds
        spare = folds * self.out_lanes - len(self.op.bias)
        first = self.op.bias.astype(np.int64)
        if self.products.counted:
            first = first - self.op.weights[0].size
        return np.pad(first, (0, spare)).reshape(folds, self.out_lanes)

    @cached_property
    def products(self) -> Products:
        """Products of one input lane: every window with every output lane."""
        op = self.op
        spare = self.outputs[0].folds * self.out_lanes != len(op.weights)
        weights, bits = Weights.INTEGER, packed_bits(op.weights, op.weight_bits, self.style)
        bipolar = op.input.encoding == "bipolar"
        if not bipolar:  # bits that are counted can be made to count nothing
            spare |= self.window.source.folds * self.in_lanes != op.input.channels
        if op.weight_bits == 1 and not spare:
            weights = Weights.SIGN
        elif op.weight_bits <= 2 and op.weights.min() >= -1:
            weights, bits = Weights.TERNARY, 2  # zeros in spare lanes
        shape = op.input.bits, op.input.signed, bits
        return Products(*shape, weights, self.style, self.pixels, self.out_lanes, bipolar)

    @property
    def weight_bits(self) -> int:
        """Stored bits of a weight."""
        return self.products.w_bits

    @property
    def bias_bits(self) -> int:
        """Stored bits of a bias, two's complement."""
        words = self.bias_words()
        bits, is_signed = bits_for(int(words.min()), int(words.max()))
        return bits + (not is_signed)

    def primitives(self) -> list[Part]:
        process, products, lanes = self.compute_process(), self.products, self.in_lanes
        folds = self.outputs[0].folds
        words = folds * self.taps
        address = (words - 1).bit_length()
        pairs = self.pixels * self.out_lanes
        weights = rom_part(self.weight_words(), self.weight_bits)
        parts: list[Part] = [
            *Sequencer.primitives(process, skip=2 if self.window.even else 0),
            *self.window.primitives(),
            weights,
            Register(address),
            Adder(address, constant=True),
            Register(3 * self.latency - 5),
            Delay((folds - 1).bit_length(), self.latency - 4),
        ]
        bits, single = products.bits, products.single
        if products.counted:
            bits = COUNTED.bit_length()
            parts += counts_parts(lanes, pairs)
        parts += tree_parts(bits, lanes, lanes, products.carries, **products.carried)
        parts += tree_parts(bits, self.terms, 0, pairs - products.carries - single)
        parts += self._totals(pairs - single, products.carries)
        # What reads a product that has a block of its own: an adder of the tree, or the total.
        sums = self._totals(single)
        if lanes > 1:
            left = lanes - lanes // 2
            parts += [*tree_parts(bits + 1, left, 0, single), *sums]
            sums = [Adder(bits + 1, lanes // 2 * single), Register((bits + 1) * left * single)]
        if folds > 1 and self.bias_words().any():
            biases = rom_part(self.bias_words(), self.bias_bits)
            parts.append(biases)
            (sums if lanes == 1 and single == pairs else parts).append(Register(biases.width))
        parts += products.primitives(lanes, sums, weights.width)
        return [*parts, *Queue.primitives(self.outputs[0].width, process.puts[0].depth)]

    def _totals(self, count: int, carries: int = 0) -> list[Part]:
        """Parts of ``count`` sums over taps, ``carries`` of them of terms with a carry."""
        bits = self.op.output.bits
        adders = [Accumulator(bits + 1, carries), Accumulator(bits, count - carries)]
        return [*adders, Register(bits * count)]

    def create(self, name: str = "conv") -> Conv:
        return Conv(self, name)

    @staticmethod
    def foldings(op: Conv2d | Linear, family: str) -> Iterator["ConvSpec"]:
        """Foldings that no other beats in both steps a frame and multipliers.

        Of those that tie, the ones with the fewest and the most pixels and, for each, the most even
        lanes: weights are read once for all pixels, and even lanes make the narrowest streams.
        """
        width = op.output.map_shape[1]
        groups = 1 if isinstance(op, Linear) else op.groups
        channels = op.input.channels // groups, len(op.weights) // groups
        ways = np.array(
            [
                (pixels, in_lanes, out_lanes)
                for pixels in range(1, width + 1)
                if width % pixels == 0
                for in_lanes in _lanes(channels[0], exact=groups > 1)
                for out_lanes in _lanes(channels[1], exact=groups > 1)
            ]
        )
        p, i, o = ways.T
        steps = width // p * -(-channels[0] // i) * -(-channels[1] // o)
        multipliers = p * i * o
        fewest: dict[int, int] = {}
        for n in np.lexsort((multipliers, steps)):
            fewest.setdefault(int(steps[n]), int(multipliers[n]))
        least, ties = float("inf"), []
        for count in sorted(fewest):
            if fewest[count] < least:
                least = fewest[count]
                ties.append(np.flatnonzero((steps == count) & (multipliers == least)))
        for tie in ties:
            uneven = np.abs(np.log(i[tie] / o[tie]))
            for n in tie[np.lexsort((uneven, p[tie]))][:TIES]:
                try:
                    spec = ConvSpec((op,), *map(int, ways[n][[1, 2, 0]]))
                except ValueError:
                    continue  # this many pixels do not tile the input
                for style in styles(spec.products, family):
                    styled = replace(spec, style=style)
                    if not lost(styled.products, styled.in_lanes, family):
                        yield styled


def _lanes(channels: int, exact: bool) -> list[int]:
    """Numbers of lanes that no smaller number equals in folds; only divisors if ``exact``."""
    return [n for n in useful_lanes(channels) if not exact or channels % n == 0]
