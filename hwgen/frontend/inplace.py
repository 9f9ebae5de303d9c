"""In-place calls, such as ``relu_`` and ``+=``, as the plain ones that do the same."""

import operator

import torch
from torch import fx

from hwgen.errors import Problem, refuse
from hwgen.frontend.calls import RESHAPES, UNCHANGED, layer_of, op_of

__all__ = ["functional"]

# Ops whose result may share its memory with their input.
VIEWS = RESHAPES | UNCHANGED | {"slice"}


def functional(graph: fx.Graph) -> None:
    """Replace in-place calls; whoever reads their tensor later reads their result instead.

    Raises UserError where the memory they change is also read under another shape.
    """
    problems, changed = [], set()
    for node in list(graph.nodes):
        plain = _plain(node)
        if plain is None:
            if isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:
                problems.append(
                    Problem(layer_of(node), "writes into a tensor", "use the form that returns one")
                )
            continue
        source: fx.Node = node.args[0]
        order = {other: place for place, other in enumerate(graph.nodes)}
        for other in graph.nodes:
            if other in (source, node) or _memory(other) is not _memory(source):
                continue
            late = [user for user in other.users if order[user] > order[node]]
            if late and not _after(other, node, order):
                reader = "the output" if late[0].op == "output" else layer_of(late[0])
                problems.append(
                    Problem(
                        layer_of(node),
                        f"changes in place what {reader} reads in another shape or part",
                        "use the form that is not in place",
                    )
                )
        with graph.inserting_before(node):
            name = node.name.replace("__", "_").rstrip("_")
            made = graph.create_node("call_function", plain, node.args, node.kwargs, name=name)
        made.meta = dict(node.meta)
        for user in list(source.users):
            if user is not made and order[user] > order[node]:
                user.replace_input_with(source, made)
        node.replace_all_uses_with(made)
        graph.erase_node(node)
        changed.add(op_of(made))
    refuse(problems)
    for op in changed:
        # In the order of the calls, as torch.export numbers them, so that names stay.
        same = [node for node in graph.nodes if node.op == "call_function" and op_of(node) == op]
        names = sorted((node.name for node in same), key=lambda name: (len(name), name))
        for node, name in zip(same, names, strict=True):
            node.name = name


def _plain(node: fx.Node) -> torch._ops.OpOverload | None:
    """The op that returns what ``node`` writes into its first argument."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return None
    name = op_of(node)
    packet = getattr(torch.ops.aten, name.rstrip("_"), None)
    found = getattr(packet, target._overloadname, None)
    return found if name.endswith("_") and isinstance(found, torch._ops.OpOverload) else None


def _memory(node: fx.Node) -> fx.Node:
    """The node that owns the memory that ``node`` may only show in another shape."""
    while node.op == "call_function" and (op_of(node) in VIEWS or _is_view(node)):
        node = node.args[0]  # type: ignore[assignment]
    return node


def _is_view(node: fx.Node) -> bool:
    """Whether a call shows a part of its first argument, as slices do."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return target is operator.getitem
    return not target._schema.is_mutable and any(
        result.alias_info is not None for result in target._schema.returns
    )


def _after(view: fx.Node, change: fx.Node, order: dict[fx.Node, int]) -> bool:
    """Whether ``view`` was made of what ``change`` writes to, and so will be made of its result."""
    while view.op == "call_function" and (op_of(view) in VIEWS or _is_view(view)):
        if view.args[0] is change.args[0]:
            return order[view] > order[change]
        view = view.args[0]  # type: ignore[assignment]
    return False
