"""A torch network as a program: one flat graph of aten calls over its own weights.

Every source (a module, an exported program, a ``.pt2`` file) becomes the same thing, a
``torch.fx.GraphModule`` of ``placeholder``, ``get_attr``, ``call_function`` and ``output`` nodes.
A node's ``meta`` holds ``shape`` (None where a size is not fixed, first of all the batch),
``dtype``, and ``path``: the module that it comes from, and whether that is one of torch's layers.
That of a placeholder holds ``argument``, the name that ``forward`` gives it; that of the output
``keys``, if the network returns a dict, where each tensor stands in it.
"""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import torch
from torch import fx, nn

from hwgen.errors import Problem

__all__ = [
    "ORIGIN",
    "arguments",
    "build",
    "entries",
    "is_layer",
    "is_program",
    "leaving",
    "output_keys",
    "put",
    "set_argument",
    "tensor_of",
    "training_mode",
]

#: Where a program's ``meta`` says who has quantised it, if not hwgen.
ORIGIN = "hwgen_quantised_by"


def build(tensors: Mapping[str, torch.Tensor], graph: fx.Graph) -> fx.GraphModule:
    """A program from its nodes and the tensors that they name."""
    graph.eliminate_dead_code()
    used = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    module = fx.GraphModule({name: tensors[name] for name in sorted(used)}, graph)
    module.meta["hwgen_program"] = True
    return module


def is_program(source: object) -> bool:
    """Whether ``build`` made it."""
    return isinstance(source, fx.GraphModule) and source.meta.get("hwgen_program", False)


def entries(program: fx.GraphModule) -> dict[str, fx.Node]:
    """The inputs in order: ``input`` if there is one, else by the names of the arguments."""
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    if len(nodes) == 1:
        return {"input": nodes[0]}
    return {node.meta.get("argument", node.name): node for node in nodes}


def leaving(program: fx.GraphModule) -> list[Any]:
    """What the network returns, in order and flat; tensors are nodes, and may come twice."""
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    (returned,) = output.args
    return list(returned) if isinstance(returned, tuple | list) else [returned]


def output_keys(spec: str) -> tuple[str, ...]:
    """Names of what is returned, from torch's JSON of its structure: ``logits`` or ``boxes_0``.

    None at all if no dict is part of it: positions are no names. ValueError if it is no structure
    of dicts, lists and tuples.
    """

    def walk(tree: dict, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        kind, inner = tree["type"], tree["children_spec"]
        if kind is None:
            return [path]
        if kind in ("builtins.tuple", "builtins.list"):
            keys = list(map(str, range(len(inner))))
        elif kind in ("builtins.dict", "collections.OrderedDict"):
            keys = list(map(str, json.loads(tree["context"])))
            named.append(True)
        else:
            raise ValueError(f"the network returns a {kind}")
        children = zip(keys, inner, strict=True)
        return [found for key, child in children for found in walk(child, (*path, key))]

    named: list[bool] = []
    paths = walk(json.loads(spec)[1], ())
    return _unique(list(map("_".join, paths))) if named and len(paths) > 1 else ()


def _unique(names: list[str]) -> tuple[str, ...]:
    """``names``, those that came before with a number."""
    made: list[str] = []
    for name in names:
        numbered = (f"{name}_{n}" for n in count(2))
        free = (one for one in numbered if one not in made and one not in names)
        made.append(next(free) if name in made else name)
    return tuple(made)


def arguments(node: fx.Node) -> dict[str, Any]:
    """Arguments of a call by the names of its schema, defaults included."""
    named = {}
    for place, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if place < len(node.args):
            named[argument.name] = node.args[place]
        else:
            named[argument.name] = node.kwargs.get(argument.name, argument.default_value)
    return named


def set_argument(node: fx.Node, name: str, value: Any) -> None:
    """Give a call another argument, by the name that its schema has for it."""
    place = [argument.name for argument in node.target._schema.arguments].index(name)  # type: ignore[union-attr]
    if place < len(node.args):
        node.update_arg(place, value)
    else:
        node.update_kwarg(name, value)


def tensor_of(module: fx.GraphModule, node: fx.Node) -> torch.Tensor:
    """The tensor that a ``get_attr`` node stands for."""
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach()


def put(module: fx.GraphModule, target: str, tensor: torch.Tensor, train: bool = False) -> None:
    """Store a tensor under its dotted name: a parameter if it is to be trained, else a buffer."""
    *path, name = target.split(".")
    owner: nn.Module = module
    for part in path:
        if part not in owner._modules:
            owner.add_module(part, nn.Module())
        owner = owner._modules[part]  # type: ignore[assignment]
    if hasattr(owner, name):
        delattr(owner, name)
    if train:
        owner.register_parameter(name, nn.Parameter(tensor))
    else:
        owner.register_buffer(name, tensor)


def is_layer(kind: str) -> bool:
    """Whether a class's full name is that of a single torch layer."""
    return kind.startswith("torch.nn.modules.") and ".container." not in kind


def training_mode(layer: str) -> Problem:
    """The program still learns."""
    return Problem(
        layer, "was exported in training mode", "call model.eval() before torch.export.export"
    )
