"""What the calls of a program are: their ops, the layers they belong to, what they read."""

import torch
from torch import fx

__all__ = [
    "ASIDE",
    "CLIPS",
    "CONSTANT_OPS",
    "RESHAPES",
    "SAME_GRID",
    "SUMS",
    "UNCHANGED",
    "WEIGHTED",
    "calls",
    "constant",
    "layer_of",
    "op_of",
]

#: Ops that only arrange the frame's numbers anew; supported where they make a vector of it.
RESHAPES = {"flatten", "view", "reshape", "squeeze", "unsqueeze", "_unsafe_view"}
#: Ops that change nothing at inference.
UNCHANGED = {"dropout", "dropout_", "feature_dropout", "alpha_dropout", "contiguous", "clone",
             "alias", "detach", "detach_", "lift_fresh_copy", "to", "_to_copy"}  # fmt: skip
#: Calls that make no tensor: sizes for views, torch's own assertions, and the parts of what an op
#: with several results has made, which is refused itself.
ASIDE = {"sym_size", "_assert_tensor_metadata", "getitem"}
#: Ops of this project that put a tensor on a grid of integers.
CONSTANT_OPS = {"fake_quantize", "binarize"}
#: Layers that have weights in the integer network.
WEIGHTED = {"conv2d", "linear"}
#: Ops whose results are sums, wider than what goes in: they are rounded afterwards.
SUMS = {*WEIGHTED, "add", "avg_pool2d", "adaptive_avg_pool2d", "mean"}
#: Activations that the clipping of the rounding before them does.
CLIPS = {"relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max"}
#: Ops whose results are on the very grid of their input.
SAME_GRID = {"max_pool2d", "flatten", "pad", "constant_pad_nd"}


def calls(program: fx.GraphModule) -> list[fx.Node]:
    """Every op of the program, in order."""
    return [node for node in program.graph.nodes if node.op == "call_function"]


def op_of(node: fx.Node) -> str:
    """The bare name of a call's op: ``conv2d`` for ``aten.conv2d.padding``."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return str(getattr(node.target, "__name__", node.target))
    return node.target._schema.name.partition("::")[2]


def constant(node: object) -> fx.Node | None:
    """The ``get_attr`` node that ``node`` is, or is a quantised copy of."""
    while isinstance(node, fx.Node) and node.op == "call_function" and op_of(node) in CONSTANT_OPS:
        node = node.args[0]
    return node if isinstance(node, fx.Node) and node.op == "get_attr" else None


def layer_of(node: fx.Node) -> str:
    """The user's own name for the layer that a call belongs to.

    A call outside of torch's layers has the name of its module and its own: ``layer1.0.add``.
    """
    if op_of(node) in ("conv2d", "linear", "batch_norm"):
        weight = constant(node.args[1])
        if weight is not None:
            target = str(weight.target)
            return target.rpartition(".")[0] or target
    path, is_layer = node.meta.get("path", ("", False))
    return path if is_layer and path else f"{path}.{node.name}" if path else node.name
