"""The support check: everything in a program that has no hardware, named before work starts."""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import fx

from hwgen.errors import Problem
from hwgen.frontend.affine import is_affine, source_of
from hwgen.frontend.calls import (
    ASIDE,
    CONSTANT_OPS,
    DOMAIN_CONVS,
    WEIGHTED,
    calls,
    constant,
    layer_of,
    op_of,
    will_round,
)
from hwgen.frontend.neighbours import sizes
from hwgen.frontend.program import ORIGIN, arguments, entries, leaving, tensor_of
from hwgen.frontend.rules import NEAREST, RULES

__all__ = ["problems"]

#: Names that hwgen gives itself.
TAKEN = {"input": "the network's input", "default": "the bits of every other layer"}

LAYERS = "use Conv2d, Linear, BatchNorm, ReLU, pools, additions, concatenation and Flatten"


def problems(program: fx.GraphModule) -> Iterator[Problem]:
    """Everything that hwgen cannot build, each with its layer, the reason and what it can."""
    yield from _edges(program)
    named = [node for node in calls(program) if will_round(node) or op_of(node) == "batch_norm"]
    weighted = {*WEIGHTED, "batch_norm"}
    shared = Counter(layer_of(node) for node in named if op_of(node) in weighted)
    for name, times in shared.items():
        if times > 1:
            yield Problem(name, f"is called {times} times", "give each call a layer of its own")
    taken = {name: "an input of the network" for name in entries(program)} | TAKEN
    for name in dict.fromkeys(map(layer_of, named)):
        if name in taken or name.endswith(".requantise"):
            stands_for = taken.get(name, "the rounding after a layer")
            yield Problem(name, f"this name stands for {stands_for}", "rename the layer")
    for node in calls(program):
        yield from _call(program, node)


def _edges(program: fx.GraphModule) -> Iterator[Problem]:
    inputs = entries(program)
    if not inputs:
        yield Problem(None, "the network has no inputs", "it must take at least one tensor")
    for name, node in inputs.items():
        shape, kind = node.meta.get("shape"), node.meta.get("dtype")
        if shape is None or len(shape) not in (2, 3, 4):
            yield Problem(name, f"has the shape {shape}", "use (N, C, H, W), (N, C, L) or (N, F)")
        elif None in shape[1:]:
            reason = f"its shape {sizes(shape)} is not fixed"
            yield Problem(name, reason, "let only the batch vary: export with fixed sizes")
        if kind is not None and kind != torch.float32:
            yield Problem(name, f"is {kind}", "use float32")
    outputs = leaving(program)
    if not any(isinstance(node, fx.Node) for node in outputs):
        yield Problem(None, "the network returns no tensor", "it must return one")
        return
    for name, node in inputs.items():
        if not node.users:
            yield Problem(name, "nothing reads it", "leave it out")
    for node in outputs:
        if not isinstance(node, fx.Node):
            yield Problem(None, f"the network returns {node!r}", "it must return tensors")
        elif node.op != "call_function":
            yield Problem(None, "the network returns what it is given", "it must hold layers")


def _call(program: fx.GraphModule, node: fx.Node) -> Iterator[Problem]:
    op, layer = op_of(node), layer_of(node)
    if op in ASIDE or str(getattr(node.args[0], "target", "")).endswith(_COUNTER):
        return  # batches are counted by batch norm in training mode, which is refused itself
    if op in CONSTANT_OPS:
        return
    if op.startswith("operator."):
        yield Problem(layer, f"computes {op} with sizes", "write the sizes of a frame as numbers")
        return
    rule = RULES.get(op)
    if rule is None:
        kind = node.target._schema.name if isinstance(node.target, torch._ops.OpOverload) else op
        remedy = NEAREST.get(op.rstrip("_").removeprefix("_"), LAYERS)
        yield Problem(layer, f"{kind.replace('::', '.')} is not supported", remedy)
        return
    yield from (Problem(layer, *found) for found in rule(node))
    if op in _STORED or is_affine(node):
        yield from _weights(program, node, layer)


def _weights(program: fx.GraphModule, node: fx.Node, layer: str) -> Iterator[Problem]:
    for place, given in arguments(node).items():
        computed = source_of(node) if is_affine(node) else node.args[0]
        if given is computed or not isinstance(given, fx.Node):
            continue
        source = constant(given)
        if source is None:
            yield Problem(layer, f"its {place} is computed, not stored", "use a plain parameter")
            continue
        tensor = tensor_of(program, source)
        if tensor.dtype != torch.float32 and ORIGIN not in program.meta:
            yield Problem(layer, f"its {place} is {tensor.dtype}", "call model.float()")
        if tensor.device.type != "cpu":
            yield Problem(layer, f"its {place} is on {tensor.device}", "call model.cpu()")
            continue
        wrong = int((~torch.isfinite(tensor)).sum())
        if wrong:
            yield Problem(
                layer,
                f"{wrong} of {tensor.numel()} numbers in its {place} are NaN or infinite",
                "train it again",
            )


_COUNTER = "num_batches_tracked"
# Calls that read stored tensors.
_STORED = {*WEIGHTED, *DOMAIN_CONVS, "batch_norm", "prelu"}
