"""What a plan may take of a board, and what is said where that is not enough."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import ceil

from hwgen.board import Board, board_names, load_board
from hwgen.cost import Area, area, features, total
from hwgen.errors import Problem, UserError
from hwgen.network import Input, Network
from hwgen.plan.candidates import Candidate, Entry, Exit
from hwgen.plan.choose import Edge, choose
from hwgen.plan.pipeline import Stage
from hwgen.rtl_templates import Spec

__all__ = ["excess", "out_of_reach", "problems", "too_big", "usable"]

#: Part of a board's LUTs that a plan may use: routers seldom succeed far above it.
USABLE_LUTS = 0.85

#: Part of a board's cells of LUT memory that a plan may use. nextpnr found no places for 209 of the
#: 270 of a GW1NR-9, each of which takes a slice whole.
USABLE_LUTRAM = 0.5

#: LUTs that a cell of LUT memory stands in place of.
CELL_LUTS = 4


def excess(stages: Sequence[Stage], board: Board) -> dict[str, int]:
    """By how much each resource of ``board`` falls short; cells of LUT memory count as LUTs."""
    short = total(stage.area for stage in stages).excess(usable(board))
    cells, most = _cells((stage.spec for stage in stages), board)
    if cells > most:
        short["lut"] = max(short.get("lut", 0), CELL_LUTS * (cells - most))
    return short


def _cells(specs: Iterable[Spec | Entry | Exit], board: Board) -> tuple[int, int]:
    """Cells of LUT memory, and how many may be used; none of either where there is no limit."""
    if board.lutram is None:
        return 0, 0
    cells = sum(features(spec.primitives(), board.family)["cell"] for spec in specs)
    return ceil(cells), int(USABLE_LUTRAM * board.lutram)


def usable(board: Board) -> Board:
    """The part of a board that a plan may take."""
    return replace(board, lut=int(board.lut * USABLE_LUTS))


def problems(network: Network, widest: int | None) -> Iterator[Problem]:
    """What is no accelerator: nothing between input and output, or ports narrower than a value."""
    read = {name for node in network for name in node.inputs} | set(network.outputs)
    for node in network:
        if node.name not in read:
            yield Problem(node.name, "nothing reads it", "leave it out")
        if isinstance(node.op, Input) and node.name in network.outputs:
            yield Problem(node.name, "the network returns what it is given", "leave it out")
    if len(network) == len(network.inputs):
        yield Problem(None, "the network has no layers", "give one with some")
    if widest is None:
        return
    if widest < 8:
        reason = f"ports of at most {widest} bits are too narrow"
        yield Problem(None, reason, "give --max-port-width 8 or more")
        return
    for name in dict.fromkeys((*(node.name for node in network.inputs), *network.outputs)):
        bits = network[name].type.bits
        if bits > widest // 8 * 8:
            reason = f"one value takes {bits} bits, and a port may have {widest}"
            yield Problem(name, reason, f"give --max-port-width {-(-bits // 8) * 8} or more")


def out_of_reach(fps: float | None, board: Board, interval: float) -> UserError:
    """Names the rate of the best plan that was made, rounded down."""
    reach = board.clock_mhz * 1e6 / interval
    rate = int(reach) if reach >= 100 else int(reach * 1000) / 1000
    return UserError(
        Problem(
            None,
            f"{fps:g} frames/s at {board.clock_mhz:g} MHz are out of reach on {board.name}",
            f"the best in reach is {rate:.12g} frames/s: give --fps {rate:.12g} or less, "
            "fewer bits, or a larger board",
        )
    )


def too_big(
    options: Sequence[Sequence[Candidate]],
    edges: Sequence[Edge],
    board: Board,
    slowest: int,
    names: Sequence[str],
    tried: Sequence[Stage],
) -> UserError:
    """What is lacking when not even the smallest engines fit, each for the layer in ``names``; or,
    where they do, with the plumbing of the last plan ``tried``."""
    endless = Area(*[1 << 40] * 4)
    smallest = choose(options, edges, board, endless, slowest)
    assert smallest is not None, "without a limit there is always a choice"
    specs = [candidate.spec for candidate in smallest]
    if not (lacking := _lacking(specs, board)):
        specs = [stage.spec for stage in tried] or specs
        # Converters, which are chosen with engines, may alone be too much.
        lacking = _lacking(specs, board) or ["more than there is between its layers"]
    most = max(range(len(smallest)), key=lambda n: smallest[n].cost)
    others = [name for name in board_names() if name != board.name]
    larger = [name for name in others if not _lacking(specs, load_board(name))]
    return UserError(
        Problem(
            None,
            f"the network does not fit {board.name}: its smallest plan needs {', '.join(lacking)}; "
            f"{names[most]} takes most",
            "use fewer bits or channels"
            + (f", or a board that holds it: {', '.join(larger)}" if larger else ""),
        )
    )


def _lacking(specs: Sequence[Spec | Entry | Exit], board: Board) -> list[str]:
    """What ``specs`` need of each resource of which ``board`` has too little for them."""
    used, there = total(area(spec.primitives(), board.family) for spec in specs), usable(board)
    found = []
    for name, over in used.excess(there).items():
        needs, may, what = getattr(used, name), getattr(there, name), name.upper()
        if needs <= may:  # of cells, there is one for each flip-flop
            needs, may, what = there.ff + over, there.ff, "logic cells for LUTs and flip-flops"
        found.append(f"{needs:,} {what} where {may:,} may be used")
    cells, may = _cells(specs, board)
    if cells > may:
        found.append(f"{cells:,} cells of LUT memory where {may:,} may be used")
    return found
