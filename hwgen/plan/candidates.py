"""Every way to build one op that is worth considering."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from math import inf, log

import numpy as np

from hwgen.beats import Beats
from hwgen.board import Board
from hwgen.cost import Area, area
from hwgen.network import Op, TensorType
from hwgen.primitives import Memory, Part, memory_style
from hwgen.rtl_templates import ENGINES, Spec

__all__ = ["Candidate", "Entry", "Exit", "candidates", "cost", "order_of", "ports"]

#: So many engines of one kind are all weighed.
FEW = 64

#: Ratio of the cycles a frame of one engine to those of the next, where there are more.
STEP = 1.1

#: The same, of engines whose values have one and the same order.
LEAP = 4

#: With so many times the multipliers of an engine too large for the board, another is as well.
SURELY = 1.2

#: Steps a frame, multipliers, spec.
_Sized = tuple[int, int, Spec]

#: An engine that costs so many times another is left out even where its streams are other.
FAR = 1.5


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


def order_of(spec: Spec | Entry | Exit) -> tuple[int, ...]:
    """The order of the values at either end.

    Where a beat holds several pixels but not all their channels, the order of the values is its
    own, and only a neighbour with the same number of pixels can follow.
    """
    ends = *spec.inputs[:1], *spec.outputs[:1]
    return tuple(beats.pixels if beats.folds > 1 else 1 for beats in ends)


def candidates(
    op: Op, board: Board, wanted: Callable[[Spec], bool] = lambda spec: True
) -> list[Candidate]:
    """Engines for ``op`` that are ``wanted``, fastest first, without those that another beats.

    One engine beats another if it is no slower and takes no more of any resource: with the same
    stream widths, or with any that a converter can lead to, where the other costs ``FAR`` as much.
    Of many of one kind, those are listed that are ``STEP`` apart in cycles; none that does not
    fit the board alone, unless there are only such. None at all where every one keeps weights in
    memory that the board cannot fill, or where none is wanted.
    """
    found, over = [], []
    for kind in ENGINES[type(op)]:
        specs = _apart(spec for spec in kind.foldings(op, board.family) if wanted(spec))
        least: dict[Hashable, float] = {}  # multipliers that were too many, by how they multiply
        for spec in sorted(specs, key=_multipliers):
            way = getattr(spec, "style", None), getattr(spec, "tile", None)
            if _multipliers(spec) > SURELY * least.get(way, inf):
                continue
            parts = spec.primitives()
            if not _can_be_filled(parts, board):
                continue
            used = area(parts, board.family)
            made = Candidate(spec, spec.schedule().steps, used, cost(used, board))
            if used.excess(board):
                least.setdefault(way, _multipliers(spec))
                over.append(made)
            else:
                found.append(made)
    found = found or over
    if not found:
        return []
    numbers = np.array(
        [(c.interval, c.area.lut, c.area.ff, c.area.dsp, c.area.bram) for c in found]
    )
    costs = np.array([c.cost for c in found])
    widths = _numbered((c.spec.inputs, c.spec.outputs) for c in found)
    orders = _numbered((*order_of(c.spec), getattr(c.spec, "tile", 0)) for c in found)
    kept = []
    for n, candidate in enumerate(found):
        no_worse = np.all(numbers <= numbers[n], axis=1) & np.any(numbers < numbers[n], axis=1)
        far = (orders == orders[n]) & (FAR * costs <= costs[n])
        if not np.any(no_worse & ((widths == widths[n]) | far)):
            kept.append(candidate)
    return sorted(kept, key=lambda c: (c.interval, c.cost))


def _apart(specs: Iterable[Spec]) -> Iterator[Spec]:
    """Of specs of one kind, those that multiply least for what they reach; all, if they are few.

    Knows steps and multipliers only, which take no time to compute. Kinds are apart by how they
    multiply and by tile; some of each are kept for every order of their values.
    """
    kinds: dict[tuple, list[_Sized]] = {}
    for spec in specs:
        kind = getattr(spec, "style", None), getattr(spec, "tile", None)
        sized = spec.schedule().steps, _multipliers(spec), spec
        kinds.setdefault(kind, []).append(sized)
    for some in kinds.values():
        if len(some) <= FEW:
            yield from (spec for *_, spec in some)
            continue
        orders: dict[tuple[int, ...], list[_Sized]] = {}
        for sized in some:
            orders.setdefault(order_of(sized[2]), []).append(sized)
        picked = _rungs(some, STEP)
        for group in orders.values():
            picked |= _rungs(group, LEAP)
        yield from picked.values()


def _rungs(some: Iterable[_Sized], ratio: float) -> dict[int, Spec]:
    """One of each ``ratio`` of steps, and those that are as good, by identity."""
    rungs: dict[int, list[_Sized]] = {}
    for sized in some:
        rungs.setdefault(int(log(sized[0], ratio)), []).append(sized)
    picked: dict[int, Spec] = {}
    for rung in rungs.values():
        best = min((steps * multipliers, steps) for steps, multipliers, _ in rung)
        picked |= {id(spec): spec for steps, mults, spec in rung if (steps * mults, steps) == best}
    return picked


def _multipliers(spec: Spec) -> int:
    return getattr(spec, "multipliers", 0)


def _numbered(things: Iterable[Hashable]) -> np.ndarray:
    """A number for each, the same for those that are equal."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(thing, len(known)) for thing in things])


def _can_be_filled(parts: Iterable[Part], board: Board) -> bool:
    """Whether every memory with contents is of a style that the board's bitstream fills."""
    return all(
        memory_style(part, board.family) in board.initialised
        for part in parts
        if isinstance(part, Memory) and part.kind == "rom"
    )
