"""Network and board to plan: the cheapest engines that reach a target, or the fastest that fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from hwgen.board import Board
from hwgen.cost import Area, area, total
from hwgen.errors import refuse
from hwgen.network import Input, Network, Node, TensorType
from hwgen.network.graph import Frames
from hwgen.plan import limits
from hwgen.plan.candidates import Candidate, Entry, Exit, candidates, ports
from hwgen.plan.choose import RESOURCES, Edge, choose
from hwgen.plan.depths import needed_depths, reason
from hwgen.plan.engines import Engines, allowed, differences, no_engine, reason_for
from hwgen.plan.engines import check as check_engines
from hwgen.plan.pipeline import Stage, assemble, outputs_of, unique, with_fifos
from hwgen.plan.rate import decided, play_stages, timing
from hwgen.plan.value import OnData, Plan

__all__ = ["plan"]


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
    refuse(limits.problems(network, max_port_width))
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
    room = Area(*(getattr(limits.usable(board), name) for name in RESOURCES))
    asked = board.clock_mhz * 1e6 / fps if fps is not None else None
    limit, best = None if asked is None else int(asked), None
    tried: Sequence[Stage] = ()
    while True:
        progress("choosing engines")
        chosen, reached = _choose(options, edges, board, room, limit, nodes, tried)
        bare = _connect(network, nodes, options, chosen, reached, engines)
        # Plumbing and cells that the solver did not see: leave them room and choose again.
        measured = _measured(bare, board)
        used, short = total(s.area for s in measured), limits.excess(measured, board)
        if not short:
            progress("sizing FIFOs")
            made = replace(_sized(network, board, bare, fps), max_port_width=max_port_width)
            made = replace(made, data=_on_data(network, made.stages, frames))
            measured = list(made.stages)
            used, short = made.area, limits.excess(measured, board)
        if short:
            tried = measured
            room = _less(room, used, short)
            continue
        if asked is None or made.expected <= asked:
            return made
        best = min(made.expected, best or made.expected)
        assert limit is not None
        if reached > limit:
            raise limits.out_of_reach(fps, board, best)
        # Together they are slower than each alone, even with all the room between them.
        slowest = max(candidate.interval for candidate in chosen)
        limit = min(int(limit * asked / made.expected), slowest - 1)


def _less(room: Area, used: Area, short: Mapping[str, int]) -> Area:
    """``room`` without what falls ``short`` of each resource, of which ``used`` is what counts."""
    least = {name: min(getattr(room, name), getattr(used, name)) for name in short}
    return replace(room, **{name: least[name] - short[name] for name in short})


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
    tried: Sequence[Stage],
) -> tuple[list[Candidate], int]:
    """The engines, and the cycles a frame within which all of them are: more than ``asked`` where
    that is out of reach. ``tried`` is what was chosen before and took too much, if anything."""
    intervals = sorted({c.interval for some in options for c in some})
    slowest = max(some[-1].interval for some in options if some)
    if asked is not None:
        chosen = choose(options, edges, board, room, asked)
        if chosen:
            return chosen, asked
    # A smaller limit never fits better, so the fastest that fits is found by bisection.
    best, low, high = None, -1, len(intervals) - 1
    while high - low > 1 or best is None:
        middle = high if best is None else (low + high) // 2
        chosen = choose(options, edges, board, room, intervals[middle])
        if chosen:
            best, high = chosen, middle
        elif best is None:
            raise limits.too_big(
                options, edges, board, slowest, [node.name for node in nodes], tried
            )
        else:
            low = middle
    return best, intervals[high]


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
    latency, interval = timing(with_fifos(bare, depths))
    stages = _measured(with_fifos(bare, depths, reason(bare, interval)), board)
    return Plan(
        board=board,
        fps_asked=fps,
        stages=tuple(stages),
        latency=latency,
        interval=interval,
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
