"""What a design takes of a device."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import ceil

from hwgen.board import Board

__all__ = ["Area", "total"]

#: Part of all flip-flops that take a logic cell of their own, where a cell has one LUT and a
#: flip-flop behind it: assumed, for the worse. 3,534 LUTs and 2,825 flip-flops were placed in 5,139
#: cells of an iCE40, so 57 % were not behind a LUT of theirs.
UNPAIRED = {"ice40": 0.6}


@dataclass(frozen=True)
class Area:
    """LUTs (LUT4 on ice40, ecp5 and gowin, LUT6 on xc7 and xcup, gates on asic), flip-flops, DSP
    blocks (9 x 9 multipliers on gowin) and block RAMs (of 4 kbit on ice40, 18 kbit elsewhere). A
    LUT that serves as memory or as part of a carry chain counts as a LUT."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(
            self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp, self.bram + other.bram
        )

    def fits(self, board: Board) -> bool:
        """Whether every resource of ``board`` suffices."""
        return not self.excess(board)

    def share(self, board: Board) -> dict[str, float]:
        """Used part of each resource of ``board``; above 1 it does not fit (``inf``: has none)."""
        shares = {}
        for field in fields(self):
            used, there = getattr(self, field.name), getattr(board, field.name)
            shares[field.name] = used / there if there else (float("inf") if used else 0.0)
        return shares

    def excess(self, board: Board) -> dict[str, int]:
        """By how much each resource of ``board`` falls short; only those that do. LUTs also do
        where logic cells, which flip-flops share with them, do not suffice for both."""
        short = {
            field.name: getattr(self, field.name) - getattr(board, field.name)
            for field in fields(self)
        }
        if board.family in UNPAIRED:
            cells = self.lut + ceil(UNPAIRED[board.family] * self.ff)
            short["lut"] = max(short["lut"], cells - board.ff)  # a cell for each flip-flop there is
        return {name: count for name, count in short.items() if count > 0}


def total(areas: Iterable[Area]) -> Area:
    """Sum of several areas."""
    return sum(areas, Area())
