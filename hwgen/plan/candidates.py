"""Every way to build one op that is worth considering."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from hwgen.beats import Beats
from hwgen.board import Board
from hwgen.cost import Area, area
from hwgen.network import Op, TensorType
from hwgen.primitives import Memory, Part, memory_style
from hwgen.rtl_templates import ENGINES, Spec

__all__ = ["Candidate", "Entry", "Exit", "candidates", "cost", "ports"]


@dataclass(frozen=True)
class Entry:
    """Stands for an input of the accelerator, which comes as ``beats``."""

    beats: Beats

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return ()

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (self.beats,)

    def primitives(self) -> list[Part]:
        return []


@dataclass(frozen=True)
class Exit:
    """Stands for an output of the accelerator, which leaves as ``beats``."""

    beats: Beats

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.beats,)

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return ()

    def primitives(self) -> list[Part]:
        return []


@dataclass(frozen=True)
class Candidate:
    """An engine for an op: ``interval`` in cycles a frame, estimated ``area``, ``cost`` on the
    board."""

    spec: Spec | Entry | Exit
    interval: int
    area: Area
    cost: float


def cost(used: Area, board: Board) -> float:
    """One number for an area: the sum of the shares of the board that it takes."""
    return sum(share for share in used.share(board).values() if share != float("inf"))


def ports(end: type[Entry] | type[Exit], kind: TensorType, widest: int) -> list[Candidate]:
    """Every port for ``kind`` of at most ``widest`` bits, in whole bytes, fastest first."""
    found = []
    most = widest // 8 * 8 // kind.bits
    width, channels = kind.map_shape[1:]
    for pixels in (n for n in range(1, min(width, most) + 1) if width % n == 0):
        folds = {-(-channels // lanes) for lanes in range(1, min(channels, most // pixels) + 1)}
        for lanes in (-(-channels // count) for count in sorted(folds)):
            beats = Beats(kind, lanes, pixels)
            found.append(Candidate(end(beats), beats.count, Area(), 0.0))
    return sorted(found, key=lambda candidate: candidate.interval)


def candidates(
    op: Op, board: Board, wanted: Callable[[Spec], bool] = lambda spec: True
) -> list[Candidate]:
    """Engines for ``op`` that are ``wanted``, fastest first, without those that another beats.

    One engine beats another with the same stream widths if it is no slower and takes no more of
    any resource. None at all where every one keeps weights in memory that the board cannot fill.
    """
    found = []
    for kind in ENGINES[type(op)]:
        for spec in kind.foldings(op, board.family):
            if not wanted(spec):
                continue
            parts = spec.primitives()
            if not _can_be_filled(parts, board):
                continue
            used = area(parts, board.family)
            found.append(Candidate(spec, spec.schedule().steps, used, cost(used, board)))
    if not found:
        return []
    numbers = np.array(
        [(c.interval, c.area.lut, c.area.ff, c.area.dsp, c.area.bram) for c in found]
    )
    widths = [(c.spec.inputs, c.spec.outputs) for c in found]
    kept = []
    for n, candidate in enumerate(found):
        no_worse = np.all(numbers <= numbers[n], axis=1) & np.any(numbers < numbers[n], axis=1)
        if not any(widths[other] == widths[n] for other in np.flatnonzero(no_worse)):
            kept.append(candidate)
    return sorted(kept, key=lambda c: (c.interval, c.cost))


def _can_be_filled(parts: Iterable[Part], board: Board) -> bool:
    """Whether every memory with contents is of a style that the board's bitstream fills."""
    return all(
        memory_style(part, board.family) in board.initialised
        for part in parts
        if isinstance(part, Memory) and part.kind == "rom"
    )
