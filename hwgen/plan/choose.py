"""One engine for every op: a multiple-choice knapsack with several resources.

A binary variable for each candidate of each op, one of which is chosen; and one for each pair of
candidates at the two ends of an edge, which carries the area of the width converter between them.
HiGHS, through SciPy, solves it to within a thousandth, over the short list of each op.

The cost of a whole is an ordered weighted average (Yager, 1988) of the parts of the board that it
takes of each resource, each by its worth: the largest weighs most, so that what is plentiful is
spent first. As the
weights fall, that is convex, and linear in the sums of the k largest (Ogryczak and Sliwinski,
2003): each is the least of ``k t + sum(max(0, share - t))`` over t.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack, lil_array

from hwgen.beats import Beats
from hwgen.board import Board
from hwgen.cost import Area, area
from hwgen.plan.candidates import Candidate, Entry, order_of
from hwgen.rtl_templates import ConvertSpec

__all__ = ["Edge", "choose", "converter"]

#: From the op with this number to the op with that number, and to which of its inputs.
Edge = tuple[int, int, int]

#: Candidates of one op that the solver weighs: the cheapest that are fast enough.
MOST = 12

RESOURCES = ("lut", "ff", "dsp", "bram")

#: Weights of the shares of the board, largest share first.
WEIGHTS = (1, 0.1, 0.01, 0.001)

#: What a share of a resource counts for, before it is compared: DSP blocks are good for products
#: only, LUTs for everything.
WORTH = {"dsp": 0.2}


@lru_cache(maxsize=100_000)
def converter(source: Beats, target: Beats, family: str) -> tuple[int, Area] | None:
    """Cycles a frame and area of the converter from ``source`` to ``target``; None if there can
    be none, nothing if none is needed."""
    if (source.lanes, source.pixels) == (target.lanes, target.pixels):
        return 0, Area()
    if not ConvertSpec.possible(source, target):
        return None
    spec = ConvertSpec(source, target)
    return spec.process().steps, area(spec.primitives(), family)


def choose(
    options: Sequence[Sequence[Candidate]],
    edges: Sequence[Edge],
    board: Board,
    room: Area,
    limit: int,
) -> list[Candidate] | None:
    """The cheapest engines that all take at most ``limit`` cycles a frame and together fit into
    ``room``; None if there are none. An op without options is an input: it comes as one of its
    readers takes it."""
    fast = [_shortlist([c for c in some if c.interval <= limit], board) for some in options]
    for number, some in enumerate(options):
        if not some:
            fast[number] = _entries(number, fast, edges)
    if not all(fast):
        return None
    start = np.cumsum([0, *(len(some) for some in fast)])
    areas = [c.area for some in fast for c in some]
    pairs: list[tuple[int, int, int]] = []  # edge, candidate at its source, at its target
    for number, (a, b, port) in enumerate(edges):
        for i, before in enumerate(fast[a]):
            for j, after in enumerate(fast[b]):
                way = converter(before.spec.outputs[0], after.spec.inputs[port], board.family)
                if way is not None and way[0] <= limit:
                    pairs.append((number, start[a] + i, start[b] + j))
                    areas.append(way[1])

    singles = int(start[-1])
    rows = lil_array(
        (len(fast) + sum(len(fast[a]) + len(fast[b]) for a, b, _ in edges), len(areas))
    )
    equal = []
    for op in range(len(fast)):
        rows[op, start[op] : start[op + 1]] = 1
        equal.append(1)
    # What flows over an edge is what is chosen at each of its ends.
    first: dict[tuple[int, int, int], int] = {}
    for number, (a, b, _) in enumerate(edges):
        for end, op in enumerate((a, b)):
            for column in range(start[op], start[op + 1]):
                rows[len(equal), column] = -1
                first[number, end, column] = len(equal)
                equal.append(0)
    for n, (number, source, target) in enumerate(pairs):
        rows[first[number, 0, source], singles + n] = 1
        rows[first[number, 1, target], singles + n] = 1
    limits = np.array([[getattr(used, name) for used in areas] for name in RESOURCES], float)
    weights, even = _even(limits, board)
    extra = len(weights) - len(areas)
    result = milp(
        c=weights,
        integrality=np.r_[np.ones(singles), np.zeros(len(weights) - singles)],
        bounds=Bounds(0, np.r_[np.ones(len(areas)), np.full(extra, np.inf)]),
        constraints=[
            LinearConstraint(_wider(rows, extra), equal, equal),
            LinearConstraint(
                _wider(limits, extra), -np.inf, [getattr(room, name) for name in RESOURCES]
            ),
            LinearConstraint(even, -np.inf, 0),
        ],
        options={"mip_rel_gap": 1e-3},
    )
    if result.x is None:
        assert result.status == 2, f"the solver gave up: {result.message}"  # 2 is infeasible
        return None
    return [some[int(np.argmax(result.x[start[n] : start[n + 1]]))] for n, some in enumerate(fast)]


def _even(areas: np.ndarray, board: Board) -> tuple[np.ndarray, csr_array]:
    """Weights in the objective of every variable, and the rows, at most 0, that they need.

    After the variables of ``areas`` (resources, variables) come t of every k, and for each k what
    the share of every resource is above it.
    """
    have = [n for n, name in enumerate(RESOURCES) if getattr(board, name)]
    shares = areas[have] / [[getattr(board, RESOURCES[n])] for n in have]
    shares *= [[WORTH.get(RESOURCES[n], 1)] for n in have]
    shares *= 100 / max(shares.max(initial=0), 1e-12)  # far from the solver's tolerance
    count, kept = len(have), WEIGHTS[: len(have)]
    steps = -np.diff([*kept, 0])
    above = -np.kron(np.eye(count), np.ones((count, 1)))
    rows = np.hstack([np.tile(shares, (count, 1)), above, -np.eye(count * count)])
    weights = np.r_[
        np.zeros(areas.shape[1]), steps * np.arange(1, count + 1), np.repeat(steps, count)
    ]
    return weights, csr_array(rows)


def _wider(rows, extra: int) -> csr_array:
    """``rows`` with as many columns of zeros more."""
    return csr_array(hstack([csr_array(rows), csr_array((rows.shape[0], extra))]))


def _entries(
    number: int, fast: Sequence[Sequence[Candidate]], edges: Sequence[Edge]
) -> list[Candidate]:
    """The ways in which the readers of op ``number`` take it."""
    ways = {
        candidate.spec.inputs[port] for a, b, port in edges if a == number for candidate in fast[b]
    }
    ordered = sorted(ways, key=lambda beats: (beats.pixels, beats.lanes))
    return [Candidate(Entry(beats), beats.count, Area(), 0.0) for beats in ordered]


def _shortlist(some: Sequence[Candidate], board: Board) -> list[Candidate]:
    """The cheapest few overall, in each resource, and for each order of the values at the ends."""
    kept: dict[int, Candidate] = {}

    def keep(group: Sequence[Candidate], key, count: int) -> None:
        for candidate in sorted(group, key=key)[:count]:
            kept[id(candidate)] = candidate

    keep(some, lambda c: c.cost, MOST)
    for name in ("dsp", "lut", "bram"):
        keep(some, lambda c, name=name: (getattr(c.area, name), c.cost), MOST // 4)
    keep(some, lambda c: c.cost + 10 * c.area.lut / board.lut, MOST // 2)
    orders: dict[tuple[int, ...], list[Candidate]] = {}
    for candidate in some:
        orders.setdefault(order_of(candidate.spec), []).append(candidate)
    for group in orders.values():
        keep(group, lambda c: c.cost, MOST // 4)
    return list(kept.values())
