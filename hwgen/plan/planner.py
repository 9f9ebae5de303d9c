"""Network and board to plan: the cheapest engines that reach a target, or the fastest that fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import ceil

from hwgen.board import Board, board_names, load_board
from hwgen.cost import Area, area, features, total
from hwgen.errors import Problem, UserError, refuse
from hwgen.network import Input, Network, Node, TensorType
from hwgen.network.graph import Frames
from hwgen.plan.candidates import Candidate, Entry, Exit, candidates, ports
from hwgen.plan.choose import RESOURCES, Edge, choose
from hwgen.plan.depths import needed_depths
from hwgen.plan.engines import Engines, allowed, differences, no_engine, reason_for
from hwgen.plan.engines import check as check_engines
from hwgen.plan.pipeline import (
    Stage,
    assemble,
    decided,
    outputs_of,
    play_stages,
    steady,
    unique,
    with_fifos,
)
from hwgen.plan.value import OnData, Plan

__all__ = ["plan"]

#: Part of a board's LUTs that a plan may use: routers seldom succeed far above it.
USABLE_LUTS = 0.85

#: Part of a board's cells of LUT memory that a plan may use. nextpnr found no places for 209 of the
#: 270 of a GW1NR-9, each of which takes a slice whole.
USABLE_LUTRAM = 0.5

#: LUTs that a cell of LUT memory stands in place of.
CELL_LUTS = 4


@dataclass(frozen=True)
class Leaving:
    """An output of the network: a reader of ``inputs`` that is no node."""

    name: str
    inputs: tuple[str]
    type: TensorType


def plan(
    network: Network,
    board: Board,
    fps: float | None = None,
    progress: Callable[[str], None] = lambda what: None,
    engines: Engines = "auto",
    max_port_width: int | None = None,
    frames: Frames | None = None,
) -> Plan:
    """The plan for ``network`` on ``board``.

    ``engines`` asks for an engine of each layer (``engines.NAMES``), by name or for all of them.
    With ``fps``, the cheapest that makes so many frames a second at the board's clock; without, the
    fastest that fits, and of those the cheapest. Where data decides how long a frame takes, that is
    the mean over ``frames``, two real ones or more, as integers; without them, the worst.

    ``tdata`` of a port at the edge has at most ``max_port_width`` bits, or else as many as the
    engine there likes best. UserError when nothing fits, with what is lacking, or when ``fps`` is
    out of reach, with the best that is in reach.
    """
    refuse(_problems(network, max_port_width))
    check_engines(engines, network)
    readers = [name for node in network for name in node.inputs]
    nodes: list[Node | Leaving] = [
        node
        for node in network
        if max_port_width or not isinstance(node.op, Input) or readers.count(node.name) > 1
    ]
    if max_port_width:
        for name, source in zip(network.output_names, network.outputs, strict=True):
            # A space is in no name that the user's layers have.
            nodes.append(Leaving(f"output {name}", (source,), network[source].op.output))
    edges = _edges(nodes)
    options: list[list[Candidate]] = []
    for node in nodes:
        progress(f"engines for {node.name}")
        if isinstance(node, Leaving):
            options.append(ports(Exit, node.type, max_port_width or 0))
        elif isinstance(node.op, Input):
            options.append(ports(Entry, node.op.type, max_port_width) if max_port_width else [])
        else:
            wanted = partial(allowed, engines, node.name, node.op)
            options.append(candidates(node.op, board, wanted))
    refuse(
        no_engine(node, board, engines)
        for node, some in zip(nodes, options, strict=True)
        if not some and isinstance(node, Node) and not isinstance(node.op, Input)
    )
    room = Area(*(getattr(_usable(board), name) for name in RESOURCES))
    asked = board.clock_mhz * 1e6 / fps if fps is not None else None
    limit, best = None if asked is None else int(asked), None
    while True:
        progress("choosing engines")
        chosen, reached = _choose(options, edges, board, room, limit, nodes)
        bare = _connect(network, nodes, options, chosen, reached, engines)
        # Plumbing and cells that the solver did not see: leave them room and choose again.
        measured = _measured(bare, board)
        used = total(s.area for s in measured)
        excess = _excess(measured, board)
        if not excess:
            progress("sizing FIFOs")
            made = replace(_sized(network, board, bare, fps), max_port_width=max_port_width)
            made = replace(made, data=_on_data(network, made.stages, frames))
            used = made.area
            excess = _excess(made.stages, board)
        if excess:
            limits = ((min(getattr(room, r), getattr(used, r)), r) for r in RESOURCES)
            left = (n - excess[r] if r in excess else getattr(room, r) for n, r in limits)
            room = Area(*left)
            continue
        if asked is None or made.expected <= asked:
            return made
        best = min(made.expected, best or made.expected)
        assert limit is not None
        if reached > limit:
            raise _out_of_reach(fps, board, best)
        # Together they are slower than each alone, even with all the room between them.
        slowest = max(candidate.interval for candidate in chosen)
        limit = min(int(limit * asked / made.expected), slowest - 1)


def _out_of_reach(fps: float | None, board: Board, interval: float) -> UserError:
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


def _problems(network: Network, widest: int | None) -> Iterator[Problem]:
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


def _edges(nodes: Sequence[Node | Leaving]) -> list[Edge]:
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
    nodes: Sequence[Node | Leaving],
) -> tuple[list[Candidate], int]:
    """The engines, and the cycles a frame within which all of them are: more than ``asked`` where
    that is out of reach."""
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


def _excess(stages: Sequence[Stage], board: Board) -> dict[str, int]:
    """By how much each resource of ``board`` falls short; cells of LUT memory count as LUTs."""
    excess = total(stage.area for stage in stages).excess(_usable(board))
    if board.lutram is not None:
        cells = sum(features(s.spec.primitives(), board.family)["cell"] for s in stages)
        over = ceil(cells - USABLE_LUTRAM * board.lutram)
        if over > 0:
            excess["lut"] = max(excess.get("lut", 0), CELL_LUTS * over)
    return excess


def _connect(
    network: Network,
    nodes: Sequence[Node | Leaving],
    options: Sequence[Sequence[Candidate]],
    chosen: Sequence[Candidate],
    limit: int,
    asked: Engines,
) -> list[Stage]:
    """These engines, with converters and forks between them."""
    used: set[str] = set()
    engines, entries, exits = {}, {}, {}
    for node, pick, some in zip(nodes, chosen, options, strict=True):
        if isinstance(pick.spec, Entry):
            entries[node.name] = pick.spec.beats
        elif isinstance(pick.spec, Exit):
            exits[node.name.removeprefix("output ")] = pick.spec.beats
        else:
            assert isinstance(node, Node), "only an output of the network is none"
            name = unique(node.name, used)
            reason = _reason(pick, some, limit) + reason_for(pick, some, limit, asked, node)
            engines[node.name] = Stage(name, pick.spec, node.name, node.name, reason)
    return assemble(network, engines, entries, exits)


def _measured(stages: Sequence[Stage], board: Board) -> list[Stage]:
    """``stages`` with their areas."""
    return [replace(s, area=area(s.spec.primitives(), board.family)) for s in stages]


def _sized(network: Network, board: Board, bare: Sequence[Stage], fps: float | None) -> Plan:
    """The plan of these stages: FIFOs put in, and played."""
    depths = needed_depths(bare)
    played = steady(with_fifos(bare, depths))
    stages = _measured(with_fifos(bare, depths, played.interval), board)
    return Plan(
        board=board,
        fps_asked=fps,
        stages=tuple(stages),
        latency=played.latency,
        interval=played.interval,
        multiply_adds=sum(getattr(node.op, "macs", 0) for node in network),
        outputs=outputs_of(network, stages) if len(network.outputs) > 1 else (),
    )


def _on_data(network: Network, stages: Sequence[Stage], frames: Frames | None) -> OnData | None:
    """How long ``frames`` take, where data decides that."""
    data = decided(stages, network, frames) if frames is not None else None
    if data is None:
        return None
    count = len(next(iter(data.values())))
    ends = play_stages(stages, count, data=data).ends
    gaps = [b - a for a, b in pairwise(ends)]
    return OnData(count, sum(gaps) / len(gaps), max(gaps)) if gaps else None


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
