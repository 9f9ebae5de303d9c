"""The integer network: an immutable, topologically ordered list of named nodes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwgen.network.ops import Input, Op
from hwgen.network.types import TensorType

__all__ = ["Network", "Node"]


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

    ``notes`` holds what the user should know of how the integers came about (the input's
    quantisation, the bits asked for); nothing that computes reads it.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    notes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
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
    def input(self) -> Node:
        """The input node."""
        return next(node for node in self.nodes if isinstance(node.op, Input))

    @property
    def output(self) -> Node:
        """The node whose integers leave."""
        return self[self.outputs[0]]

    def trace(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Golden tensor of every node for ``frames`` (N, *input shape)."""
        tensors: dict[str, np.ndarray] = {}
        for node in self.nodes:
            given = [tensors[name] for name in node.inputs] or [frames]
            tensors[node.name] = node.op.compute(*given)
        return tensors

    def compute(self, frames: np.ndarray, batch: int = 250) -> np.ndarray:
        """Golden output for ``frames``, a batch at a time, so that memory stays small."""
        parts = [
            self.trace(frames[start : start + batch])[self.outputs[0]]
            for start in range(0, len(frames), batch)
        ]
        return np.concatenate(parts) if parts else np.empty((0, *self.output.type.shape), np.int32)


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
