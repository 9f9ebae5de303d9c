"""Calls that take parts of a tensor, all in one form: ``slice(x, axis, start, stop, step)``."""

from itertools import accumulate, pairwise

import torch
from torch import fx

from hwgen.frontend.calls import CONCATS, op_of
from hwgen.frontend.program import arguments

__all__ = ["plain_parts"]

SPLITS = {"chunk", "split", "split_with_sizes"}


def plain_parts(graph: fx.Graph) -> None:
    """Make slices of all that ``chunk``, ``split`` and ``narrow`` give; take out slices of
    everything, and concatenations of one tensor. One row or column of several is the largest of a
    window of one."""
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        op = op_of(node)
        if op in CONCATS and len(node.args[0]) == 1:
            node.replace_all_uses_with(node.args[0][0])
            graph.erase_node(node)
        elif op == "slice":
            _drop_whole(graph, _every(graph, node))
        elif op == "narrow":
            given = arguments(node)
            if isinstance(given["start"], int):
                start = given["start"]
                ends = start, start + given["length"]
                _replace(graph, node, node.args[0], given["dim"], *ends, node.name)
        elif op in SPLITS:
            _split(graph, node)


def _split(graph: fx.Graph, node: fx.Node) -> None:
    given, source = arguments(node), node.args[0]
    axis = given["dim"]
    size = source.meta["shape"][axis]  # type: ignore[union-attr]
    if size is None:
        return  # along an axis that is not fixed: refused
    if op_of(node) == "split_with_sizes":
        sizes = given["split_sizes"]
    else:
        step = given["split_size"] if op_of(node) == "split" else -(-size // given["chunks"])
        sizes = [min(step, size - start) for start in range(0, size, step)]
    ends = list(pairwise(accumulate(sizes, initial=0)))
    for part in list(node.users):
        number: int = part.args[1]  # type: ignore[assignment]
        _replace(graph, part, source, axis, *ends[number], f"{node.name}_{number}")
    graph.erase_node(node)


def _replace(graph, node, source, axis, start, stop, name) -> None:
    with graph.inserting_before(node):
        target = torch.ops.aten.slice.Tensor
        made = graph.create_node("call_function", target, (source, axis, start, stop), name=name)
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.erase_node(node)


def _every(graph: fx.Graph, node: fx.Node) -> fx.Node:
    """``x[start:stop:step]`` along rows or columns as ``max_pool(x[start:stop], 1, step)``; what is
    left of the slice."""
    given, source = arguments(node), node.args[0]
    shape, step = source.meta.get("shape") or (), given["step"]  # type: ignore[union-attr]
    axis = given["dim"] % max(1, len(shape))
    ends = given["start"] or 0, given["end"]
    if step == 1 or axis < 2 or len(shape) > 4 or shape[axis] is None:
        return node
    if not all(end is None or isinstance(end, int) for end in ends):
        return node
    first, stop, _ = slice(*ends).indices(shape[axis])
    if stop <= first:
        return node
    aten, rank = torch.ops.aten, len(shape) - 2
    pool = aten.max_pool2d.default if rank == 2 else aten.max_pool1d.default
    strides = [step if n + 2 == axis else 1 for n in range(rank)]
    with graph.inserting_before(node):
        part = graph.call_function(aten.slice.Tensor, (source, axis, first, stop))
        part.meta = node.meta | {"shape": (*shape[:axis], stop - first, *shape[axis + 1 :])}
        made = graph.create_node(
            "call_function", pool, (part, [1] * rank, strides), name=f"{node.name}_every"
        )
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    return part


def _drop_whole(graph: fx.Graph, node: fx.Node) -> None:
    given, source = arguments(node), node.args[0]
    size = source.meta["shape"][given["dim"]]  # type: ignore[union-attr]
    least = (1 << 63) - 1 if size is None else size
    if (given["start"] or 0) == 0 and given["step"] == 1 and (
        given["end"] is None or (isinstance(given["end"], int) and given["end"] >= least)
    ):  # fmt: skip
        node.replace_all_uses_with(source)  # type: ignore[arg-type]
        graph.erase_node(node)
