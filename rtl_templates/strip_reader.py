"""The hardware of ``strips``: row memories and transforms."""

from amaranth import Array, C, Cat, Elaboratable, Module, Mux, Signal, signed, unsigned
from amaranth.lib import stream

from hwgen.rtl_templates.memory import Ram
from hwgen.rtl_templates.pipeline import delay, padding_beat, register, split, wheel
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.rtl_templates.strips import Strips
from hwgen.rtl_templates.transforms import inputs_of
from hwgen.schedule import Process

__all__ = ["StripReader"]


class StripReader(Elaboratable):
    """Takes a map and makes words of transformed tiles, as ``process`` does.

    Attributes
    ----------
    i : stream In
        The map.
    room : Signal(1), in
        There is a place for a word.
    write : Signal(1), out
        A step makes a word.
    written : Signal(1), out
        The same, ``strips.latency`` cycles later, when the word is there.
    word : Signal, out
        For each tile, each tap, each lane a number; the first of each lowest.
    """

    def __init__(self, strips: Strips, process: Process):
        self.strips, self.process = strips, process
        self.i = stream.Signature(strips.source.width).flip().create(path=("i",))
        self.room, self.write, self.written = Signal(), Signal(), Signal()
        self.word = Signal(strips.word)

    def elaborate(self, platform):
        m = Module()
        strips, process = self.strips, self.process
        m.submodules.transform = transform = Sequencer(process)
        m.submodules.lines = lines = Level(strips.lines, process.read, transform)
        made = transform.selects(process.write.at)
        m.d.comb += [
            transform.step.eq(lines.ready & (self.room | ~made)),
            self.write.eq(transform.step & made),
        ]
        rows = self._rows(m, transform, lines)

        # Cycles after the step: memories 1, rows in order 2, vertical transform 3, horizontal 4.
        width = strips.source.width // strips.pixels
        bits, sign = strips.source.type.bits, strips.source.type.signed
        lanes = [split(register(m, row, "row")[:width], strips.lanes, bits, sign) for row in rows]
        shift = delay(m, transform.step, 2, "step")
        window = self._window(m, lanes, shift)
        taps = self._horizontal(m, window)

        column = delay(m, transform.index[3], strips.latency, "column", reset_less=True)
        words = []
        for tile in range(strips.tiles - 1):
            kept = Signal(len(taps), reset_less=True, name=f"tile{tile}")
            with m.If(column == strips.domain.size[1] - 1 + tile * strips.domain.step[1]):
                m.d.sync += kept.eq(taps)
            words.append(kept)
        m.d.comb += [
            self.written.eq(delay(m, self.write, strips.latency, "made")),
            self.word.eq(Cat(*words, taps)),
        ]
        return m

    def _rows(self, m, transform, lines):
        """One cycle after a step: its column, a signal for each row of the tile."""
        strips = self.strips
        width = strips.source.width // strips.pixels
        process = strips.fill_process()
        m.submodules.fill = fill = Sequencer(process)
        inside = fill.selects(process.takes[0].at)
        m.d.comb += [
            fill.step.eq(lines.room & (self.i.valid | ~fill.waits(process.takes[0]))),
            self.i.ready.eq(lines.room & inside),
            lines.write.eq(fill.step),
        ]
        padding = padding_beat(strips.source, strips.source.type.zero_point, fill.index[2])
        written = Mux(inside, self.i.payload, padding)
        row_ends = fill.step & (fill.moves[0] | fill.moves[-1])
        row = wheel(m, row_ends, strips.rows, "fill_row")
        place = Signal(range(strips.row), name="fill_place")
        with m.If(fill.step):
            m.d.sync += place.eq(Mux(row_ends, 0, place + 1))

        loops, beats = transform.loops, strips.new_columns // strips.pixels
        moves = deltas(loops, (0, beats * strips.folds, 1, 0), 0)
        bits = max(1, (strips.row - 1).bit_length())
        m.submodules.pointer = pointer = Pointer(transform, moves, bits)
        places = [divmod(strips.offset + n, strips.pixels) for n in range(strips.columns)]
        column = transform.index[3]
        further = Array(C(beat * strips.folds, bits) for beat, _ in places)[column]
        address = Signal(bits)
        m.d.comb += address.eq(pointer.value + further)

        choice = Array(C(pixel, range(max(2, strips.pixels))) for _, pixel in places)
        pixel = delay(m, choice[column], 1, "pixel", reset_less=True)
        found = []
        for r in range(strips.rows):
            banks = []
            for b in range(strips.pixels):
                m.submodules[f"row{r}_{b}"] = ram = Ram(strips.row, width)
                m.d.comb += [
                    ram.write.eq(fill.step & (row == r)),
                    ram.write_address.eq(place),
                    ram.write_data.eq(written[b * width : (b + 1) * width]),
                    ram.address.eq(address),
                ]
                banks.append(ram.data)
            chosen = Signal(width, name=f"line{r}")
            m.d.comb += chosen.eq(Array(banks)[pixel] if len(banks) > 1 else banks[0])
            found.append(chosen)
        return self._in_order(m, transform, found)

    def _in_order(self, m, transform, found):
        """Rows from the first of the tile on; it lies at a multiple of ``unit`` in the ring."""
        strips = self.strips
        places = strips.rows // strips.unit
        first = Signal(range(max(2, places)), name="first_row")
        for move, by in zip((transform.moves[0], transform.moves[-1]), strips.release, strict=True):
            further = first + by // strips.unit
            with m.If(transform.step & move):
                m.d.sync += first.eq(Mux(further >= places, further - places, further))
        first = delay(m, first, 1, "first", reset_less=True)
        ordered = []
        for i in range(strips.domain.size[0]):
            row = Signal(len(found[0]), name=f"ordered{i}")
            choice = Array(found[(strips.unit * n + i) % strips.rows] for n in range(places))
            m.d.comb += row.eq(choice[first])
            ordered.append(row)
        return ordered

    def _window(self, m, lanes, shift):
        """``[column][row][lane]``: the last columns, each transformed vertically."""
        strips = self.strips
        th, tw = strips.domain.size
        shapes = [_shape(shape) for shape in strips.column_shapes]
        window = [
            [
                [
                    Signal(shapes[i], reset_less=True, name=f"column{j}_{i}_{lane}")
                    for lane in range(strips.lanes)
                ]
                for i in range(th)
            ]
            for j in range(tw)
        ]
        with m.If(shift):
            for lane in range(strips.lanes):
                made = inputs_of(strips.domain.down).build([lanes[i][lane] for i in range(th)])
                for i in range(th):
                    m.d.sync += window[tw - 1][i][lane].eq(made[i])
                    m.d.sync += [
                        window[j][i][lane].eq(window[j + 1][i][lane]) for j in range(tw - 1)
                    ]
        return window

    def _horizontal(self, m, window):
        """All taps of the window's tile, lanes innermost, two or one cycles later."""
        strips, domain = self.strips, self.strips.domain
        (th, tw), taps = domain.size, []
        for i in range(th):
            made = [
                inputs_of(domain.across).build([window[j][i][lane] for j in range(tw)])
                for lane in range(strips.lanes)
            ]
            for j in range(tw):
                for lane in range(strips.lanes):
                    raw = Signal(_shape(strips.raw_shapes[i][j]), reset_less=True, name="raw")
                    m.d.sync += raw.eq(made[lane][j])
                    taps.append(self._rounded(m, raw, domain, i, j))
        return Cat(taps)

    def _rounded(self, m, raw, domain, i, j):
        """A tap as it meets the weights."""
        if self.strips.latency == 4:
            return raw
        lo, hi = map(int, domain.limits[i, j])
        shift = int(domain.shifts[i, j])
        half = 1 << (shift - 1) if shift else 0
        value = (raw + (half - int(domain.offsets[i, j]))) >> shift
        result = Signal(_shape(self.strips.shapes[i][j]), reset_less=True, name="rounded")
        if self.strips.clips(i, j):
            value = Mux(value > hi, hi, Mux(value < lo, lo, value))
        m.d.sync += result.eq(value)
        return result


def _shape(shape):
    bits, is_signed = shape
    return signed(bits) if is_signed else unsigned(bits)
