"""Rewrites of a float program, each exact, that leave weights, activations, pools and additions."""

import torch
from torch import fx

from hwgen.frontend.calls import CLIPS, RESHAPES, UNCHANGED, calls, constant, op_of
from hwgen.frontend.geometry import average_of, clip_of
from hwgen.frontend.program import arguments, put, tensor_of

__all__ = [
    "PASSES",
    "drop_unchanged",
    "fold_batch_norm",
    "hoist_clips",
    "merge_clips",
    "one_output",
    "plain_flatten",
]

aten = torch.ops.aten


def one_output(program: fx.GraphModule) -> None:
    """Return the one output itself, and not a tuple of it."""
    (leaving,) = (node for node in program.graph.nodes if node.op == "output")
    leaving.args = (leaving.all_input_nodes[0],)


def drop_unchanged(program: fx.GraphModule) -> None:
    """Take out dropout, assertions, averages of one value, and whatever else does nothing."""
    for node in calls(program):
        if op_of(node) == "_assert_tensor_metadata":
            program.graph.erase_node(node)
        elif op_of(node) in UNCHANGED or _averages_nothing(node):
            _bypass(node)


def _averages_nothing(node: fx.Node) -> bool:
    windows = average_of(node) if op_of(node) in ("avg_pool2d", "adaptive_avg_pool2d") else None
    return windows == ((1, 1), (1, 1), (0, 0, 0, 0), 1)


def plain_flatten(program: fx.GraphModule) -> None:
    """Make every view, reshape or squeeze a plain ``flatten(x, 1)``, or take it out."""
    for node in calls(program):
        if op_of(node) not in RESHAPES:
            continue
        source: fx.Node = node.args[0]  # type: ignore[assignment]
        if node.meta["shape"] == source.meta["shape"]:
            _bypass(node)
            continue
        with program.graph.inserting_before(node):
            flat = program.graph.call_function(aten.flatten.using_ints, (source, 1))
        flat.meta = dict(node.meta)
        node.replace_all_uses_with(flat)
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()  # sizes that only a view has asked for


def fold_batch_norm(program: fx.GraphModule) -> None:
    """Batch norm into the weights and bias before it: ``w * g / sqrt(var + eps)`` and so on."""
    for node in calls(program):
        if op_of(node) != "batch_norm":
            continue
        given = arguments(node)
        layer: fx.Node = given["input"]
        deviation = torch.sqrt(_read(program, given["running_var"], 1.0) + given["eps"])
        gain = _read(program, given["weight"], 1.0) / deviation
        mean = _read(program, given["running_mean"], 0.0)
        shift = _read(program, given["bias"], 0.0) - mean * gain
        weight = constant(layer.args[1])
        assert weight is not None, "the support check has seen to it"
        kernels = tensor_of(program, weight).double()
        along = gain.reshape(-1, *[1] * (kernels.dim() - 1))
        put(program, str(weight.target), (kernels * along).float(), train=True)
        set_bias(program, layer, _read(program, arguments(layer)["bias"], 0.0) * gain + shift)
        _bypass(node)


def hoist_clips(program: fx.GraphModule) -> None:
    """A ReLU behind a pool or flatten to before it, where the rounding of sums does it."""
    for node in calls(program):
        if op_of(node) not in CLIPS:
            continue
        source: fx.Node = node.args[0]  # type: ignore[assignment]
        while op_of(source) in ("max_pool2d", "flatten"):
            before: fx.Node = source.args[0]  # type: ignore[assignment]
            with program.graph.inserting_before(source):
                clip = program.graph.node_copy(node)
            clip.meta = dict(node.meta) | {"shape": before.meta.get("shape")}
            clip.update_arg(0, before)
            if len(source.users) > 1:  # others read it unclipped
                with program.graph.inserting_before(source):
                    source = program.graph.node_copy(source)
            source.update_arg(0, clip)
            node.replace_all_uses_with(source)
            program.graph.erase_node(node)
            node, source = clip, before


def merge_clips(program: fx.GraphModule) -> None:
    """The same activation of the same tensor once."""
    first: dict[tuple, fx.Node] = {}
    for node in calls(program):
        if op_of(node) in CLIPS:
            same = first.setdefault((node.args[0], clip_of(node)), node)
            if same is not node:
                node.replace_all_uses_with(same)
                program.graph.erase_node(node)


#: In this order: each leaves the program in the form that the next one reads.
PASSES = (
    one_output,
    drop_unchanged,
    plain_flatten,
    fold_batch_norm,
    hoist_clips,
    merge_clips,
)


def set_bias(program: fx.GraphModule, layer: fx.Node, bias: torch.Tensor) -> fx.Node:
    """Give a convolution or linear layer this bias (float32 for torch), and return its node."""
    old = constant(arguments(layer)["bias"])
    weight = constant(layer.args[1])
    assert weight is not None, "the support check has seen to it"
    stem = str(weight.target)
    name = stem.removesuffix("weight") + "bias" if stem.endswith("weight") else stem + "_bias"
    target = str(old.target) if old is not None else name
    put(program, target, bias.float(), train=True)
    if old is not None:
        return old
    with program.graph.inserting_before(layer):
        node = program.graph.get_attr(target)
    layer.args = (*layer.args[:2], node, *layer.args[3:])
    return node


def _read(program: fx.GraphModule, node: fx.Node | None, otherwise: float) -> torch.Tensor:
    if node is None:
        return torch.tensor(otherwise, dtype=torch.float64)
    return tensor_of(program, node).double()


def _bypass(node: fx.Node) -> None:
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    node.graph.erase_node(node)
