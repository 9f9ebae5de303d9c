"""Network and board to plan: the cheapest engines that reach a target, or the fastest that fit."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hwgen.board import Board, board_names, load_board
from hwgen.cost import Area, area, total
from hwgen.errors import Problem, UserError
from hwgen.manifest import identifier
from hwgen.network import Input, Network, Node
from hwgen.plan.candidates import Candidate, candidates
from hwgen.plan.choose import RESOURCES, Edge, choose
from hwgen.plan.pipeline import Stage, assemble, needed_depths, play_stages, with_fifos
from hwgen.plan.value import Plan

__all__ = ["plan"]

#: Part of a board's LUTs that a plan may use: routers seldom succeed far above it.
USABLE_LUTS = 0.85

#: Frames played at first, and at the most, to see how a pipeline goes on.
FRAMES, MOST_FRAMES = 4, 256


def plan(
    network: Network,
    board: Board,
    fps: float | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> Plan:
    """The plan for ``network`` on ``board``.

    With ``fps``, the cheapest that makes so many frames a second at the board's clock; without, the
    fastest that fits, and of those the cheapest. UserError when nothing fits, with what is lacking,
    or when ``fps`` is out of reach, with the best that is in reach.
    """
    nodes = [node for node in network if not isinstance(node.op, Input)]
    edges = _edges(network, nodes)
    options = []
    for node in nodes:
        progress(f"engines for {node.name}")
        options.append(candidates(node.op, board))
    room = Area(*(getattr(_usable(board), name) for name in RESOURCES))
    while True:
        progress("choosing engines")
        chosen, limit = _choose(options, edges, board, room, fps, nodes)
        progress("sizing FIFOs")
        made = _assemble(network, board, nodes, options, chosen, limit, fps)
        excess = made.area.excess(_usable(board))
        if not excess:
            return made
        # Plumbing that the solver did not see: leave it room and choose again.
        room = Area(*(getattr(room, r) - excess.get(r, 0) for r in RESOURCES))


def _edges(network: Network, nodes: Sequence[Node]) -> list[Edge]:
    """What reads what, by number; UserError if there is more than one output."""
    if len(network.outputs) != 1:
        raise UserError(
            Problem(None, f"the network has {len(network.outputs)} outputs", "give one with one")
        )
    number = {node.name: n for n, node in enumerate(nodes)}
    return [
        (number[name], n, port)
        for n, node in enumerate(nodes)
        for port, name in enumerate(node.inputs)
        if name in number
    ]


def _choose(
    options: Sequence[Sequence[Candidate]],
    edges: Sequence[Edge],
    board: Board,
    room: Area,
    fps: float | None,
    nodes: Sequence[Node],
) -> tuple[list[Candidate], int]:
    """The engines, and the cycles a frame within which all of them are."""
    limits = sorted({c.interval for some in options for c in some})
    slowest = max(some[-1].interval for some in options)
    if fps is not None:
        asked = int(board.clock_mhz * 1e6 / fps)
        chosen = choose(options, edges, board, room, asked)
        if chosen:
            return chosen, asked
    # A smaller limit never fits better, so the fastest that fits is found by bisection.
    best, low, high = None, -1, len(limits) - 1
    while high - low > 1 or best is None:
        middle = high if best is None else (low + high) // 2
        chosen = choose(options, edges, board, room, limits[middle])
        if chosen:
            best, high = chosen, middle
        elif best is None:
            raise _too_big(options, edges, board, room, slowest, nodes)
        else:
            low = middle
    if fps is not None:
        reach = board.clock_mhz * 1e6 / limits[high]
        raise UserError(
            Problem(
                None,
                f"{fps:g} frames/s at {board.clock_mhz:g} MHz are out of reach on {board.name}",
                f"the best in reach is {reach:.0f} frames/s: give --fps {int(reach)} or less, "
                "fewer bits, or a larger board",
            )
        )
    return best, limits[high]


def _too_big(options, edges, board: Board, room: Area, slowest: int, nodes) -> UserError:
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
    larger = [name for name in board_names() if _holds(load_board(name), smallest)]
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
    return not used.excess(_usable(board))


def _usable(board: Board) -> Board:
    """The part of a board that a plan may take."""
    return replace(board, lut=int(board.lut * USABLE_LUTS))


def _assemble(
    network: Network,
    board: Board,
    nodes: Sequence[Node],
    options: Sequence[Sequence[Candidate]],
    chosen: Sequence[Candidate],
    limit: int,
    fps: float | None,
) -> Plan:
    """The plan with these engines: converters and FIFOs put in, and played."""
    engines = {
        node.name: Stage(
            identifier(node.name), pick.spec, node.name, node.name, _reason(pick, some, limit)
        )
        for node, pick, some in zip(nodes, chosen, options, strict=True)
    }
    bare = assemble(network, engines)
    frames = FRAMES
    while True:
        depths = needed_depths(bare, frames)
        seen = play_stages(with_fifos(bare, depths), frames).interval
        played = play_stages(with_fifos(bare, depths), MOST_FRAMES, until_steady=True)
        if played.interval == seen or frames >= MOST_FRAMES:
            break
        frames *= 2  # the beginning told too little of how it goes on
    stages = with_fifos(bare, depths, played.interval)
    stages = [replace(s, area=area(s.spec.primitives(), board.family)) for s in stages]
    return Plan(
        board=board,
        fps_asked=fps,
        stages=tuple(stages),
        latency=played.latency,
        interval=played.interval,
        multiply_adds=sum(getattr(node.op, "macs", 0) for node in nodes),
    )


def _reason(pick: Candidate, some: Sequence[Candidate], limit: int) -> str:
    """Why this engine: what it had to reach, and what the neighbours would take."""
    slower = [c for c in some if c.interval <= limit and c.interval > pick.interval]
    faster = [c for c in some if c.interval < pick.interval]
    text = f"{pick.interval} cycles a frame, where at most {limit} are wanted"
    if pick.interval == limit and faster:
        text += f"; the next faster, {faster[-1].interval} cycles, takes {_more(pick, faster[-1])}"
    elif not slower:
        text += "; the slowest that is fast enough"
    else:
        text += "; the cheapest with its neighbours' streams"
    return text


def _more(pick: Candidate, other: Candidate) -> str:
    differences = {
        name: getattr(other.area, name) - getattr(pick.area, name)
        for name in ("dsp", "lut", "bram")
    }
    return ", ".join(f"{count:+d} {name.upper()}" for name, count in differences.items() if count)
