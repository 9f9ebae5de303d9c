"""What a plan may take of a board, and what is said where that is not enough."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

from hwgen.board import Board, board_names, load_board
from hwgen.cost import Area, area, features, total
from hwgen.errors import Problem, UserError
from hwgen.network import Input, Network
from hwgen.plan.candidates import Candidate
from hwgen.plan.choose import RESOURCES, choose
from hwgen.plan.pipeline import Stage

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
    if board.lutram is not None:
        cells = sum(features(s.spec.primitives(), board.family)["cell"] for s in stages)
        over = ceil(cells - USABLE_LUTRAM * board.lutram)
        if over > 0:
            short["lut"] = max(short.get("lut", 0), CELL_LUTS * over)
    return short


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


def too_big(options, edges, board: Board, room: Area, slowest: int, nodes) -> UserError:
    """What is lacking when not even the smallest engines fit."""
    endless = Area(*[1 << 40] * 4)
    smallest = choose(options, edges, board, endless, slowest)
    assert smallest is not None, "without a limit there is always a choice"
    used = total(candidate.area for candidate in smallest)
    lacking = [
        f"{getattr(used, name):,} {name.upper()} where {getattr(room, name):,} may be used"
        for name in RESOURCES
        if getattr(used, name) > getattr(room, name)
    ]
    most = max(range(len(smallest)), key=lambda n: smallest[n].cost)
    others = [name for name in board_names() if name != board.name]
    larger = [name for name in others if _holds(load_board(name), smallest)]
    return UserError(
        Problem(
            None,
            f"the network does not fit {board.name}: its smallest plan needs {', '.join(lacking)}; "
            f"{nodes[most].name} takes most",
            "use fewer bits or channels"
            + (f", or a board that holds it: {', '.join(larger)}" if larger else ""),
        )
    )


def _holds(board: Board, smallest: Sequence[Candidate]) -> bool:
    """Whether these engines fit another board."""
    used = total(area(candidate.spec.primitives(), board.family) for candidate in smallest)
    return not used.excess(usable(board))
