"""What hwgen can build of each kind of layer: one rule an op, asked by the support check."""

from collections.abc import Callable, Iterator
from math import prod

from torch import fx

from hwgen.frontend.calls import (
    CLIPS,
    CONSTANT_OPS,
    RESHAPES,
    UNCHANGED,
    constant,
    layer_of,
    op_of,
)
from hwgen.frontend.geometry import average_of, clip_of, pad_of, pair
from hwgen.frontend.program import arguments, training_mode

__all__ = ["NEAREST", "RULES", "sizes"]

#: What to do about ops that have no rule, where there is something better than a list of layers.
NEAREST = {
    **dict.fromkeys(("leaky_relu", "prelu", "gelu", "silu", "elu", "sigmoid", "tanh", "softplus",
                     "hardswish", "hardsigmoid", "threshold"), "use ReLU, ReLU6 or Hardtanh"),
    "adaptive_max_pool2d": "use MaxPool2d with a fixed kernel",
    "softmax": "leave it out: the largest output is the same",
    "log_softmax": "leave it out: the largest output is the same",
    "argmax": "leave it out, and take the largest of the outputs",
    **dict.fromkeys(("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
                    "quantise with PT2E, and convert_pt2e: docs/quantised.md"),
    "max_pool2d_with_indices": "use return_indices=False",
    "conv1d": "use Conv2d with a kernel of height 1",
    **dict.fromkeys(("conv3d", "conv_transpose2d"), "use Conv2d"),
    **dict.fromkeys(("matmul", "addmm", "mm"), "use a Linear layer"),
    **dict.fromkeys(("cat", "concat", "stack"), "add tensors of equal shape instead"),
    **dict.fromkeys(("sub", "mul", "div", "neg"),
                    "tensors can only be added; constants belong into a layer's weights"),
    **dict.fromkeys(("slice", "select", "split", "chunk", "index", "narrow"),
                    "read the whole tensor"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d"),
                    "maps can keep their size, or shrink by strides and pools"),
}  # fmt: skip

Found = Iterator[tuple[str, str]]


def sizes(shape: tuple[int | None, ...]) -> str:
    """A shape as text; sizes that are not fixed are question marks."""
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


def _conv2d(node: fx.Node) -> Found:
    shape = _shape(node.args[0])
    if shape is not None and len(shape) != 4:
        yield f"is applied to {sizes(shape)}", "give it maps: (N, C, H, W)"


def _linear(node: fx.Node) -> Found:
    shape = node.args[0].meta.get("shape")  # type: ignore[union-attr]
    if shape is not None and len(shape) != 2:
        yield (
            f"is applied to the last axis of {sizes(shape)}",
            "flatten first: torch.flatten(x, 1)",
        )


def _batch_norm(node: fx.Node) -> Found:
    given = arguments(node)
    if given["training"] and given["running_mean"] is not None:
        problem = training_mode("")
        yield problem.reason, problem.remedy
    elif given["running_mean"] is None or given["running_var"] is None:
        yield "has no running mean and variance", "use track_running_stats=True"
    source = _before(node)
    place = "the input" if source is None else layer_of(source)
    if source is None or op_of(source) not in ("conv2d", "linear"):
        yield (
            f"follows {place}, and so cannot be folded into weights",
            "put it straight after a Conv2d or Linear layer",
        )
        return
    between: fx.Node = node.args[0]  # type: ignore[assignment]
    while len(between.users) == 1 and between is not source:
        between = between.args[0]  # type: ignore[assignment]
    if len(between.users) > 1:
        others = ", ".join(
            "the output" if user.op == "output" else layer_of(user)
            for user in between.users
            if user is not node
        )
        yield (
            f"cannot be folded into the weights of {place}, which {others} reads too",
            "let only the batch norm read them",
        )


def _clip(node: fx.Node) -> Found:
    ends = clip_of(node)
    if ends is None:
        yield "its limits are tensors", "use numbers"
    elif not ends[0] <= ends[1]:
        yield f"clips to [{ends[0]:g}, {ends[1]:g}]", "give the smaller limit first"
    source = _before(node)
    while source is not None and op_of(source) in (*CLIPS, "max_pool2d", *RESHAPES):
        source = _before(source)
    if source is None:
        yield "follows no layer with weights", "leave it out, or put it after Conv2d or Linear"


def _max_pool2d(node: fx.Node) -> Found:
    given = arguments(node)
    if given["ceil_mode"]:
        yield "ceil_mode=True is not supported", "use ceil_mode=False, with padding if need be"
    if set(given["dilation"]) != {1}:
        dilation = given["dilation"]
        text = dilation[0] if len(set(dilation)) == 1 else tuple(dilation)
        yield f"dilation {text} is not supported", "use dilation=1"


def _average(node: fx.Node) -> Found:
    given, op = arguments(node), op_of(node)
    if given.get("ceil_mode"):
        yield "ceil_mode=True is not supported", "use ceil_mode=False, with padding if need be"
    if any(given.get("padding", ())) and not given["count_include_pad"]:
        yield "count_include_pad=False is not supported", "use count_include_pad=True, or padding=0"
    if given.get("divisor_override") is not None and given["divisor_override"] < 1:
        yield f"divides by {given['divisor_override']}", "use a divisor above zero"
    before, after = node.args[0].meta.get("dtype"), node.meta.get("dtype")  # type: ignore
    if after != before:
        yield f"turns {before} into {after}", "keep to float32"
    if average_of(node) is not None:
        return
    shape = _shape(node.args[0]) or ()
    if len(shape) != 4:
        yield f"is applied to {sizes(shape)}", "give it maps: (N, C, H, W)"
    elif op == "adaptive_avg_pool2d":
        yield (
            f"makes {pair(given['output_size'])} of {shape[2:]}, by windows of several sizes",
            "use AdaptiveAvgPool2d(1), or sizes that divide those of the map",
        )
    else:
        axes = given.get("dim")
        yield (
            f"averages over {'everything' if axes is None else f'the axes {tuple(axes)}'}",
            "average over rows and columns: x.mean((2, 3))",
        )


def _add(node: fx.Node) -> Found:
    given = arguments(node)
    if given["alpha"] != 1:
        yield f"multiplies by alpha={given['alpha']}", "put the factor into a layer's weights"
    parts = node.args[:2]
    if any(not isinstance(part, fx.Node) or constant(part) is not None for part in parts):
        yield "adds a constant", "put it into the bias of the layer before"
        return
    first, second = map(_shape, parts)
    if first is None or second is None or first[1:] != second[1:]:
        yield (
            f"adds {sizes(second or ())} to {sizes(first or ())}",
            "add tensors of equal shape",
        )


def _pad(node: fx.Node) -> Found:
    given = arguments(node)
    mode, value = given.get("mode", "constant"), given["value"]
    if mode != "constant":
        yield f"pads in mode {mode!r}", "pad with zeros"
    elif value:
        yield f"pads with {value:g}", "pad with zeros"
    elif pad_of(node) is None:
        yield f"pads by {tuple(given['pad'])}", "pad rows and columns alone, and crop nothing"
    readers = _after(node)
    if any(reader.op == "output" or op_of(reader) not in _PADDED for reader in readers):
        names = ", ".join("the output" if r.op == "output" else layer_of(r) for r in readers)
        yield f"pads what {names} reads", "put it straight before Conv2d or AvgPool2d"


def _reshape(node: fx.Node) -> Found:
    before = node.args[0].meta.get("shape")  # type: ignore[union-attr]
    after = node.meta.get("shape")
    if before is None or after is None:
        yield "its shape is unknown", "export the network again"
    elif after != before and (after[:1] != before[:1] or after[1:] != (_size(before[1:]),)):
        yield (
            f"turns {sizes(before)} into {sizes(after)}",
            "only a vector for each frame is supported: torch.flatten(x, 1)",
        )


def _size(shape: tuple[int | None, ...]) -> int | None:
    fixed = [size for size in shape if size is not None]
    return prod(fixed) if len(fixed) == len(shape) else None


def _unchanged(node: fx.Node) -> Found:
    if "dropout" in op_of(node) and arguments(node)["train"]:
        problem = training_mode("")
        yield problem.reason, problem.remedy
    before, after = node.args[0].meta.get("dtype"), node.meta.get("dtype")  # type: ignore
    if after != before:
        yield f"turns {before} into {after}", "keep to float32"


def _before(node: fx.Node) -> fx.Node | None:
    """The call that feeds this one, what changes nothing left out; None at the network's input."""
    source = node.args[0]
    while isinstance(source, fx.Node) and source.op == "call_function":
        if op_of(source) not in UNCHANGED | CONSTANT_OPS:
            return source
        source = source.args[0]
    return None


def _after(node: fx.Node) -> list[fx.Node]:
    """The calls that read this one, what changes nothing left out."""
    found: list[fx.Node] = []
    for user in node.users:
        unchanged = user.op == "call_function" and op_of(user) in UNCHANGED
        found += _after(user) if unchanged else [user]
    return found


def _shape(node: object) -> tuple[int | None, ...] | None:
    return node.meta.get("shape") if isinstance(node, fx.Node) else None


# A pad is merged into the windows of these.
_PADDED = {"conv2d", "avg_pool2d"}
#: For each op, the reasons why a call of it cannot be built, and what to use instead.
RULES: dict[str, Callable[[fx.Node], Found]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "max_pool2d": _max_pool2d,
    "add": _add,
    **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d", "mean"), _average),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(CLIPS, _clip),
    **dict.fromkeys(RESHAPES, _reshape),
    **dict.fromkeys(UNCHANGED, _unchanged),
}
