"""The plan's engines and plumbing, and what feeds what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hwgen.beats import Beats
from hwgen.cost import Area
from hwgen.game import Link
from hwgen.manifest import identifier
from hwgen.network import Input, Network, Node
from hwgen.rtl_templates import ConvertSpec, FifoSpec, ForkSpec, Spec

__all__ = [
    "WORLD",
    "Source",
    "Stage",
    "assemble",
    "fifo_names",
    "input_ports",
    "links",
    "output_ports",
    "outputs_of",
    "outside",
    "unique",
    "with_fifos",
]

#: A stage's output: the stage's name and the port's.
Source = tuple[str, str]

#: The source of the accelerator's own input; of one of several: ``("", its name)``.
WORLD: Source = ("", "")

#: Beats of a FIFO that passes one on in every cycle.
FLOWING = 2


@dataclass(frozen=True)
class Stage:
    """One component of the accelerator.

    ``tensor`` is the node whose integers leave it, ``node`` the same if the stage computes them and
    None if it only moves them. ``sources`` says where each of its inputs comes from.
    """

    name: str
    spec: Spec
    node: str | None
    tensor: str
    reason: str
    sources: tuple[Source, ...] = (WORLD,)
    area: Area = field(default_factory=Area)

    @property
    def interval(self) -> int:
        """Cycles a frame that it takes by itself."""
        return self.spec.schedule().steps


def input_ports(spec: Spec) -> list[str]:
    """Names of a component's inputs: ``i``, or ``i0``, ``i1`` and so on."""
    count = len(spec.inputs)
    return ["i"] if count == 1 else [f"i{n}" for n in range(count)]


def output_ports(spec: Spec) -> list[str]:
    """Names of a component's outputs: ``o``, or ``o0``, ``o1`` and so on."""
    count = len(spec.outputs)
    return ["o"] if count == 1 else [f"o{n}" for n in range(count)]


def outside(network: Network, node: Node) -> Source:
    """The source of an input node."""
    return WORLD if len(network.inputs) == 1 else ("", node.name)


def links(stages: Sequence[Stage]) -> list[Link]:
    """Every stream: from the world, between stages, and, where nobody reads, to the world."""
    made, unread = [], {(s.name, port): None for s in stages for port in output_ports(s.spec)}
    for stage in stages:
        for port, source in zip(input_ports(stage.spec), stage.sources, strict=True):
            made.append(Link(source if source[0] else None, (stage.name, port)))
            unread.pop(source, None)
    return made + [Link(source, None) for source in unread]


def outputs_of(network: Network, stages: Sequence[Stage]) -> tuple[tuple[str, Source], ...]:
    """The name of each of the network's outputs, and the stream that nobody else reads."""
    unread = [link.source for link in links(stages) if link.target is None and link.source]
    found = []
    for name, node in zip(network.output_names, network.outputs, strict=True):
        source = next(source for source in unread if _tensor(stages, source) == node)
        unread.remove(source)
        found.append((name, source))
    return tuple(found)


def unique(name: str, used: set[str]) -> str:
    """``name`` as an identifier that is not among ``used``, to which it is added; files are named
    so too, and some file systems take ``a`` and ``A`` for the same."""
    plain = made = identifier(name)
    count = 1
    while made.lower() in used:
        count += 1
        made = f"{plain}_{count}"
    used.add(made.lower())
    return made


