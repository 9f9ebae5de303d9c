"""The hardware of windows: the ring of a map, and what reads it for an engine."""

from amaranth import Array, C, Elaboratable, Module, Signal
from amaranth.lib import stream, wiring

from hwgen.rtl_templates.memory import Ram
from hwgen.rtl_templates.pipeline import padding_beat
from hwgen.rtl_templates.queue import Queue
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.rtl_templates.window import Window
from hwgen.schedule import Process

__all__ = ["WindowReader", "reading"]


class WindowReader(Elaboratable):
    """The ring and its fill process; reads for an engine whose sequencer walks the windows.

    ``strides`` gives, for each loop of the engine's sequencer, the beats that it moves in the ring;
    ``column`` is the number of the loop over the kernel's columns.

    Attributes
    ----------
    i : stream In
        The map.
    ready : Signal(1), out
        The ring holds all that the current step reads.
    data : Signal, out
        One cycle after a step: ``pixels`` pixels of ``lanes`` values, first pixel lowest.
    """

    def __init__(self, window: Window, sequencer: Sequencer, strides, column: int):
        self.window, self.sequencer = window, sequencer
        self.strides, self.column = strides, column
        pixel = window.source.width // window.source.pixels
        self.i = stream.Signature(window.source.width).flip().create(path=("i",))
        self.ready = Signal()
        self.data = Signal(window.pixels * pixel)

    def elaborate(self, platform):
        m = Module()
        window, sequencer = self.window, self.sequencer
        source, capacity = window.source, window.capacity
        bits = max(1, (capacity - 1).bit_length())
        pixel = source.width // source.pixels

        # The ring: beats written and not yet given up; below zero, beats given up before they came
        # (columns and rows that no window reaches).
        level = Signal(range(-max(window.release), capacity + 1))
        process = window.fill_process()
        m.submodules.fill = fill = Sequencer(process)
        inside = fill.selects(process.takes[0].at)
        room = level != capacity
        m.d.comb += [
            fill.step.eq(room & (self.i.valid | ~fill.waits(process.takes[0]))),
            self.i.ready.eq(room & inside),
        ]
        release = Signal(range(max(window.release) + 1))
        for loop, amount in zip((0, 1, -1), window.release, strict=True):
            with m.If(sequencer.step & sequencer.moves[loop]):
                m.d.comb += release.eq(amount)
        m.d.sync += level.eq(level + fill.step - release)
        m.d.comb += self.ready.eq((level >= window.span) | ~sequencer.begins(2))

        write_address = Signal(bits)
        written = Signal(source.width)
        padding = padding_beat(source, window.fill, fill.index[2])
        m.d.sync += write_address.eq(write_address + fill.step)
        m.d.comb += written.eq(self.i.payload)
        with m.If(~inside):
            m.d.comb += written.eq(padding)

        moves = deltas(sequencer.loops, self.strides, window.frame)
        m.submodules.pointer = pointer = Pointer(sequencer, moves, bits)
        banks = []
        tap = sequencer.index[self.column]
        for bank in range(source.pixels):
            ram = Ram(capacity, pixel)
            m.submodules[f"bank{bank}"] = ram
            offset = 0
            if source.pixels > 1:
                offset = Array(C(beats) for beats in window.offsets(bank))[tap]
            m.d.comb += [
                ram.write.eq(fill.step),
                ram.write_address.eq(write_address),
                ram.write_data.eq(written.word_select(bank, pixel)),
                ram.address.eq(pointer.value + offset),
            ]
            banks.append(ram.data)
        if source.pixels == 1:
            m.d.comb += self.data.eq(banks[0])
        else:
            tap_read = Signal.like(tap)
            m.d.sync += tap_read.eq(tap)
            for lane in range(window.pixels):
                choice = Array(
                    banks[window.place(lane, kw) % source.pixels] for kw in range(window.kernel[1])
                )
                m.d.comb += self.data.word_select(lane, pixel).eq(choice[tap_read])
        return m


def reading(m: Module, engine, process: Process, column: int):
    """The sequencer, the reader of windows and the queue of an ``engine`` whose ``process`` reads
    windows of the map on ``i``, ``column`` being its loop over their columns, and puts beats on
    ``o``; and, high in the steps that put one, what ``queue.push`` is to follow.
    """
    spec, (put,) = engine.spec, process.puts
    m.submodules.sequencer = sequencer = Sequencer(process)
    m.submodules.window = window = WindowReader(spec.window, sequencer, spec.strides, column)
    m.submodules.queue = queue = Queue(spec.outputs[0].width, put.depth)
    wiring.connect(m, wiring.flipped(engine.i), window.i)
    wiring.connect(m, queue.o, wiring.flipped(engine.o))
    can, putting = queue.room, sequencer.step
    if put.at:
        last = sequencer.selects(put.at)
        can, putting = can | ~last, putting & last
    m.d.comb += [sequencer.step.eq(window.ready & can), queue.reserve.eq(putting)]
    return sequencer, window, queue, putting
