"""The support check: everything in a program that has no hardware, named before work starts."""

from collections import Counter
from collections.abc import Callable, Iterator
from math import prod

import torch
from torch import fx

from hwgen.errors import Problem
from hwgen.frontend.program import arguments, tensor_of, training_mode

__all__ = [
    "ASIDE",
    "CONSTANT_OPS",
    "RESHAPES",
    "UNCHANGED",
    "calls",
    "layer_of",
    "op_of",
    "problems",
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
#: Names that hwgen gives itself.
TAKEN = {"input": "the network's input", "default": "the bits of every other layer"}

_NEAREST = {
    "relu6": "use ReLU, which the quantiser bounds anyway",
    "hardtanh": "use ReLU, which the quantiser bounds anyway",
    "leaky_relu": "use ReLU", "prelu": "use ReLU", "gelu": "use ReLU", "silu": "use ReLU",
    "elu": "use ReLU", "sigmoid": "use ReLU", "tanh": "use ReLU", "hardswish": "use ReLU",
    "avg_pool2d": "use MaxPool2d, or a convolution with stride",
    "adaptive_avg_pool2d": "use MaxPool2d, or a Linear layer over the whole map",
    "adaptive_max_pool2d": "use MaxPool2d with a fixed kernel",
    "mean": "use a Linear layer over the whole map",
    "softmax": "leave it out: the largest output is the same",
    "log_softmax": "leave it out: the largest output is the same",
    "argmax": "leave it out, and take the largest of the outputs",
    "max_pool2d_with_indices": "use return_indices=False",
    "pad": "give the padding to the convolution, with padding_mode='zeros'",
    "conv1d": "use Conv2d with a kernel of height 1", "conv3d": "use Conv2d",
    "conv_transpose2d": "use Conv2d",
    "matmul": "use a Linear layer", "addmm": "use a Linear layer", "mm": "use a Linear layer",
}  # fmt: skip


def calls(program: fx.GraphModule) -> list[fx.Node]:
    """Every op of the program, in order."""
    return [node for node in program.graph.nodes if node.op == "call_function"]


def op_of(node: fx.Node) -> str:
    """The bare name of a call's op: ``conv2d`` for ``aten.conv2d.padding``, in-place or not."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return str(getattr(node.target, "__name__", node.target))
    name = node.target._schema.name.partition("::")[2]
    return "relu" if name == "relu_" else name


def constant(node: object) -> fx.Node | None:
    """The ``get_attr`` node that ``node`` is, or is a quantised copy of."""
    while isinstance(node, fx.Node) and node.op == "call_function" and op_of(node) in CONSTANT_OPS:
        node = node.args[0]
    return node if isinstance(node, fx.Node) and node.op == "get_attr" else None


def layer_of(node: fx.Node) -> str:
    """The user's own name for the layer that a call belongs to."""
    if op_of(node) in ("conv2d", "linear", "batch_norm"):
        weight = constant(node.args[1])
        if weight is not None:
            target = str(weight.target)
            return target.rpartition(".")[0] or target
    path, is_layer = node.meta.get("path", ("", False))
    return path if is_layer else f"{path}.{node.name}" if path else node.name


def problems(program: fx.GraphModule) -> Iterator[Problem]:
    """Everything that hwgen cannot build, each with its layer, the reason and what it can."""
    yield from _edges(program)
    shared = Counter(layer_of(node) for node in calls(program) if op_of(node) in _WEIGHTED)
    for name, times in shared.items():
        if times > 1:
            yield Problem(name, f"is called {times} times", "give each call a layer of its own")
        if name in TAKEN or name.endswith(".requantise"):
            stands_for = TAKEN.get(name, "the rounding after a layer")
            yield Problem(name, f"this name stands for {stands_for}", "rename the layer")
    for node in calls(program):
        yield from _call(program, node)


def _edges(program: fx.GraphModule) -> Iterator[Problem]:
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        names = ", ".join(node.name for node in inputs) or "none"
        yield Problem(
            None, f"the network has {len(inputs)} inputs ({names})", "it must take one tensor"
        )
    for node in inputs:
        name = "input" if len(inputs) == 1 else node.name
        shape, kind = node.meta.get("shape"), node.meta.get("dtype")
        if shape is None or len(shape) not in (2, 4):
            yield Problem(name, f"has the shape {shape}", "use (N, C, H, W) or (N, F)")
        elif None in shape[1:]:
            reason = f"its shape {_sizes(shape)} is not fixed"
            yield Problem(name, reason, "let only the batch vary: export with fixed sizes")
        if kind is not None and kind != torch.float32:
            yield Problem(name, f"is {kind}", "use float32")
    (outputs,) = (node for node in program.graph.nodes if node.op == "output")
    leaving = outputs.all_input_nodes
    if len(leaving) != 1:
        names = ", ".join(layer_of(n) if n.op == "call_function" else n.name for n in leaving)
        reason = f"the network has {len(leaving)} outputs ({names})"
        yield Problem(None, reason, "it must return one tensor")
    elif leaving[0].op != "call_function":
        yield Problem(None, "the network returns what it is given", "it must hold layers")


def _sizes(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


def _call(program: fx.GraphModule, node: fx.Node) -> Iterator[Problem]:
    op, layer = op_of(node), layer_of(node)
    if op in ASIDE or str(getattr(node.args[0], "target", "")).endswith(_COUNTER):
        return  # batches are counted by batch norm in training mode, which is refused itself
    if op in CONSTANT_OPS:
        yield from _uses(node, layer)
        return
    rule = _RULES.get(op)
    if rule is None:
        kind = node.target._schema.name if isinstance(node.target, torch._ops.OpOverload) else op
        base = op.rstrip("_").removeprefix("_")
        remedy = _NEAREST.get(base, "use Conv2d, Linear, BatchNorm, ReLU, MaxPool2d and Flatten")
        if base in ("add", "cat", "mul", "sub", "div"):
            remedy = "layers must follow one another in a line"
        yield Problem(layer, f"{kind.replace('::', '.')} is not supported", remedy)
        return
    yield from (Problem(layer, *found) for found in rule(program, node))
    yield from _uses(node, layer)
    if op in _WEIGHTED:
        yield from _weights(program, node, layer)


def _uses(node: fx.Node, layer: str) -> Iterator[Problem]:
    users = [user for user in node.users if user.op == "output" or op_of(user) not in ASIDE]
    if len(users) > 1:
        names = ", ".join("the output" if u.op == "output" else layer_of(u) for u in users)
        yield Problem(
            layer, f"its output is used by {names}", "layers must follow one another in a line"
        )


def _weights(program: fx.GraphModule, node: fx.Node, layer: str) -> Iterator[Problem]:
    for place, given in arguments(node).items():
        if place == "input" or not isinstance(given, fx.Node):
            continue
        source = constant(given)
        if source is None:
            yield Problem(layer, f"its {place} is computed, not stored", "use a plain parameter")
            continue
        tensor = tensor_of(program, source)
        if tensor.dtype != torch.float32:
            yield Problem(layer, f"its {place} is {tensor.dtype}", "call model.float()")
        if tensor.device.type != "cpu":
            yield Problem(layer, f"its {place} is on {tensor.device}", "call model.cpu()")
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            yield Problem(
                layer,
                f"{wrong} of {tensor.numel()} numbers in its {place} are NaN or infinite",
                "train it again",
            )


Found = Iterator[tuple[str, str]]


def _conv2d(program: fx.GraphModule, node: fx.Node) -> Found:
    given = arguments(node)
    if given["groups"] != 1:
        groups = given["groups"]
        yield f"grouped convolution (groups={groups}) is not supported", "use groups=1"
    if set(given["dilation"]) != {1}:
        yield f"dilation {_pair(given['dilation'])} is not supported", "use dilation=1"


def _linear(program: fx.GraphModule, node: fx.Node) -> Found:
    shape = node.args[0].meta.get("shape")  # type: ignore[union-attr]
    if shape is not None and len(shape) != 2:
        yield (
            f"is applied to the last axis of {_sizes(shape)}",
            "flatten first: torch.flatten(x, 1)",
        )


def _batch_norm(program: fx.GraphModule, node: fx.Node) -> Found:
    given = arguments(node)
    if given["training"] and given["running_mean"] is not None:
        problem = training_mode("")
        yield problem.reason, problem.remedy
    elif given["running_mean"] is None or given["running_var"] is None:
        yield "has no running mean and variance", "use track_running_stats=True"
    source = _before(node)
    if source is None or op_of(source) not in ("conv2d", "linear"):
        place = "the input" if source is None else layer_of(source)
        yield (
            f"follows {place}, and so cannot be folded into weights",
            "put it straight after a Conv2d or Linear layer",
        )


def _relu(program: fx.GraphModule, node: fx.Node) -> Found:
    source = _before(node)
    while source is not None and op_of(source) in ("relu", "max_pool2d", *RESHAPES):
        source = _before(source)
    if source is None:
        yield "follows no layer with weights", "leave it out, or put it after Conv2d or Linear"


def _max_pool2d(program: fx.GraphModule, node: fx.Node) -> Found:
    given = arguments(node)
    if given["ceil_mode"]:
        yield "ceil_mode=True is not supported", "use ceil_mode=False, with padding if need be"
    if set(given["dilation"]) != {1}:
        yield f"dilation {_pair(given['dilation'])} is not supported", "use dilation=1"


def _reshape(program: fx.GraphModule, node: fx.Node) -> Found:
    before = node.args[0].meta.get("shape")  # type: ignore[union-attr]
    after = node.meta.get("shape")
    if before is None or after is None:
        yield "its shape is unknown", "export the network again"
    elif after != before and (after[:1] != before[:1] or after[1:] != (_size(before[1:]),)):
        yield (
            f"turns {_sizes(before)} into {_sizes(after)}",
            "only a vector for each frame is supported: torch.flatten(x, 1)",
        )


def _size(shape: tuple[int | None, ...]) -> int | None:
    fixed = [size for size in shape if size is not None]
    return prod(fixed) if len(fixed) == len(shape) else None


def _unchanged(program: fx.GraphModule, node: fx.Node) -> Found:
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


def _pair(values: list[int]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)


_COUNTER = "num_batches_tracked"
_WEIGHTED = {"conv2d", "linear", "batch_norm"}
_RULES: dict[str, Callable[[fx.GraphModule, fx.Node], Found]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "relu": _relu,
    "max_pool2d": _max_pool2d,
    **dict.fromkeys(RESHAPES, _reshape),
    **dict.fromkeys(UNCHANGED, _unchanged),
}