def assemble(
    network: Network,
    engines: Mapping[str, Stage],
    entries: Mapping[str, Beats] | None = None,
    exits: Mapping[str, Beats] | None = None,
) -> list[Stage]:
    """The engines (by node) in the order of the network, with forks where a tensor has several
    readers, width converters where one puts other beats than the next takes, and FIFOs where an
    input meets another tensor: what joins two streams is ready for one when the other is valid, and
    at the accelerator's edge no ``ready`` hangs on a ``valid`` of the same cycle.

    An input comes as ``entries`` says, or else as its first reader takes it; an output leaves, by
    its name, as ``exits`` says, or else as its engine puts it.
    """
    stages: list[Stage] = []
    used = {engine.name.lower() for engine in engines.values()}
    ways: dict[str, list[tuple[Source, Beats]]] = {}

    def offer(tensor: str, source: Source, beats: Beats, readers: int) -> None:
        """Let ``readers`` read what ``source`` puts."""
        ways[tensor] = [(source, beats)]
        if readers > 1:
            name, spec = unique(f"{tensor}_fork", used), ForkSpec(beats, readers)
            stages.append(Stage(name, spec, None, tensor, f"{readers} readers", (source,)))
            ways[tensor] = [((name, port), beats) for port in output_ports(spec)]

    def converted(tensor: str, wanted: Beats, name: str) -> Source:
        """What offers ``tensor`` as ``wanted`` beats: a converter called ``name``, if need be."""
        source, beats = ways[tensor].pop(0)
        if (beats.lanes, beats.pixels) == (wanted.lanes, wanted.pixels):
            return source
        name = unique(name, used)
        reason = (
            f"{beats.pixels} x {beats.lanes} values a beat become {wanted.pixels} x {wanted.lanes}"
        )
        spec = ConvertSpec(beats, wanted)
        stages.append(Stage(name, spec, None, tensor, reason, (source,)))
        return name, "o"

    def entered(tensor: str, source: Source, beats: Beats, name: str) -> Source:
        """``source``; if it is the world, behind a FIFO called ``name``."""
        if source[0]:
            return source
        name = unique(name, used)
        reason = "keeps the edge free of paths from valid to ready"
        stages.append(Stage(name, FifoSpec(beats, FLOWING), None, tensor, reason, (source,)))
        return name, "o"

    readers = {node.name: 0 for node in network}
    for node in network:
        for name in node.inputs:
            readers[name] += 1
    for name in network.outputs:
        readers[name] += 1
    for node in network:
        if isinstance(node.op, Input):
            first = next(n for n in network if node.name in n.inputs)
            beats = engines[first.name].spec.inputs[first.inputs.index(node.name)]
            beats = (entries or {}).get(node.name, beats)
            offer(node.name, outside(network, node), beats, readers[node.name])
            continue
        engine = engines[node.name]
        sources = tuple(
            converted(tensor, wanted, f"{engine.name}_convert{number or ''}")
            for number, (tensor, wanted) in enumerate(
                zip(node.inputs, engine.spec.inputs, strict=True)
            )
        )
        if len(sources) > 1:
            sources = tuple(
                entered(tensor, source, beats, f"{engine.name}_entry{number or ''}")
                for number, (tensor, source, beats) in enumerate(
                    zip(node.inputs, sources, engine.spec.inputs, strict=True)
                )
            )
        stages.append(replace(engine, sources=sources))
        offer(node.name, (engine.name, "o"), engine.spec.outputs[0], readers[node.name])
    for name, tensor in zip(network.output_names, network.outputs, strict=True):
        if exits and name in exits:
            converted(tensor, exits[name], f"{tensor}_leaving")
    return stages


#: An input of a stage: the stage's name, and the number of the input.
Place = tuple[str, int]


def with_fifos(
    stages: Sequence[Stage], depths: Mapping[Place, int], reason: str = ""
) -> list[Stage]:
    """``stages`` with a FIFO of ``depths[place]`` beats before each input; none where it is 0."""
    result: list[Stage] = []
    names = fifo_names(stages)
    for stage in stages:
        sources = list(stage.sources)
        for number, source in enumerate(stage.sources):
            depth = depths.get((stage.name, number), 0)
            if depth:
                name = names[stage.name, number]
                beats = stage.spec.inputs[number]
                tensor = _tensor(stages, source)
                spec = FifoSpec(beats, depth)
                result.append(Stage(name, spec, None, tensor, reason, (source,)))
                sources[number] = (name, "o")
        result.append(replace(stage, sources=tuple(sources)))
    return result


def fifo_names(stages: Sequence[Stage]) -> dict[Place, str]:
    """Name of the FIFO that may stand before each input."""
    used = {stage.name.lower() for stage in stages}
    return {
        (stage.name, number): unique(f"{stage.name}_fifo{number or ''}", used)
        for stage in stages
        for number in range(len(stage.sources))
    }


def _tensor(stages: Sequence[Stage], source: Source) -> str:
    return next(stage.tensor for stage in stages if stage.name == source[0])
