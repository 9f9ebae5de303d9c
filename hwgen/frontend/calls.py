"""What the calls of a program are: their ops, the layers they belong to, what they read."""

import torch
from torch import fx

__all__ = [
    "ACTIVATIONS",
    "ASIDE",
    "AVERAGES",
    "CLIPS",
    "CONCATS",
    "CONSTANT_OPS",
    "CONVS",
    "DOMAIN_CONVS",
    "MAX_POOLS",
    "PADS",
    "RESHAPES",
    "SAME_GRID",
    "SUMS",
    "UNCHANGED",
    "UPSAMPLES",
    "WEIGHTED",
    "calls",
    "constant",
    "layer_of",
    "op_of",
    "read_by",
    "rounds",
    "will_round",
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
CONVS = {"conv1d", "conv2d"}
WEIGHTED = {*CONVS, "linear"}
#: The same, with weights in Winograd's domain.
DOMAIN_CONVS = {"winograd_conv2d"}
AVERAGES = {"avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean"}
#: Ops whose results are sums, wider than what goes in: they are rounded afterwards.
SUMS = {*WEIGHTED, *DOMAIN_CONVS, *AVERAGES, "add"}
#: Ops that become weights, where an operand is stored or a number.
CONSTANTS = {"batch_norm", "sub", "rsub", "mul", "div", "neg"}
#: Activations that the clipping of a rounding does.
CLIPS = {"relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max"}
#: Activations that a rounding does, one that multiplies negative sums by another number included.
ACTIVATIONS = {*CLIPS, "leaky_relu", "prelu"}
MAX_POOLS = {"max_pool1d", "max_pool2d"}
CONCATS = {"cat", "concat", "concatenate"}
UPSAMPLES = {"upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact1d",
             "_upsample_nearest_exact2d"}  # fmt: skip
PADS = {"pad", "constant_pad_nd"}
#: Ops whose results are on the very grid of their input, or of all their inputs.
SAME_GRID = {*MAX_POOLS, *CONCATS, *UPSAMPLES, *PADS, "flatten", "slice"}


def calls(program: fx.GraphModule) -> list[fx.Node]:
    """Every op of the program, in order."""
    return [node for node in program.graph.nodes if node.op == "call_function"]


def op_of(node: fx.Node) -> str:
    """The bare name of a call's op: ``conv2d`` for ``aten.conv2d.padding``.

    Arithmetic on sizes has Python's name, ``operator.mul``.
    """
    if not isinstance(node.target, torch._ops.OpOverload):
        name = str(getattr(node.target, "__name__", node.target))
        return name if name in ASIDE else f"operator.{name}"
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
    if op_of(node) in (*WEIGHTED, *DOMAIN_CONVS, "batch_norm"):
        weight = constant(node.args[1])
        if weight is not None:
            target = str(weight.target)
            return target.rpartition(".")[0] or target
    path, is_layer = node.meta.get("path", ("", False))
    return path if is_layer and path else f"{path}.{node.name}" if path else node.name


def read_by(node: fx.Node) -> list[fx.Node]:
    """The tensors that a call computes from, those that are stored left out."""
    count = {**dict.fromkeys(CONCATS, None), "add": 2}.get(op_of(node), 1)
    given = node.args[0] if count is None else node.args[:count]
    return [one for one in given if isinstance(one, fx.Node)]  # type: ignore[union-attr]


def rounds(node: fx.Node) -> bool:
    """Whether the result of a call is rounded: sums, and activations of what is no sum."""
    return _rounds(node, set())


def will_round(node: fx.Node) -> bool:
    """The same before ``compress`` has moved activations to before pools and reshapes."""
    return _rounds(node, {*UNCHANGED, *RESHAPES, *MAX_POOLS})


def _rounds(node: fx.Node, through: set[str]) -> bool:
    if op_of(node) not in ACTIVATIONS:
        return op_of(node) in SUMS
    source = node.args[0]
    while isinstance(source, fx.Node) and source.op == "call_function":
        if op_of(source) not in through:
            return op_of(source) not in {*SUMS, *ACTIVATIONS, *CONSTANTS}
        source = source.args[0]
    return True
