"""The integer network: an immutable, topologically ordered list of named nodes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.network.ops import Input, Op
from hwgen.network.types import TensorType

__all__ = ["Frames", "Network", "Node", "output_names"]

#: Integers that enter a network: by the name of each input, or bare where there is but one.
Frames = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Node:
    """One op in its place: the user's own layer name, and where its inputs come from."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    type: TensorType


@dataclass(frozen=True)
class Network:
    """Nodes in single-assignment form; a node reads only nodes before it.

    ``outputs`` are the nodes whose integers leave, one of them perhaps twice, and ``output_names``
    what each is called at the edge: ``output`` where there is one, else by default the layer's
    name. ``notes`` holds what the user should know of how the integers came about (the input's
    quantisation, the bits asked for); nothing that computes reads it.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    notes: tuple[tuple[str, str], ...] = ()
    output_names: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.output_names:
            object.__setattr__(self, "output_names", output_names(self.outputs))
        problems = list(_problems(self))
        if problems:
            raise ValueError("this is no network: " + "; ".join(problems))

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The input nodes, in order."""
        return tuple(node for node in self.nodes if isinstance(node.op, Input))

    @property
    def input(self) -> Node:
        """The input node of a network that has one; ValueError if it has several."""
        (node,) = self.inputs
        return node

    @property
    def output(self) -> Node:
        """The node whose integers leave a network of one output; ValueError if it has several."""
        (name,) = self.outputs
        return self[name]

    def given(self, frames: Frames) -> dict[str, np.ndarray]:
        """``frames``, each (N, *shape), by input; ValueError if they are others than it takes, or
        more of one than of another."""
        names = [node.name for node in self.inputs]
        if not isinstance(frames, Mapping):
            if len(names) > 1:
                raise ValueError(f"it takes {', '.join(names)}, and was given one array")
            return {names[0]: np.asarray(frames)}
        if frames.keys() != set(names):
            raise ValueError(
                f"it takes {', '.join(names)}, and was given {', '.join(frames) or 'nothing'}"
            )
        found = {name: np.asarray(frames[name]) for name in names}
        if len({len(array) for array in found.values()}) > 1:
            counts = ", ".join(f"{len(array)} of {name}" for name, array in found.items())
            raise ValueError(f"it was given {counts}: as many of each are needed")
        return found

    def trace(self, frames: Frames) -> dict[str, np.ndarray]:
        """Golden tensor of every node for ``frames``, (N, *shape) of each input."""
        tensors: dict[str, np.ndarray] = {}
        entering = self.given(frames)
        for node in self.nodes:
            given = [tensors[name] for name in node.inputs] or [entering[node.name]]
            tensors[node.name] = node.op.compute(*given)
        return tensors

    def results(self, frames: Frames, batch: int = 250) -> dict[str, np.ndarray]:
        """Golden outputs by ``output_names``, a batch at a time, so that memory stays small."""
        entering = self.given(frames)
        count = len(next(iter(entering.values())))
        parts: dict[str, list[np.ndarray]] = {
            name: [np.empty((0, *self[node].type.shape), np.int32)]
            for name, node in zip(self.output_names, self.outputs, strict=True)
        }
        for start in range(0, count, batch):
            some = {name: array[start : start + batch] for name, array in entering.items()}
            tensors = self.trace(some)
            for name, node in zip(self.output_names, self.outputs, strict=True):
                parts[name].append(tensors[node])
        return {name: np.concatenate(made[1:] or made) for name, made in parts.items()}

    def compute(self, frames: Frames, batch: int = 250) -> np.ndarray:
        """Golden output of a network that has one."""
        (made,) = self.results(frames, batch).values()
        return made


def output_names(outputs: Sequence[str]) -> tuple[str, ...]:
    """What outputs are called that the user gave no names: by their layers, each name once."""
    if len(outputs) == 1:
        return ("output",)
    layers = [node.removesuffix(".requantise") for node in outputs]
    made: list[str] = []
    for layer in layers:
        name, count = layer, 1
        while name in made or (count > 1 and name in layers):
            count += 1
            name = f"{layer}_{count}"
        made.append(name)
    return tuple(made)


def _problems(network: Network) -> Iterator[str]:
    seen: dict[str, Node] = {}
    for node in network.nodes:
        if node.name in seen:
            yield f"two nodes are called {node.name!r}"
        missing = [name for name in node.inputs if name not in seen]
        if missing:
            yield f"{node.name} reads {', '.join(missing)}, which no earlier node makes"
        else:
            given = tuple(seen[name].type.integers for name in node.inputs)
            if given != tuple(source.integers for source in node.op.inputs):
                yield f"{node.name} was made for other inputs than it is given"
        if node.type.integers != node.op.output.integers:
            yield f"{node.name} is declared {node.type}, but its op makes {node.op.output}"
        seen[node.name] = node
    if not any(isinstance(node.op, Input) for node in network.nodes):
        yield "it has no input"
    for name in network.outputs:
        if name not in seen:
            yield f"its output {name!r} is no node"
    if not network.outputs:
        yield "it has no output"
    if len(set(network.output_names)) != len(network.outputs):
        yield f"{len(network.outputs)} outputs are called {', '.join(network.output_names)}"
