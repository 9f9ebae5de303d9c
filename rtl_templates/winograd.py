"""3 x 3 convolutions by Winograd's algorithm: tiles of the map against an array of multipliers.

Every cycle all taps of ``tiles`` tiles meet ``in_lanes`` input and ``out_lanes`` output channels.
Adder trees sum over the input lanes, accumulators over the folds of the input channels, modulo as
few bits as the result needs. Then the inverse transform makes ``m x m`` results of each tile, which
wait in row memories until they leave row by row.

One group of tiles meets all output channels before the next one comes: so only two groups of
transformed tiles are held, and only one of sums. Weights are read once for each group; keeping them
for a whole strip instead would save reads, but hold a strip of transformed tiles.

All processes decide at once; the data of each follow behind, by as many cycles as the pipelines
before it take. So a ring's reader never overtakes its writer, and no pipeline has an enable.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import gcd

import numpy as np

from hwgen.beats import Beats, useful_lanes
from hwgen.network import Conv2d, WinogradConv2d
from hwgen.network.types import signed_bits
from hwgen.network.winograd import TILES, Domain, lossless, obstacle
from hwgen.primitives import Adder, Memory, Mux, Part, Register
from hwgen.rtl_templates.adders import levels, tree_parts
from hwgen.rtl_templates.multiply import BLOCK, SOFT, Products, Style, Weights, packed_bits, styles
from hwgen.rtl_templates.queue import Queue, depth_for
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer
from hwgen.rtl_templates.strips import Strips
from hwgen.rtl_templates.transforms import Programme, exact_results
from hwgen.rtl_templates.winograd_array import Winograd
from hwgen.schedule import Process, Put, Read, Schedule, Write

__all__ = ["WinogradSpec"]

#: Foldings with the same steps and multipliers that the planner is offered.
TIES = 3

#: Part of the multipliers of a faster folding that a slower one may have at most to be offered.
FEWER = 0.9

#: Tiles side by side that the planner is offered.
MOST_TILES = 4

#: Arrays of so many multipliers or more are not offered where they cannot be kept busy.
STARVED = 256

#: Most factors, and most weights, that share a block on any family.
PACKED = 4


@dataclass(frozen=True)
class WinogradSpec:
    """F(tile x tile, 3 x 3): ``in_lanes`` by ``out_lanes`` channels of ``tiles`` tiles at once.

    Input beats carry ``source_pixels`` pixels, output beats ``target_pixels``. ``style`` says how
    products are made; taps whose numbers are too wide to share blocks of ``family`` take one each.
    """

    ops: tuple[Conv2d | WinogradConv2d, ...]
    tile: int
    in_lanes: int
    out_lanes: int
    tiles: int = 1
    source_pixels: int = 1
    target_pixels: int = 1
    style: Style = BLOCK
    family: str = ""

    def __post_init__(self):
        if self.tile not in TILES:
            raise ValueError(f"tile must be one of {list(TILES)}, not {self.tile}")
        if isinstance(self.op, WinogradConv2d) and self.op.tile != self.tile:
            raise ValueError(f"tile must be {self.op.tile}, that of the weights, not {self.tile}")
        if self.group_pixels % self.target_pixels:
            raise ValueError(f"target_pixels must divide {self.group_pixels}")
        _ = self.strips, self.outputs  # which check the rest

    @property
    def op(self) -> Conv2d | WinogradConv2d:
        """The layer."""
        return self.ops[0]

    @cached_property
    def domain(self) -> Domain:
        """The layer's arithmetic."""
        if isinstance(self.op, WinogradConv2d):
            return self.op.domain
        return lossless(self.op, self.tile)

    @cached_property
    def strips(self) -> Strips:
        """How the input becomes tiles."""
        return Strips(self.domain, self.in_lanes, self.tiles, self.source_pixels)

    @property
    def group_pixels(self) -> int:
        """Pixels of a row of results that a group of tiles makes."""
        return self.tile * self.tiles

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.strips.source,)

    @cached_property
    def outputs(self) -> tuple[Beats, ...]:
        return (Beats(self.op.output, self.out_lanes, self.target_pixels),)

    @property
    def taps(self) -> int:
        """Taps of a tile."""
        return (self.tile + 2) ** 2

    @property
    def multipliers(self) -> int:
        """Products a cycle."""
        return self.taps * self.tiles * self.in_lanes * self.out_lanes

    @property
    def multiplications(self) -> int:
        """Products a frame; edge tiles count whole."""
        down, across = self.domain.counts
        return self.taps * down * across * self.op.output.channels * self.op.input.channels

    @property
    def in_folds(self) -> int:
        """Steps over the input channels."""
        return self.strips.folds

    @property
    def out_folds(self) -> int:
        """Steps over the output channels."""
        return self.outputs[0].folds

    @cached_property
    def ideal(self) -> int:
        """Cycles a frame if every multiplier works in every cycle; edge tiles count whole."""
        return self.strips.strips * self.strips.groups * self.out_folds * self.in_folds

    @cached_property
    def results(self) -> Programme:
        """The inverse transform."""
        return exact_results(self.tile, self.domain.outputs)

    @cached_property
    def divisions(self) -> int:
        """Cycles of the division by nine: two additions each."""
        return -(-len(self.ninths) // 2)

    @cached_property
    def ninths(self) -> tuple[int, ...]:
        """Shifts of the division: 1/9 = (1 - 2^3)(1 + 2^6)(1 + 2^12)... modulo a power of two."""
        assert self.domain.odd in (1, 9), "the odd part of S^2 is 1 or 9"
        bits = self.op.output.bits
        return tuple(n for n in (3, 6, 12, 24, 48) if n < bits and self.domain.odd == 9)

    @cached_property
    def made(self) -> int:
        """Cycles from a last step until its results are in the row memories: tiles, weights,
        products, one for each level of the adder tree, accumulators, two transforms, division."""
        adding = self.product_latency + levels(self.in_lanes)
        return self.strips.latency + 5 + adding + self.divisions

    @property
    def latency(self) -> int:
        """Cycles from the step that puts a beat until it is offered: behind what makes it, the
        row memories, their choice, the queue."""
        return self.made + 3

    @property
    def strip(self) -> int:
        """Slots of results of a strip."""
        return self.strips.groups * self.out_folds

    def compute_process(self) -> Process:
        """Walks strips, groups of tiles, output folds and input folds."""
        folds = self.in_folds
        loops = (self.strips.strips, self.strips.groups, self.out_folds, folds)
        return Process(
            loops,
            write=Write("results", {3: (folds - 1,)}),
            read=Read("tiles", 2, folds, (folds, folds, folds)),
        )

    def drain_process(self) -> Process:
        """Walks strips, rows, groups of tiles, pixels and output folds; puts what is on the map."""
        height, width, _ = self.op.output.map_shape
        strips, groups, m = self.strips.strips, self.strips.groups, self.tile
        pixels = self.group_pixels // self.target_pixels
        loops = (strips, m, groups, pixels, self.out_folds)
        rows = _parts(0, 1, strips, m, height - (strips - 1) * m)
        left = (width - (groups - 1) * self.group_pixels) // self.target_pixels
        columns = _parts(2, 3, groups, pixels, left)
        steps = strips * m * groups * pixels * self.out_folds
        depth = depth_for(self.latency, max(1, self.ideal // steps))
        return Process(
            loops,
            puts=tuple(
                Put("o", self.latency, depth, down | across) for down in rows for across in columns
            ),
            read=Read("results", 1, self.strip, (self.strip, self.strip)),
        )

    def schedule(self) -> Schedule:
        processes = {
            "fill": self.strips.fill_process(),
            "transform": self.strips.transform_process(),
            "compute": self.compute_process(),
            "drain": self.drain_process(),
        }
        rings = {
            "lines": self.strips.lines,
            "tiles": 2 * self.in_folds,
            "results": 2 * self.strip,
        }
        return Schedule(processes, rings)

    def weight_words(self, i: int, j: int) -> np.ndarray:
        """Stored weights of a tap in the order of the steps, (words, out_lanes * in_lanes), input
        lanes inside; those of spare lanes are zero."""
        weights = self.domain.weights[i, j]
        outs, ins = weights.shape
        spare = (self.out_folds * self.out_lanes - outs, self.in_folds * self.in_lanes - ins)
        shaped = np.pad(weights.astype(np.int64), ((0, spare[0]), (0, spare[1]))).reshape(
            self.out_folds, self.out_lanes, self.in_folds, self.in_lanes
        )
        stored = self.tap_products[i, j].encode(shaped.transpose(0, 2, 3, 1))
        return stored.swapaxes(-1, -2).reshape(-1, self.out_lanes * self.in_lanes)

    @cached_property
    def tap_products(self) -> dict[tuple[int, int], Products]:
        """Products of one input lane, by tap: every tile with every output lane."""
        found = {}
        for (i, j), least in np.ndenumerate(self.domain.weight_bits):
            weights, bits = self.domain.weights[i, j], max(2, int(least))
            few = bits == 2 and weights.min() >= -1
            plain = Products(
                *self.strips.shapes[i][j],
                bits,
                Weights.TERNARY if few else Weights.INTEGER,
                pixels=self.tiles,
                lanes=self.out_lanes,
            )
            wide = bits if few else packed_bits(weights, bits, self.style)
            found[i, j] = replace(plain, w_bits=wide, style=self.style)
            if self.style.products > 1 and not self._fits(found[i, j]):
                found[i, j] = plain
        return found

    def _fits(self, products: Products) -> bool:
        return bool(self.family) and products.blocks(self.family) is not None

    @cached_property
    def product_latency(self) -> int:
        """Cycles of the slowest products; the others wait."""
        return max(products.latency for products in self.tap_products.values())

    @cached_property
    def sum_bits(self) -> np.ndarray:
        """Bits of the sums of each tap, (t, t), two's complement; no more than need be."""
        wide = [signed_bits(lo, hi) for lo, hi in self.domain.sums.reshape(-1, 2)]
        return np.minimum(np.array(wide), self.domain.modulus).reshape(
            self.domain.weight_bits.shape
        )

    @cached_property
    def first_words(self) -> np.ndarray:
        """What the sums of tap (1, 1) start from, (output folds, out_lanes)."""
        spare = self.out_folds * self.out_lanes - len(self.domain.first)
        return np.pad(self.domain.first, (0, spare)).reshape(self.out_folds, self.out_lanes)

    @property
    def first_bits(self) -> int:
        """Stored bits of them, two's complement."""
        return signed_bits(self.first_words.min(), self.first_words.max())

    def blocks(self, family: str) -> int:
        """DSP blocks of all products."""
        counts = Counter(self.tap_products.values())
        each = ((products.blocks(family) or 0) * n for products, n in counts.items())
        return sum(each) * self.in_lanes

    def primitives(self) -> list[Part]:
        compute, drain = self.compute_process(), self.drain_process()
        strips, lanes, outs = self.strips, self.in_lanes, self.out_lanes * self.tiles
        words = self.out_folds * self.in_folds
        stored = sum(products.w_bits for products in self.tap_products.values())
        width = stored * self.out_lanes * lanes
        slots, bits = 2 * self.strip, self.op.output.bits
        bank = self.group_pixels * self.out_lanes * bits
        address = (slots - 1).bit_length()
        m, modulus = self.tile, self.domain.modulus
        parts: list[Part] = [
            *strips.primitives(),
            *[part for process in (compute, drain) for part in Sequencer.primitives(process)] * 2,
            Memory(words, width, "rom"),
            Register((words - 1).bit_length() + 3 * self.latency + self.made),
            Adder((words - 1).bit_length(), constant=True),
            Register(width + strips.word),
            *Level.primitives(slots),
            *Pointer.primitives(range(6), address),
            Register(2 * address),
            Adder(address, 2, constant=True),
            *[Memory(slots, bank, "ram")] * m,
            Mux(self.outputs[0].width, self.group_pixels // self.target_pixels * m),
            Register(self.outputs[0].width),
            *Queue.primitives(self.outputs[0].width, drain.puts[0].depth),
        ]
        if self.domain.first.any() and self.out_folds > 1:
            wide = self.out_lanes * self.first_bits
            parts += [Memory(self.out_folds, wide, "rom"), Register(wide)]
        alike = Counter(
            (products, int(self.sum_bits[tap])) for tap, products in self.tap_products.items()
        )
        for (products, wide), taps in alike.items():
            carried = products.carries * taps
            waits = self.product_latency - products.latency
            operands = products.x_bits * self.tiles + products.w_bits * self.out_lanes
            shared = self.tiles if products.soft else 1
            parts += [
                Register(waits * operands * lanes * taps),
                *products.primitives(lanes * taps),
                *tree_parts(products.bits, lanes, lanes, carried, shared),
                *tree_parts(products.bits, lanes, 0, outs * taps - carried),
                Adder(wide + 1, carried),
                Adder(wide, outs * taps - carried),
                Mux(wide, 2, outs * taps),
                Register(wide * outs * taps),
            ]
        steps, t = len(self.results.steps), self.tile + 2
        parts += [
            Adder(modulus, steps * (t + m) * outs),
            Register((t * modulus * m + m * m * bits) * outs),
        ]
        if self.ninths:
            parts.append(Adder(bits, len(self.ninths) * m * m * outs))
            parts.append(Register(bits * self.divisions * m * m * outs))
        return parts

    def create(self, name: str = "winograd") -> Winograd:
        return Winograd(self, name)

    @staticmethod
    def foldings(op: Conv2d | WinogradConv2d, family: str) -> Iterator["WinogradSpec"]:
        """Foldings of both tiles that no other of the same tile beats in steps and multipliers, or
        only just, and that filling, transforming and draining do not slow down if that can be
        helped."""
        if isinstance(op, Conv2d) and obstacle(op):
            return
        for tile in (op.tile,) if isinstance(op, WinogradConv2d) else TILES:
            yield from _foldings(op, tile, family)


def _foldings(op: Conv2d | WinogradConv2d, tile: int, family: str) -> Iterator[WinogradSpec]:
    channels, outputs = op.input.channels, op.output.channels
    down, across = (-(-size // tile) for size in op.output_size)
    found = []
    for tiles in (n for n in range(1, MOST_TILES + 1) if across % n == 0):
        pixels = tile * tiles
        most = gcd(pixels, op.input.map_shape[1]), gcd(pixels, op.output_size[1])
        for outs in useful_lanes(outputs):
            out_folds = -(-outputs // outs)
            if out_folds < pixels + 2:
                continue  # the transform, a column a cycle, would not keep up
            for ins in useful_lanes(channels):
                in_folds = -(-channels // ins)
                if in_folds < tile * pixels // most[1]:
                    continue  # results would not leave in time
                steps = down * across // tiles * out_folds * in_folds
                found.append((steps, tiles * ins * outs, abs(np.log(ins / outs)), ins, outs, tiles))
    least, ties = float("inf"), 0
    for steps, multipliers, _, ins, outs, tiles in sorted(found):
        if multipliers != least and multipliers > FEWER * least:
            continue
        ties = ties + 1 if multipliers == least else 0
        if ties >= TIES:
            continue
        spec = _balanced(op, tile, ins, outs, tiles, steps)
        if spec is not None:
            least = multipliers
            yield from _styled(spec, family)
    # A beat of one pixel suits every neighbour.
    yield from _simple(op, tile, family, (1, 1))
    widest = gcd(tile, op.input.map_shape[1]), gcd(tile, op.output_size[1])
    if least == float("inf") and widest != (1, 1):
        yield from _simple(op, tile, family, widest)


def _simple(
    op: Conv2d | WinogradConv2d, tile: int, family: str, pixels: tuple[int, int]
) -> Iterator[WinogradSpec]:
    """Small foldings of one tile at a time, with beats of ``pixels``, that no other beats in cycles
    and multipliers, whether or not streams slow them down."""
    specs = [
        WinogradSpec((op,), tile, ins, outs, 1, *pixels)
        for ins in useful_lanes(op.input.channels)
        for outs in useful_lanes(op.output.channels)
        if (tile + 2) ** 2 * ins * outs < STARVED
    ]
    least = float("inf")
    for spec in sorted(specs, key=lambda spec: (spec.schedule().steps, spec.multipliers)):
        if spec.multipliers <= FEWER * least:
            least = spec.multipliers
            yield from _styled(spec, family)


def _balanced(op, tile: int, ins: int, outs: int, tiles: int, steps: int) -> WinogradSpec | None:
    """The narrowest streams that do not slow the array down; None if even the widest do."""
    source = gcd(tile * tiles, op.input.map_shape[1])
    target = gcd(tile * tiles, op.output_size[1])
    for wide_in in (n for n in range(1, source + 1) if source % n == 0):
        for wide_out in (n for n in range(1, target + 1) if target % n == 0):
            spec = WinogradSpec((op,), tile, ins, outs, tiles, wide_in, wide_out)
            processes = spec.schedule().processes
            if processes["fill"].steps > steps:
                break
            if spec.schedule().steps == steps:
                return spec
    return None


def _styled(spec: WinogradSpec, family: str) -> Iterator[WinogradSpec]:
    """``spec`` with a DSP block for each product; packed, where that takes fewer; in LUTs."""
    few = {
        replace(products, pixels=min(PACKED, spec.tiles), lanes=min(PACKED, spec.out_lanes))
        for products in spec.tap_products.values()
    }
    ways = {
        style: replace(spec, style=style, family=family if style.products > 1 else "")
        for products in few
        for style in _styles(products, family)
    }
    blocks = {style: one.blocks(family) for style, one in ways.items() if style != SOFT}
    if blocks:
        best = min(blocks, key=lambda style: (blocks[style], style.products))
        yield spec
        if blocks[best] < spec.blocks(family):
            yield ways[best]
    if SOFT in ways:
        yield ways[SOFT]


@lru_cache(maxsize=4096)
def _styles(products: Products, family: str) -> tuple[Style, ...]:
    return tuple(styles(products, family))


def _parts(outer: int, inner: int, count: int, trip: int, left: int) -> list[dict]:
    """``At``s of the loops ``outer`` and ``inner`` that leave out what is beyond ``left`` inner
    steps of the last outer one."""
    if left == trip:
        return [{}]
    last = {outer: (count - 1,), inner: range(left)}
    return [{outer: range(count - 1)}, last] if count > 1 else [last]
