"""Rewrites of a program, each exact, that bring it into the form that ``read`` and quantisation
expect: one output, plain ``flatten``, activations before pools, and nothing that does nothing."""

import torch
from torch import fx

from hwgen.frontend.activations import clip_of, slopes_of
from hwgen.frontend.calls import (
    ACTIVATIONS,
    AVERAGES,
    CLIPS,
    CONCATS,
    CONSTANTS,
    MAX_POOLS,
    RESHAPES,
    SUMS,
    UNCHANGED,
    UPSAMPLES,
    calls,
    op_of,
    read_by,
)
from hwgen.frontend.geometry import average_of
from hwgen.frontend.program import leaving

__all__ = [
    "ACTIVATIONS_FIRST",
    "PLAIN",
    "bypass",
    "drop_unchanged",
    "hoist_activations",
    "merge_activations",
    "one_output",
    "plain_flatten",
]

aten = torch.ops.aten


def one_output(program: fx.GraphModule) -> None:
    """Return an only output itself, and not a tuple of it."""
    returned = leaving(program)
    if len(returned) == 1:
        (node,) = (node for node in program.graph.nodes if node.op == "output")
        node.args = (returned[0],)


def drop_unchanged(program: fx.GraphModule) -> None:
    """Take out dropout, assertions, averages of one value, and whatever else does nothing."""
    for node in calls(program):
        if op_of(node) == "_assert_tensor_metadata":
            program.graph.erase_node(node)
        elif op_of(node) in UNCHANGED or _averages_nothing(node):
            bypass(node)


def _averages_nothing(node: fx.Node) -> bool:
    windows = average_of(node) if op_of(node) in AVERAGES - {"mean"} else None
    return windows == ((1, 1), (1, 1), (0, 0, 0, 0), 1)


def plain_flatten(program: fx.GraphModule) -> None:
    """Make every view, reshape or squeeze a plain ``flatten(x, 1)``, or take it out."""
    for node in calls(program):
        if op_of(node) not in RESHAPES:
            continue
        source: fx.Node = node.args[0]  # type: ignore[assignment]
        if node.meta["shape"] == source.meta["shape"]:
            bypass(node)
            continue
        with program.graph.inserting_before(node):
            flat = program.graph.call_function(aten.flatten.using_ints, (source, 1))
        flat.meta = dict(node.meta)
        node.replace_all_uses_with(flat)
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()  # sizes that only a view has asked for


def hoist_activations(program: fx.GraphModule) -> None:
    """A ReLU behind a pool, flatten or concatenation to before it, where the rounding of sums does
    it."""
    waiting = [node for node in calls(program) if op_of(node) in ACTIVATIONS]
    while waiting:
        node = waiting.pop()
        if _commutes(program, node, node.args[0]):  # type: ignore[arg-type]
            waiting += _hoisted(program.graph, node)


def _hoisted(graph: fx.Graph, node: fx.Node) -> list[fx.Node]:
    """What takes the place of ``node``: an activation of each tensor that its source reads."""
    source: fx.Node = node.args[0]  # type: ignore[assignment]
    made = {}
    with graph.inserting_before(source):
        for before in dict.fromkeys(read_by(source)):
            made[before] = clip = graph.node_copy(node)
            clip.meta = dict(node.meta) | {"shape": before.meta.get("shape")}
            clip.update_arg(0, before)
        if len(source.users) > 1:  # others read it unclipped
            source = graph.node_copy(source)
    source.args = fx.map_arg(source.args, lambda read: made.get(read, read))
    node.replace_all_uses_with(source)
    graph.erase_node(node)
    return [*made.values()]


def _commutes(program: fx.GraphModule, node: fx.Node, source: fx.Node) -> bool:
    """Whether an activation may as well come before ``source``."""
    if op_of(source) in MAX_POOLS:
        return op_of(node) in CLIPS or min(slopes_of(program, node)) >= 0
    if op_of(node) == "prelu" and op_of(source) == "flatten":
        return len(slopes_of(program, node)) == 1  # a slope is one channel's
    # A part that others read otherwise would be rounded whole, and once more.
    alone = len(source.users) == 1
    if op_of(source) in CONCATS:
        sums = all(_is_sum(read) for read in read_by(source))
        return alone and sums and (op_of(node) in CLIPS or len(slopes_of(program, node)) == 1)
    return op_of(source) == "flatten" or (op_of(source) in UPSAMPLES and alone)


def _is_sum(node: fx.Node) -> bool:
    """Whether one call alone reads it, and its rounding can do what that call does."""
    made = node.op == "call_function" and op_of(node) in {*SUMS, *CONSTANTS}
    return made and len(node.users) == 1


def merge_activations(program: fx.GraphModule) -> None:
    """The same activation of the same tensor once."""
    first: dict[tuple, fx.Node] = {}
    for node in calls(program):
        if op_of(node) in ACTIVATIONS:
            does = clip_of(node) if op_of(node) in CLIPS else ("leaky", slopes_of(program, node))
            same = first.setdefault((node.args[0], does), node)
            if same is not node:
                node.replace_all_uses_with(same)
                program.graph.erase_node(node)


def bypass(node: fx.Node) -> None:
    """Whoever reads ``node`` is to read what it reads."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    node.graph.erase_node(node)


#: What brings a program into plain form, in this order; and what then puts activations first.
PLAIN = (one_output, drop_unchanged, plain_flatten)
ACTIVATIONS_FIRST = (hoist_activations, merge_activations)
