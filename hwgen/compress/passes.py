"""Rewrites of a float program, each exact, that leave weights, activations, pools and additions."""

import torch
from torch import fx

from hwgen.frontend.calls import calls, constant, op_of
from hwgen.frontend.passes import (
    bypass,
    drop_unchanged,
    hoist_clips,
    merge_clips,
    one_output,
    plain_flatten,
)
from hwgen.frontend.program import arguments, put, tensor_of

__all__ = ["PASSES", "fold_batch_norm", "set_bias"]


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
        bypass(node)


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
