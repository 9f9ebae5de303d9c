"""Calls that multiply each channel by a number and add one: batch norm, and sums and products with
constants."""

from typing import Literal

import torch
from torch import fx

from hwgen.frontend.calls import CONSTANTS, WEIGHTED, constant, op_of
from hwgen.frontend.neighbours import after, before, shape_of
from hwgen.frontend.program import arguments, tensor_of

__all__ = ["AFFINE", "affine_of", "home_of", "is_affine", "source_of"]

#: Ops that are of this kind where one of their operands is stored, or a number.
AFFINE = {*CONSTANTS, "add"}


def _is_constant(operand: object) -> bool:
    return not isinstance(operand, fx.Node) or constant(operand) is not None


def source_of(node: fx.Node) -> fx.Node | None:
    """What an affine call reads; None if the call is none, or reads several tensors or none."""
    if op_of(node) not in AFFINE:
        return None
    operands = node.args[:1] if op_of(node) in ("batch_norm", "neg") else node.args[:2]
    computed = [one for one in operands if not _is_constant(one)]
    return computed[0] if len(computed) == 1 else None  # type: ignore[return-value]


def is_affine(node: fx.Node) -> bool:
    """Whether a call is affine, and its constants one for all or one a channel."""
    source = source_of(node)
    if source is None or (op_of(node) == "div" and source is not node.args[0]):
        return False
    if op_of(node) == "batch_norm":
        return True
    shape = shape_of(source) or ()
    if shape_of(node) not in (None, shape):
        return False  # the constant repeats the tensor
    for operand in node.args[:2]:
        if operand is source or not isinstance(operand, fx.Node):
            continue
        # Broadcast: leading ones do not matter, then channels, then ones for rows and columns.
        sizes = [1] * len(shape) + list(operand.meta.get("shape") or ())
        if any(size != 1 for n, size in enumerate(sizes[-len(shape) :]) if n != 1):
            return False
    return arguments(node).get("rounding_mode") is None


def affine_of(program: fx.GraphModule, node: fx.Node) -> tuple[torch.Tensor, torch.Tensor]:
    """``(gain, shift)`` of an affine call, float64, each one number for all or one a channel."""
    op, given = op_of(node), arguments(node)

    def read(operand: object, otherwise: float = 0.0) -> torch.Tensor:
        if isinstance(operand, fx.Node):
            return tensor_of(program, operand).double().reshape(-1)
        return torch.tensor([otherwise if operand is None else float(operand)]).double()  # type: ignore

    one = torch.ones(1, dtype=torch.float64)
    if op == "batch_norm":
        deviation = torch.sqrt(read(given["running_var"], 1.0) + given["eps"])
        gain = read(given["weight"], 1.0) / deviation
        return gain, read(given["bias"]) - read(given["running_mean"]) * gain
    if op == "neg":
        return -one, 0 * one
    number = read(node.args[1] if source_of(node) is node.args[0] else node.args[0])
    if op in ("mul", "div"):
        return (number if op == "mul" else 1 / number), 0 * one
    alpha = float(given.get("alpha", 1))
    first = source_of(node) is node.args[0]
    if op == "add":
        return (one, alpha * number) if first else (alpha * one, number)
    if op == "rsub":  # which subtracts its first operand, times alpha, from its second
        return (-alpha * one, number) if first else (one, -alpha * number)
    return (one, -alpha * number) if first else (-alpha * one, number)


def _only_linear(node: fx.Node) -> bool:
    """Whether Linear layers alone read a call, after other affine calls or not."""
    return all(
        reader.op != "output"
        and (op_of(reader) == "linear" or (is_affine(reader) and _only_linear(reader)))
        for reader in after(node)
    )


def _alone(source: fx.Node | None, layer: fx.Node) -> bool:
    """Whether one call reads ``layer``, and one each of what leads from there to ``source``."""
    while source is not None and source is not layer and len(source.users) == 1:
        source = source.args[0]  # type: ignore[assignment]
    return source is layer and len(layer.users) == 1


def home_of(node: fx.Node) -> Literal["before", "after", "alone"] | None:
    """Where an affine call goes: into the weights of the layer before it, or of all those after
    it, or into a depthwise convolution of its own; None if it is applied to vectors and neither
    layer is there."""
    source = source_of(node)
    layer = before(node, source)
    if (
        layer is not None
        and _alone(source, layer)
        and (op_of(layer) in WEIGHTED or (is_affine(layer) and home_of(layer) != "after"))
    ):
        return "before"
    if _only_linear(node):
        return "after"
    return "alone" if len(shape_of(source) or ()) in (3, 4) else None
