"""The hardware of engines that work by tiles, from products to the map's sums."""

from abc import abstractmethod

import numpy as np
from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring

from hwgen.rtl_templates.adders import Term, plus, tree
from hwgen.rtl_templates.memory import Ram, Rom, words_of
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split, wheel
from hwgen.rtl_templates.queue import Queue
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.rtl_templates.tiled import Tap
from hwgen.rtl_templates.tiled_schedule import compute_process, drain_process

__all__ = ["TiledArray", "waited"]


class TiledArray(wiring.Component):
    """An engine of a ``TiledSpec``: takes the map, puts sums, in the order of the map.

    Steps of the multiplier array follow one another without a gap between tiles, strips and frames
    while input is there and output is taken.
    """

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    #: Cycles that the steps' shadow, which reads weights, is ahead of the tiles; and those from
    #: there to the operands.
    ahead: int
    lead: int

    @abstractmethod
    def _store(self, m, computes) -> tuple:
        """What holds tiles for the steps of ``computes``, and a signal: those of the current one
        are there."""

    @abstractmethod
    def _products(self, m, store, behind, half, words) -> dict[Tap, list[list[list[Term]]]]:
        """By tap, ``[input lane][tile][output lane]``: products, ``product_latency`` behind their
        operands. ``words`` are the fields of the words of weights, two cycles behind the steps of
        ``behind``, which works in ``half`` of what ``store`` holds."""

    def elaborate(self, platform):
        m = Module()
        spec = self.spec
        compute, drain = compute_process(spec), drain_process(spec)
        m.submodules.compute = computes = Sequencer(compute)
        m.submodules.drain = drains = Sequencer(drain)
        store, ready = self._store(m, computes)
        m.submodules.level = level = Level(2 * spec.strip, drain.read, drains)
        m.submodules.queue = queue = Queue(spec.outputs[0].width, drain.puts[0].depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        last = computes.selects(compute.write.at)
        puts = Cat(drains.selects(put.at) for put in drain.puts).any()
        m.d.comb += [
            computes.step.eq(ready & (level.room | ~last)),
            level.write.eq(computes.step & last),
            drains.step.eq(level.ready & (queue.room | ~puts)),
            queue.reserve.eq(drains.step & puts),
        ]
        made = delay(m, computes.step & last, spec.made, "made")
        results = self._results(m, computes, store)
        rows = self._rows(m, drains, made, results)
        m.d.comb += [
            queue.push.eq(delay(m, drains.step & puts, spec.made + 2, "put")),
            queue.data.eq(register(m, rows, "out")),
        ]
        return m

    def _results(self, m, computes, store):
        """``[row][pixel of the group][lane]``: results, ``spec.made`` cycles after a last step."""
        spec, domain = self.spec, self.spec.domain
        # The same steps, when their tiles have come, or will soon have.
        m.submodules.behind = behind = Sequencer(compute_process(spec))
        behind_by = spec.strips.latency - self.ahead
        m.d.comb += behind.step.eq(delay(m, computes.step, behind_by, "behind"))
        half = Signal(name="half")
        ends = behind.moves[0] | behind.moves[1] | behind.moves[-1]
        with m.If(behind.step & ends):
            m.d.sync += half.eq(~half)
        products = self._products(m, store, behind, half, self._weights(m, behind, ends))

        began = delay(m, behind.begins(3), spec.adding + self.lead, "began")
        stepped = delay(m, behind.step, spec.adding + self.lead, "stepped")
        fold = delay(m, behind.index[2], spec.adding + self.lead - 2, "fold", reset_less=True)
        firsts = self._firsts(m, fold)
        sums: dict = {}
        for taps, wide in zip(spec.sum_taps, spec.sum_bits, strict=True):
            made = [lane for tap in taps for lane in products[tap]]
            align = int(domain.align[taps[0]])
            for tile, out in np.ndindex(spec.tiles, spec.out_lanes):
                term, carry = tree(m, [group[tile][out] for group in made])
                if align and carry is not None:
                    term, carry = plus(term, C(0, 1), carry), None
                name = "sum{}{}_{}_{}".format(*taps[0], tile, out)
                total = Signal(signed(wide), reset_less=True, name=name)
                before = Mux(began, firsts[out] if domain.home in taps else 0, total)
                with m.If(stepped):
                    m.d.sync += total.eq(plus(before, term << align, carry))
                sums[tile, out, taps[0]] = total
        down, across = domain.down.m, domain.across.m
        pixels: list = [[None] * spec.group_pixels for _ in range(down)]
        for tile in range(spec.tiles):
            lanes = [self._inverse(m, sums, tile, out) for out in range(spec.out_lanes)]
            for row, column in np.ndindex(down, across):
                pixels[row][tile * across + column] = [lane[row][column] for lane in lanes]
        return pixels

    def _weights(self, m, behind, ends):
        """The fields of the memory of weights, ``[field][lane]``: a word is read a cycle after the
        step, and shown in the next."""
        spec = self.spec
        packed, fields, start = [0] * spec.words, [], 0
        for values, bits in spec.weight_fields():
            some = words_of(values, bits)
            packed = [word | (more << start) for word, more in zip(packed, some, strict=True)]
            fields.append((start, values.shape[1], bits))
            start += values.shape[1] * bits
        m.submodules.weights = weights = Rom(packed, start, f"{self.name}_weights")
        with m.If(behind.step):
            m.d.sync += weights.address.eq(Mux(ends, 0, weights.address + 1))
        word = register(m, weights.data, "weights")
        return [
            [word[at + n * bits : at + (n + 1) * bits] for n in range(lanes)]
            for at, lanes, bits in fields
        ]

    def _firsts(self, m, fold):
        """What the sums of the tap ``home`` start from, two cycles after ``fold``."""
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
        t, bits, wide = domain.down.t, spec.op.output.bits, domain.modulus
        if not spec.transforms:
            result = Signal(signed(bits), name="result")
            m.d.comb += result.eq(sums[tile, out, spec.taps[0]])
            return [[result]]
        columns = []
        for j in range(t):
            made = spec.results.build([sums[tile, out, (i, j)] for i in range(t)])
            columns.append([_wrapped(m, value, wide) for value in made])
        rows = []
        for i in range(domain.down.m):
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
        drain, bits = drain_process(spec), spec.op.output.bits
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
        chosen = behind.index[1] * (len(beats) // len(rows)) + behind.index[3]
        chosen = delay(m, chosen, 1, "chosen", reset_less=True)
        out = Signal(width, name="chosen_beat")
        m.d.comb += out.eq(Cat(*beats).word_select(chosen, width))
        return out


def _wrapped(m, value, bits: int):
    """The low bits of ``value``, signed, a cycle later."""
    wrapped = Signal(signed(bits), reset_less=True, name="wrapped")
    m.d.sync += wrapped.eq(value)
    return wrapped


def waited(m, values, cycles: int):
    """``values``, ``cycles`` later."""
    for _ in range(cycles):
        values = [register(m, value) for value in values]
    return values
