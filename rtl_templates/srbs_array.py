"""The hardware of the sparse array: words of tiles, spread over banks that entries look up."""

from amaranth import Cat, Mux, Signal
from amaranth.lib import wiring

from hwgen.rtl_templates.memory import LutRam
from hwgen.rtl_templates.pipeline import delay, register, split, wheel
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.rtl_templates.strip_reader import StripReader
from hwgen.rtl_templates.tiled_array import TiledArray, waited
from hwgen.rtl_templates.tiled_schedule import compute_process

__all__ = ["Sparse"]


class Sparse(TiledArray):
    """The engine of ``SparseSpec``."""

    ahead = 2
    lead = 3

    def _store(self, m, computes):
        spec, strips = self.spec, self.spec.strips
        processes, rings = spec.store_schedule()
        m.submodules.reader = reader = StripReader(strips, processes["transform"])
        spread, compute = processes["spread"], compute_process(spec)
        m.submodules.spread = spreads = Sequencer(spread)
        m.submodules.words = words = Level(rings["words"], spread.read, spreads)
        m.submodules.held = held = Level(rings["tiles"], compute.read, computes)
        wiring.connect(m, wiring.flipped(self.i), reader.i)
        m.d.comb += [
            reader.room.eq(words.room),
            words.write.eq(reader.write),
            spreads.step.eq(words.ready & held.room),
            held.write.eq(spreads.step),
        ]
        return self._banks(m, reader, spreads), held.ready

    def _banks(self, m, reader, spreads):
        """By tap, ``[bank][output lane]``: memories, which the words of ``reader`` are spread
        over."""
        spec, strips = self.spec, self.spec.strips
        step = delay(m, spreads.step, strips.latency, "spread")
        last = spreads.moves[0] | spreads.moves[1] | spreads.moves[-1]
        last = delay(m, last, strips.latency, "spread_last", reset_less=True)
        ends = Signal(name="group_ends")
        m.d.comb += ends.eq(step & last)
        place = Signal(spec.pattern.index_bits, name="place")
        bank = Signal(range(max(2, spec.in_lanes)), name="bank")
        fold = Signal(range(max(2, spec.in_folds)), name="fold")
        full = Signal(name="sub_row_ends")
        m.d.comb += full.eq(place.all() & (bank == spec.in_lanes - 1))
        with m.If(step):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
            with m.If(place.all() | last):
                m.d.sync += bank.eq(Mux(last | full, 0, bank + 1))
            with m.If(full | last):
                m.d.sync += fold.eq(Mux(last, 0, fold + 1))
        half = wheel(m, ends, 2, "spread_half")
        address = Signal(range(spec.depth), name="spread_address")
        m.d.comb += address.eq(Cat(place, (fold + Mux(half, spec.in_folds, 0))))

        found: dict = {}
        taps = self._lanes(m, reader, step)
        for tap in spec.taps:
            found[tap] = []
            for n in range(spec.in_lanes):
                here = Signal(name=f"write{n}")
                m.d.comb += here.eq(step & (bank == n))
                some = []
                for out in range(spec.out_lanes):
                    name = "bank{}_{}_{}_{}".format(*tap, n, out)
                    m.submodules[name] = ram = LutRam(spec.depth, len(taps[tap]))
                    m.d.comb += [
                        ram.write.eq(here),
                        ram.write_address.eq(address),
                        ram.write_data.eq(taps[tap]),
                    ]
                    some.append(ram)
                found[tap].append(some)
        return found

    def _lanes(self, m, reader, step):
        """By tap, all tiles of the channel that is next; ``step`` moves on."""
        spec, strips = self.spec, self.spec.strips
        found, start = {tap: [] for tap in spec.taps}, 0
        for tile in range(spec.tiles):
            for i, j in spec.taps:
                bits, _ = strips.shapes[i][j]
                end = start + bits * strips.lanes
                waiting = Signal(end - start, reset_less=True, name=f"waiting{tile}_{i}{j}")
                with m.If(reader.written):
                    m.d.sync += waiting.eq(reader.word[start:end])
                with m.Elif(step):
                    m.d.sync += waiting.eq(waiting[bits:])
                found[i, j].append(waiting[:bits])
                start = end
        return {tap: Cat(*tiles) for tap, tiles in found.items()}

    def _products(self, m, banks, behind, half, words):
        spec = self.spec
        fold = behind.index[3] + Mux(half, spec.in_folds, 0)
        fold = delay(m, fold, 2, "fold", reset_less=True)
        found = {}
        for (tap, products), places, values in zip(
            spec.tap_products.items(), words[0::2], words[1::2], strict=True
        ):
            wait = spec.product_latency - products.latency
            bits, is_signed = spec.strips.shapes[tap[0]][tap[1]]
            found[tap] = []
            for n, lanes in enumerate(banks[tap]):
                made: list = [[None] * spec.out_lanes for _ in range(spec.tiles)]
                for out, ram in enumerate(lanes):
                    entry = out * spec.in_lanes + n
                    m.d.comb += ram.address.eq(Cat(places[entry], fold))
                    x = split(register(m, ram.data, "tiles"), spec.tiles, bits, is_signed)
                    w = [register(m, values[entry], "value").as_signed()]
                    some = multiplied(m, products, waited(m, x, wait), waited(m, w, wait))
                    for tile, [product] in enumerate(some):
                        made[tile][out] = product
                found[tap].append(made)
        return found
