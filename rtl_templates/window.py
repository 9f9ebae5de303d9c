"""Sliding windows: takes a map as it comes, pads it, and holds the rows that a window needs.

The padded map runs through a ring of beats. One process fills it: it walks the padded map, taking
a beat inside and writing the padding outside. Another, the engine's own, walks the windows; while
it works on one, the fill process goes on, into the next frame as well, so no cycle is lost
between rows or frames.

Because padding is written rather than masked, every address is a sum of loop strides.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

from hwgen.beats import Beats
from hwgen.primitives import Accumulator, Adder, Compare, Memory, Mux, Part, Register
from hwgen.rtl_templates.sequencer import Pointer, Sequencer, deltas
from hwgen.schedule import Process, Read, Take, Write

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """Windows of ``kernel`` over a padded map, ``pixels`` windows side by side.

    The input beats must carry ``pixels * stride`` pixels, or one when ``pixels`` is one.
    """

    source: Beats
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    fill: int
    pixels: int = 1
    dilation: tuple[int, int] = (1, 1)

    @staticmethod
    def source_pixels(pixels: int, stride: tuple[int, int]) -> int:
        """Pixels of an input beat for ``pixels`` windows side by side."""
        return 1 if pixels == 1 else pixels * stride[1]

    def __post_init__(self):
        if self.source.pixels != self.source_pixels(self.pixels, self.stride):
            raise ValueError(f"{self.pixels} windows do not read beats of {self.source}")
        if self.counts[1] % self.pixels:
            raise ValueError(f"pixels must divide the output width {self.counts[1]}")

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Windows down and across."""
        height, width, _ = self.source.type.map_shape
        top, bottom, left, right = self.padding
        return (
            (height + top + bottom - self.extent[0]) // self.stride[0] + 1,
            (width + left + right - self.extent[1]) // self.stride[1] + 1,
        )

    @cached_property
    def groups(self) -> int:
        """Groups of windows a row."""
        return self.counts[1] // self.pixels

    @cached_property
    def left_groups(self) -> int:
        """Whole beats of padding at the left."""
        return -(-self.padding[2] // self.source.pixels)

    @cached_property
    def offset(self) -> int:
        """Place of the first window's first pixel in its beat."""
        return self.left_groups * self.source.pixels - self.padding[2]

    @cached_property
    def padded(self) -> tuple[int, int]:
        """Rows and pixel groups of the padded map."""
        height = self.source.type.map_shape[0]
        last_row = (self.counts[0] - 1) * self.stride[0] + self.extent[0]
        last_pixel = self.offset + (self.counts[1] - 1) * self.stride[1] + self.extent[1]
        return (
            max(self.padding[0] + height, last_row),
            max(self.left_groups + self.source.groups, -(-last_pixel // self.source.pixels)),
        )

    @cached_property
    def pads(self) -> bool:
        """Whether beats are written that do not come from the map."""
        source = self.source
        return self.padded != (source.type.map_shape[0], source.groups)

    @cached_property
    def even(self) -> bool:
        """Whether every window lies one beat of all channels behind the one before, from the first
        of a frame to the first of the next: nobody need count them."""
        return set(self.release) == {self.source.folds}

    @cached_property
    def row(self) -> int:
        """Beats a padded row."""
        return self.padded[1] * self.source.folds

    @cached_property
    def frame(self) -> int:
        """Beats a padded frame."""
        return self.padded[0] * self.row

    @cached_property
    def reach(self) -> int:
        """Pixel groups from the first to the last that a group of windows touches."""
        last = self.offset + (self.pixels - 1) * self.stride[1] + self.extent[1] - 1
        return last // self.source.pixels + 1

    @cached_property
    def span(self) -> int:
        """Beats from the first to the last that a group of windows needs."""
        return (self.extent[0] - 1) * self.row + self.reach * self.source.folds

    @cached_property
    def strides(self) -> dict[str, int]:
        """Beats that an address moves, for each way that a window moves or is walked."""
        across = self.pixels * self.stride[1] // self.source.pixels
        return {
            "row": self.stride[0] * self.row,
            "group": across * self.source.folds,
            "tap_row": self.dilation[0] * self.row,
            # With several pixels a beat, each bank works out its own.
            "tap_column": self.dilation[1] * self.source.folds if self.source.pixels == 1 else 0,
            "fold": 1,
        }

    @cached_property
    def release(self) -> tuple[int, ...]:
        """Beats given up when the window moves down, moves across, and at the end of the frame."""
        loops = (self.counts[0], self.groups)
        return tuple(deltas(loops, (self.strides["row"], self.strides["group"]), self.frame))

    @cached_property
    def capacity(self) -> int:
        """Beats of the ring: a power of two, so that addresses wrap by themselves, with room for
        what the next window needs anew while this one is held."""
        return 1 << (self.span + max(self.release) - 1).bit_length()

    def fill_process(self) -> Process:
        """Walks the padded map, one beat a step."""
        top, height = self.padding[0], self.source.type.map_shape[0]
        rows = range(top, top + height)
        columns = range(self.left_groups, self.left_groups + self.source.groups)
        before = top * self.row + self.left_groups * self.source.folds
        return Process(
            (*self.padded, self.source.folds),
            takes=(Take("i", {0: rows, 1: columns}),),
            write=Write("window"),
            after="i" if before >= self.span else None,  # or a window of padding would run ahead
        )

    def read(self) -> Read:
        """What a process whose first two loops are rows and groups of windows reads."""
        return Read("window", 2, self.span, self.release)

    def primitives(self) -> list[Part]:
        """Parts of the ring, of the fill process and of the addresses of windows."""
        bits = (self.capacity - 1).bit_length()
        banks = self.source.pixels
        width = self.source.width // banks
        parts: list[Part] = [
            # Where nothing is padded, nobody asks where in the map the fill process is.
            *Sequencer.primitives(self.fill_process(), skip=0 if self.pads else 3),
            *Pointer.primitives(bits),
            Register(2 * bits + 1),
            Adder(bits, constant=True),
            Adder(bits + 1),  # beats that come, and those given up
            Accumulator(bits + 1),
            Compare(bits + 1, 2, constant=True),
            *[Memory(self.capacity, width, "ram")] * banks,
        ]
        if any(self.padding):
            parts.append(Mux(self.source.width))
        if banks > 1:
            for offsets in {self.offsets(bank) for bank in range(banks)}:
                if any(offsets):  # low bits that nothing is ever added to need no adder
                    step = gcd(*offsets)
                    parts.append(Accumulator(bits + 1 - (step & -step).bit_length()))
            for lane in range(self.pixels):
                taps = range(self.kernel[1])
                parts.append(Mux(width, len({self.place(lane, tap) % banks for tap in taps})))
        return parts

    def place(self, lane: int, tap: int) -> int:
        """Pixel that ``lane`` reads for a column of the kernel, from the beat of the pointer."""
        return self.offset + lane * self.stride[1] + tap * self.dilation[1]

    def offsets(self, bank: int) -> tuple[int, ...]:
        """Beats from the pointer to the one that ``bank`` reads, for each column of the kernel."""
        banks, offsets = self.source.pixels, []
        for tap in range(self.kernel[1]):
            places = (self.place(lane, tap) for lane in range(self.pixels))
            mine = [place for place in places if place % banks == bank]
            offsets.append(mine[0] // banks * self.source.folds if mine else 0)
        return tuple(offsets)
