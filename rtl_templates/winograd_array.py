"""The Winograd engine's hardware: multipliers, accumulators, inverse transform, row memories."""

import numpy as np
from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring

from hwgen.rtl_templates.adders import levels, plus, tree
from hwgen.rtl_templates.memory import Ram, Rom, words_of
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split
from hwgen.rtl_templates.queue import Queue
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.rtl_templates.strip_reader import StripReader, wheel

__all__ = ["Winograd"]


class Winograd(wiring.Component):
    """The engine of ``WinogradSpec``: takes the map, puts sums, in the order of the map.

    Steps of the multiplier array follow one another without a gap between tiles, strips and frames
    while input is there and output is taken.
    """

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        compute, drain = spec.compute_process(), spec.drain_process()
        m.submodules.compute = computes = Sequencer(compute)
        m.submodules.drain = drains = Sequencer(drain)
        m.submodules.reader = reader = StripReader(spec.strips, computes, compute.read)
        m.submodules.level = level = Level(2 * spec.strip, drain.read, drains)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, drain.puts[0].depth)
        wiring.connect(m, wiring.flipped(self.i), reader.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        last = computes.selects(compute.write.at)
        puts = Cat(drains.selects(put.at) for put in drain.puts).any()
        m.d.comb += [
            computes.step.eq(reader.ready & (level.room | ~last)),
            level.write.eq(computes.step & last),
            drains.step.eq(level.ready & (queue.room | ~puts)),
            queue.reserve.eq(drains.step & puts),
        ]
        made = delay(m, computes.step & last, spec.made, "made")
        results = self._results(m, computes, reader)
        rows = self._rows(m, drains, made, results)
        m.d.comb += [
            queue.push.eq(delay(m, drains.step & puts, spec.made + 2, "put")),
            queue.data.eq(register(m, rows, "out")),
        ]
        return m

    def _results(self, m, computes, reader):
        """``[row][pixel of the group][lane]``: results, ``spec.made`` cycles after a last step."""
        spec, strips = self.spec, self.spec.strips
        # The same steps, when their tiles have come.
        m.submodules.behind = behind = Sequencer(spec.compute_process())
        m.d.comb += behind.step.eq(delay(m, computes.step, strips.latency, "behind"))
        half = Signal(name="half")
        ends = behind.moves[0] | behind.moves[1] | behind.moves[-1]
        with m.If(behind.step & ends):
            m.d.sync += half.eq(~half)
        m.d.comb += reader.address.eq(behind.index[3] + Mux(half, spec.in_folds, 0))

        weights = self._weights(m, behind, ends)
        data, words = register(m, reader.data, "tiles"), register(m, weights.data, "weights")
        tiles = self._numbers(data)
        adding = spec.product_latency + levels(spec.in_lanes)
        began = delay(m, behind.begins(3), adding + 2, "began")
        stepped = delay(m, behind.step, adding + 2, "stepped")
        firsts = self._firsts(m, delay(m, behind.index[2], adding, "fold", reset_less=True))

        sums: dict = {}
        start, lanes = 0, spec.in_lanes
        for (i, j), products in spec.tap_products.items():
            width = spec.out_lanes * lanes * products.w_bits
            x = [lane for tile in tiles for lane in tile[i, j]]
            w = split(words[start : start + width], spec.out_lanes * lanes, products.w_bits, True)
            start += width
            for _ in range(spec.product_latency - products.latency):
                x = [register(m, value) for value in x]
                w = [register(m, value) for value in w]
            made = [products.build(m, x[n::lanes], w[n::lanes]) for n in range(lanes)]
            for tile, out in np.ndindex(spec.tiles, spec.out_lanes):
                term, carry = tree(m, [group[tile][out] for group in made])
                align = int(spec.domain.align[i, j])
                if align and carry is not None:
                    term, carry = plus(term, C(0, 1), carry), None
                total = Signal(
                    signed(int(spec.sum_bits[i, j])),
                    reset_less=True,
                    name=f"sum{i}{j}_{tile}_{out}",
                )
                before = Mux(began, firsts[out] if (i, j) == (1, 1) else 0, total)
                with m.If(stepped):
                    m.d.sync += total.eq(plus(before, term << align, carry))
                sums[tile, out, i, j] = total
        pixels: list = [[None] * spec.group_pixels for _ in range(spec.tile)]
        for tile in range(spec.tiles):
            lanes = [self._inverse(m, sums, tile, out) for out in range(spec.out_lanes)]
            for row, column in np.ndindex(spec.tile, spec.tile):
                here = [lane[row][column] for lane in lanes]
                pixels[row][tile * spec.tile + column] = here
        return pixels

    def _weights(self, m, behind, ends):
        """The memory of weights: a word is read a cycle after the step."""
        spec = self.spec
        packed = [0] * (spec.out_folds * spec.in_folds)
        start = 0
        for (i, j), products in spec.tap_products.items():
            some = words_of(spec.weight_words(i, j), products.w_bits)
            packed = [word | (more << start) for word, more in zip(packed, some, strict=True)]
            start += spec.out_lanes * spec.in_lanes * products.w_bits
        m.submodules.weights = weights = Rom(packed, start, f"{self.name}_weights")
        with m.If(behind.step):
            m.d.sync += weights.address.eq(Mux(ends, 0, weights.address + 1))
        return weights

    def _numbers(self, data):
        """For each tile the lanes of each tap."""
        strips = self.spec.strips
        tiles, start = [], 0
        for _ in range(strips.tiles):
            taps = {}
            for i, j in np.ndindex(strips.t, strips.t):
                bits, is_signed = strips.shapes[i][j]
                end = start + bits * strips.lanes
                taps[i, j] = split(data[start:end], strips.lanes, bits, is_signed)
                start = end
            tiles.append(taps)
        return tiles

    def _firsts(self, m, fold):
        """What the sums of tap (1, 1) start from, two cycles after ``fold``."""
        spec = self.spec
        words, bits = spec.first_words, spec.first_bits
        if not words.any():
            return [0] * spec.out_lanes
        if len(words) == 1:
            return [int(first) for first in words[0]]
        rom = Rom(words_of(words, bits), bits * spec.out_lanes, f"{self.name}_biases")
        m.submodules.firsts = rom
        m.d.comb += rom.address.eq(fold)
        return [register(m, first) for first in split(rom.data, spec.out_lanes, bits, True)]

    def _inverse(self, m, sums, tile: int, out: int):
        """``[row][column]``: the results of a tile, modulo their width."""
        spec, domain = self.spec, self.spec.domain
        t, bits, wide = spec.tile + 2, spec.op.output.bits, domain.modulus
        columns = []
        for j in range(t):
            made = spec.results.build([sums[tile, out, i, j] for i in range(t)])
            columns.append([_wrapped(m, value, wide) for value in made])
        rows = []
        for i in range(spec.tile):
            made = spec.results.build([columns[j][i] for j in range(t)])
            results = [_wrapped(m, value >> domain.spare, bits) for value in made]
            for n in range(0, len(spec.ninths), 2):
                results = [self._ninth(m, value, spec.ninths[n : n + 2]) for value in results]
            rows.append(results)
        return rows

    def _ninth(self, m, value, shifts):
        """A stage of the division by nine."""
        for shift in shifts:
            more = value << shift
            value = (value - more if shift == 3 else value + more)[: self.spec.op.output.bits]
        return register(m, value)

    def _rows(self, m, drains, made, results):
        """What a step of the drain process puts, ``spec.made + 1`` cycles later."""
        spec = self.spec
        drain, bits = spec.drain_process(), spec.op.output.bits
        m.submodules.drain_behind = behind = Sequencer(drain)
        m.d.comb += behind.step.eq(delay(m, drains.step, spec.made, "drain_behind"))
        moves = deltas(drain.loops, (0, 0, spec.out_folds, 0, 1), 0)
        place_bits = max(1, (spec.strip - 1).bit_length())
        m.submodules.place = place = Pointer(behind, moves, place_bits)
        half = Signal(name="drain_half")
        with m.If(behind.step & (behind.moves[0] | behind.moves[-1])):
            m.d.sync += half.eq(~half)
        slot = wheel(m, made, 2 * spec.strip, "result_slot")
        rows = []
        for n, pixels in enumerate(results):
            width = len(pixels) * spec.out_lanes * bits
            m.submodules[f"row{n}"] = ram = Ram(2 * spec.strip, width)
            m.d.comb += [
                ram.write.eq(made),
                ram.write_address.eq(slot),
                ram.write_data.eq(join((lane for lanes in pixels for lane in lanes), bits)),
                ram.address.eq(place.value + Mux(half, spec.strip, 0)),
            ]
            rows.append(ram.data)
        width = spec.outputs[0].width
        beats = [
            row[n * width : (n + 1) * width]
            for row in rows
            for n in range(spec.group_pixels // spec.target_pixels)
        ]
        chosen = behind.index[1] * (len(beats) // spec.tile) + behind.index[3]
        chosen = delay(m, chosen, 1, "chosen", reset_less=True)
        out = Signal(width, name="chosen_beat")
        m.d.comb += out.eq(Cat(*beats).word_select(chosen, width))
        return out


def _wrapped(m, value, bits: int):
    """The low bits of ``value``, signed, a cycle later."""
    wrapped = Signal(signed(bits), reset_less=True, name="wrapped")
    m.d.sync += wrapped.eq(value)
    return wrapped
