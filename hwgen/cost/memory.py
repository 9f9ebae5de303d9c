"""How memories are cut into block RAMs: the rules of Yosys' ``memory_libmap``.

For each shape of block and each width it offers, the memory is cut into rows as deep as the block;
the bits of all rows share blocks. The cheapest cut wins, cost being that of the blocks plus half a
unit for every bit that a multiplexer between rows, or a decoder of write enables, must handle.
"""

from dataclasses import dataclass
from functools import cache

__all__ = ["SHAPES", "Shape", "blocks"]


@dataclass(frozen=True)
class Shape:
    """A block of ``words`` of the first of the ``widths`` that it offers (9 is 8 and a parity bit).

    ``units`` of the family's block RAM; ``cost`` as in Yosys' library file; ``narrow`` is the least
    width that a RAM can use; a write enable governs ``byte`` bits.
    """

    words: int
    widths: tuple[int, ...]
    units: int
    cost: int
    narrow: int = 1
    byte: int = 9


_XILINX = (
    Shape(1 << 14, (1, 2, 4, 9, 18, 36), 1, 129),
    Shape(1 << 15, (1, 2, 4, 9, 18, 36, 72), 2, 257),
)

SHAPES = {
    # ice40/brams.txt: SB_RAM40_4K; a write mask of single bits serves every width. The SPRAMs of an
    # UltraPlus are left out: they have one port and start undefined.
    "ice40": (Shape(1 << 11, (2, 4, 8, 16), 1, 64, byte=1),),
    # lattice/brams_16kd.txt: DP16KD, and PDPW16KD, whose write port is 36 wide.
    "ecp5": (
        Shape(1 << 14, (1, 2, 4, 9, 18), 1, 128),
        Shape(1 << 14, (1, 2, 4, 9, 18, 36), 1, 128, narrow=9),
    ),
    # gowin/brams.txt: SP and SDPB.
    "gowin": (Shape(1 << 14, (1, 2, 4, 9, 18, 36), 1, 128),),
    # xilinx/brams_xc4v.txt: RAMB18 and RAMB36, true and simple dual port.
    "xc7": _XILINX,
    "xcup": _XILINX,
}


@cache
def blocks(family: str, depth: int, width: int, writable: bool) -> tuple[int, int]:
    """``(units, rows)``: block RAMs that the memory takes, and rows to choose between.

    One write port and one read port when ``writable``, else one read port.
    """
    best = None
    for shape in SHAPES[family]:
        for log, unit in enumerate(shape.widths):
            if writable and unit < shape.narrow:
                continue
            rows = -(-depth // (shape.words >> log))
            grain = min(shape.byte, unit) if writable else 1
            word = -(-width // grain) * grain
            count = -(-rows * word // unit)
            cost = count * shape.cost + (rows - 1) * width / 2
            if writable and rows > 1:
                cost += rows / 2
            if best is None or cost < best[0]:
                best = cost, count * shape.units, rows
    assert best is not None
    return best[1], best[2]
