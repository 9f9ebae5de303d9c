"""The hardware of Winograd's dense array: a word of tiles meets all output lanes."""

import numpy as np
from amaranth import Mux
from amaranth.lib import wiring

from hwgen.rtl_templates.memory import Ram
from hwgen.rtl_templates.pipeline import register, split, wheel
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.strip_reader import StripReader
from hwgen.rtl_templates.tiled_array import TiledArray, waited
from hwgen.rtl_templates.tiled_schedule import compute_process

__all__ = ["Winograd"]


class Winograd(TiledArray):
    """The engine of ``WinogradSpec``."""

    ahead = 0
    lead = 2

    def _store(self, m, computes):
        spec, strips = self.spec, self.spec.strips
        process = spec.store_schedule()[0]["transform"]
        m.submodules.reader = reader = StripReader(strips, process)
        m.submodules.held = level = Level(2 * spec.held, compute_process(spec).read, computes)
        m.submodules.tiles = ram = Ram(2 * spec.held, strips.word)
        wiring.connect(m, wiring.flipped(self.i), reader.i)
        m.d.comb += [
            reader.room.eq(level.room),
            level.write.eq(reader.write),
            ram.write.eq(reader.written),
            ram.write_address.eq(wheel(m, reader.written, 2 * spec.held, "slot")),
            ram.write_data.eq(reader.word),
        ]
        return ram, level.ready

    def _products(self, m, ram, behind, half, words):
        spec, lanes = self.spec, self.spec.in_lanes
        m.d.comb += ram.address.eq(behind.index[3] + Mux(half, spec.in_folds, 0))
        tiles = self._numbers(register(m, ram.data, "tiles"))
        found = {}
        for (tap, products), field in zip(spec.tap_products.items(), words, strict=True):
            wait = spec.product_latency - products.latency
            x = waited(m, [lane for tile in tiles for lane in tile[tap]], wait)
            w = waited(m, [weight.as_signed() for weight in field], wait)
            found[tap] = [multiplied(m, products, x[n::lanes], w[n::lanes]) for n in range(lanes)]
        return found

    def _numbers(self, data):
        """For each tile the lanes of each tap."""
        strips = self.spec.strips
        tiles, start = [], 0
        for _ in range(strips.tiles):
            taps = {}
            for i, j in np.ndindex(strips.domain.size):
                bits, is_signed = strips.shapes[i][j]
                end = start + bits * strips.lanes
                taps[i, j] = split(data[start:end], strips.lanes, bits, is_signed)
                start = end
            tiles.append(taps)
        return tiles
