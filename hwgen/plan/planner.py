"""Network and board to plan: the cheapest engines that reach a target, or the fastest that fit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from hwgen.board import Board, board_names, load_board
from hwgen.cost import Area, area, total
from hwgen.errors import Problem, UserError, refuse
from hwgen.network import Input, Network, Node
from hwgen.plan.candidates import Candidate, Entry, candidates
from hwgen.plan.choose import RESOURCES, Edge, choose
from hwgen.plan.engines import Engines, allowed, differences, reason_for
from hwgen.plan.engines import check as check_engines
from hwgen.plan.pipeline import Stage, assemble, needed_depths, steady, unique, with_fifos
from hwgen.plan.value import Plan

__all__ = ["plan"]

#: Part of a board's LUTs that a plan may use: routers seldom succeed far above it.
USABLE_LUTS = 0.85


def plan(
    network: Network,
    board: Board,
    fps: float | None = None,
    progress: Callable[[str], None] = lambda what: None,
    engines: Engines = "auto",
) -> Plan:
    """The plan for ``network`` on ``board``.

    ``engines`` asks for an engine of each layer (``engines.NAMES``), by name or for all of them.
    With ``fps``, the cheapest that makes so many frames a second at the board's clock; without, the
    fastest that fits, and of those the cheapest. UserError when nothing fits, with what is lacking,
    or when ``fps`` is out of reach, with the best that is in reach.
    """
    _check(network)
    check_engines(engines, network)
    readers = [name for node in network for name in node.inputs]
    nodes = [n for n in network if not isinstance(n.op, Input) or readers.count(n.name) > 1]
    edges = _edges(nodes)
    options: list[list[Candidate]] = []
    for node in nodes:
        progress(f"engines for {node.name}")
        wanted = partial(allowed, engines, node.name, node.op)
        options.append([] if isinstance(node.op, Input) else candidates(node.op, board, wanted))
    refuse(
        Problem(
            node.name,
            "needs weights in block RAM or LUTs, of which a configuration of "
            f"{board.name} fills {' and '.join(board.initialised) or 'neither'}",
            "a board whose memories can be initialised",
        )
        for node, some in zip(nodes, options, strict=True)
        if not some and not isinstance(node.op, Input)
    )
    room = Area(*(getattr(_usable(board), name) for name in RESOURCES))
    asked = int(board.clock_mhz * 1e6 / fps) if fps is not None else None
    limit = asked
    while True:
        progress("choosing engines")
        chosen, reached = _choose(options, edges, board, room, limit, fps, nodes)
        progress("sizing FIFOs")
        made = _assemble(network, board, nodes, options, chosen, reached, fps, engines)
        excess = made.area.excess(_usable(board))
        if excess:
            # Plumbing that the solver did not see: leave it room and choose again.
            room = Area(*(getattr(room, r) - excess.get(r, 0) for r in RESOURCES))
        elif asked is not None and made.interval > asked:
            # Together they are slower than each alone, even with all the room between them.
            limit = max(candidate.interval for candidate in chosen) - 1
        else:
            return made


def _check(network: Network) -> None:
    """UserError unless there is one input, one output, and something in between that all serves."""
    problems = []
    entries = sum(isinstance(node.op, Input) for node in network)
    for count, what in ((entries, "inputs"), (len(network.outputs), "outputs")):
        if count != 1:
            problems.append(Problem(None, f"the network has {count} {what}", "give one with one"))
    read = {name for node in network for name in node.inputs} | set(network.outputs)
    for node in network:
        if node.name not in read:
            problems.append(Problem(node.name, "nothing reads it", "leave it out"))
    if len(network) == entries:
        problems.append(Problem(None, "the network has no layers", "give one with some"))
    refuse(problems)


def _edges(nodes: Sequence[Node]) -> list[Edge]:
    """What reads what, by number."""
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
    asked: int | None,
    fps: float | None,
    nodes: Sequence[Node],
) -> tuple[list[Candidate], int]:
    """The engines, and the cycles a frame within which all of them are."""
    limits = sorted({c.interval for some in options for c in some})
    slowest = max(some[-1].interval for some in options if some)
    if asked is not None:
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
    asked: Engines,
) -> Plan:
    """The plan with these engines: converters and FIFOs put in, and played."""
    used: set[str] = set()
    engines, entry = {}, None
    for node, pick, some in zip(nodes, chosen, options, strict=True):
        if isinstance(pick.spec, Entry):
            entry = pick.spec.beats
        else:
            name = unique(node.name, used)
            reason = _reason(pick, some, limit) + reason_for(pick, some, limit, asked, node)
            engines[node.name] = Stage(name, pick.spec, node.name, node.name, reason)
    bare = assemble(network, engines, entry)
    depths = needed_depths(bare)
    played = steady(with_fifos(bare, depths))
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
        more = differences(pick.area, faster[-1].area)
        text += f"; the next faster, {faster[-1].interval} cycles, takes {more}"
    elif not slower:
        text += "; the slowest that is fast enough"
    else:
        text += "; the cheapest with its neighbours' streams"
    return text
