"""What hwgen can build of each kind of layer: one rule an op, asked by the support check."""

from collections.abc import Callable, Iterator
from math import prod

from torch import fx

from hwgen.frontend import arranged_rules
from hwgen.frontend.activations import clip_of
from hwgen.frontend.affine import home_of, is_affine, source_of
from hwgen.frontend.calls import (
    ACTIVATIONS,
    AVERAGES,
    CLIPS,
    CONCATS,
    CONSTANTS,
    CONVS,
    DOMAIN_CONVS,
    MAX_POOLS,
    PADS,
    RESHAPES,
    UNCHANGED,
    UPSAMPLES,
    constant,
    layer_of,
    op_of,
)
from hwgen.frontend.geometry import average_of
from hwgen.frontend.neighbours import before, shape_of, sizes
from hwgen.frontend.program import arguments, training_mode

__all__ = ["NEAREST", "RULES"]

#: What to do about ops that have no rule, where there is something better than a list of layers.
NEAREST = {
    **dict.fromkeys(("gelu", "silu", "elu", "sigmoid", "tanh", "softplus", "hardswish",
                     "hardsigmoid", "threshold"), "use ReLU, ReLU6, LeakyReLU or Hardtanh"),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool1d"),
                    "use MaxPool2d with a fixed kernel"),
    "softmax": "leave it out: the largest output is the same",
    "log_softmax": "leave it out: the largest output is the same",
    "argmax": "leave it out, and take the largest of the outputs",
    **dict.fromkeys(("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
                    "quantise with PT2E, and convert_pt2e: docs/quantised.md"),
    "sign": "torch.sign(0) is 0, which one bit cannot hold: use torch.where(x >= 0, 1.0, -1.0), "
            "or hwgen.nn.quantize.binarize",
    "max_pool2d_with_indices": "use return_indices=False",
    "conv3d": "use Conv2d",
    "channel_shuffle": "let a Conv2d(C, C, 1) move channels, or order the next weights anew",
    **dict.fromkeys(("conv_transpose2d", "conv_transpose1d"), "use nn.Upsample and Conv2d"),
    **dict.fromkeys(("matmul", "addmm", "mm"), "use a Linear layer"),
    "stack": "put tensors side by side: torch.cat(tensors, 1)",
    **dict.fromkeys(("select", "index", "unbind", "gather"), "take parts by slices: x[:, 0:4]"),
    **dict.fromkeys(("split", "chunk", "split_with_sizes"), "split channels, of a fixed number"),
    **dict.fromkeys(("upsample_bilinear2d", "upsample_bicubic2d"),
                    "use mode='nearest', with whole factors"),
}  # fmt: skip

Found = Iterator[tuple[str, str]]


def _conv(node: fx.Node) -> Found:
    yield from _wrong_rank(node)


def _wrong_rank(node: fx.Node) -> Found:
    shape, is_line = shape_of(node.args[0]), op_of(node).endswith("1d")
    if shape is not None and len(shape) != (3 if is_line else 4):
        wanted = "lines: (N, C, L)" if is_line else "maps: (N, C, H, W)"
        yield f"is applied to {sizes(shape)}", f"give it {wanted}"


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
    yield from _homeless(node)


def _homeless(node: fx.Node) -> Found:
    if home_of(node) is None:
        source = before(node, source_of(node))
        yield (
            f"follows {layer_of(source) if source is not None else 'the input'}, is applied to "
            "vectors, and so has no weights to go into",
            "put it straight after a layer that only it reads, or straight before Linear layers",
        )


def _with_constant(node: fx.Node) -> Found:
    if source_of(node) is None:
        yield f"is a {op_of(node)} of two tensors", "tensors can only be added"
    elif not is_affine(node):
        yield (
            "computes with a constant that is not one number a channel",
            "use a number, or one a channel, and multiply rather than divide",
        )
    else:
        yield from _homeless(node)


def _clip(node: fx.Node) -> Found:
    ends = clip_of(node)
    if ends is None:
        yield "its limits are tensors", "use numbers"
    elif not ends[0] <= ends[1]:
        yield f"clips to [{ends[0]:g}, {ends[1]:g}]", "give the smaller limit first"


def _anything(node: fx.Node) -> Found:
    yield from ()


def _max_pool(node: fx.Node) -> Found:
    yield from _wrong_rank(node)
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
    kinds = node.args[0].meta.get("dtype"), node.meta.get("dtype")  # type: ignore
    if kinds[0] != kinds[1]:
        yield f"turns {kinds[0]} into {kinds[1]}", "keep to float32"
    if average_of(node) is not None:
        return
    shape = shape_of(node.args[0]) or ()
    if op != "mean" and len(shape) != (3 if op.endswith("1d") else 4):
        yield from _wrong_rank(node)
    elif op.startswith("adaptive_avg_pool"):
        yield (
            f"makes {tuple(given['output_size'])} of {shape[2:]}, by windows of several sizes",
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
    if any(not isinstance(p, fx.Node) or constant(p) is not None for p in node.args[:2]):
        yield from _with_constant(node)
        return
    if given["alpha"] != 1:
        yield f"multiplies by alpha={given['alpha']}", "put the factor into a layer's weights"
    parts = node.args[:2]
    first, second = map(shape_of, parts)
    if first is None or second is None or first[1:] != second[1:]:
        yield (
            f"adds {sizes(second or ())} to {sizes(first or ())}",
            "add tensors of equal shape",
        )


def _reshape(node: fx.Node) -> Found:
    old = node.args[0].meta.get("shape")  # type: ignore[union-attr]
    new = node.meta.get("shape")
    if old is None or new is None:
        yield "its shape is unknown", "export the network again"
    elif new != old and (new[:1] != old[:1] or new[1:] != (_size(old[1:]),)):
        remedy = "only a vector for each frame is supported: torch.flatten(x, 1)"
        if len(new) == 5 and len(old) == 4:  # the first step of a channel shuffle
            remedy += "; channels are shuffled by a Conv2d(C, C, 1)"
        yield f"turns {sizes(old)} into {sizes(new)}", remedy


def _size(shape: tuple[int | None, ...]) -> int | None:
    fixed = [size for size in shape if size is not None]
    return prod(fixed) if len(fixed) == len(shape) else None


def _unchanged(node: fx.Node) -> Found:
    if "dropout" in op_of(node) and arguments(node)["train"]:
        problem = training_mode("")
        yield problem.reason, problem.remedy
    kinds = node.args[0].meta.get("dtype"), node.meta.get("dtype")  # type: ignore
    if kinds[0] != kinds[1]:
        yield f"turns {kinds[0]} into {kinds[1]}", "keep to float32"


#: For each op, the reasons why a call of it cannot be built, and what to use instead.
RULES: dict[str, Callable[[fx.Node], Found]] = {
    "linear": _linear,
    **dict.fromkeys(CONSTANTS, _with_constant),
    "batch_norm": _batch_norm,
    "add": _add,
    "slice": arranged_rules.part,
    **dict.fromkeys((*CONVS, *DOMAIN_CONVS), _conv),
    **dict.fromkeys(MAX_POOLS, _max_pool),
    **dict.fromkeys(AVERAGES, _average),
    **dict.fromkeys(CONCATS, arranged_rules.concat),
    **dict.fromkeys(UPSAMPLES, arranged_rules.upsample),
    **dict.fromkeys(PADS, arranged_rules.pad),
    **dict.fromkeys(CLIPS, _clip),
    **dict.fromkeys(ACTIVATIONS - CLIPS, _anything),
    **dict.fromkeys(RESHAPES, _reshape),
    **dict.fromkeys(UNCHANGED, _unchanged),
}
