"""The ops of PT2E's ``quantized_decomposed`` library: which grid each of them says."""

from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import fx

from hwgen.frontend.calls import CONSTANT_OPS, op_of
from hwgen.frontend.program import arguments, tensor_of
from hwgen.network import bits_for

with suppress(ImportError):  # registers the ops; a torch without them has no such networks either
    import torch.ao.quantization.fx._decomposed

__all__ = [
    "GivenGrid",
    "along_axis",
    "folded",
    "grid_of",
    "is_decomposed",
    "is_dequantize",
    "is_dynamic",
    "is_quantised",
    "is_quantize",
]

NAMESPACE = "quantized_decomposed"


@dataclass(frozen=True, eq=False)
class GivenGrid:
    """``real = scale * (q - zero_point)``, ``lo <= q <= hi``; float64, one scale or one a channel.

    ``axis`` is that of the channels, -1 for one scale.
    """

    scale: torch.Tensor
    zero_point: int | torch.Tensor
    lo: int
    hi: int
    axis: int = -1

    @property
    def bits(self) -> int:
        """Width of the narrowest integers that hold it."""
        return bits_for(self.lo, self.hi)[0]

    @property
    def key(self) -> tuple:
        """The same for equal grids."""
        zero = self.zero_point
        zeros = zero if isinstance(zero, int) else tuple(zero.tolist())
        return tuple(self.scale.reshape(-1).tolist()), zeros, self.lo, self.hi, self.axis

    def problems(self, most: int):
        """Why activations cannot be on it: reasons and remedies. ``most`` is their most bits."""
        if self.axis >= 0:
            yield "its activations have a scale for each channel", "use one for the whole tensor"
        if self.bits > most:
            yield f"its activations have {self.bits} bits", f"use at most {most}"
        if isinstance(self.zero_point, int) and not self.lo <= self.zero_point <= self.hi:
            yield (
                f"its zero point {self.zero_point} lies outside of {self.lo} to {self.hi}",
                "use a range that holds zero",
            )


def along_axis(numbers: torch.Tensor, axis: int, x: torch.Tensor) -> torch.Tensor:
    """One number, if ``axis`` is -1, or one for each place of it, so that they broadcast over x."""
    return numbers.reshape([-1 if i == axis else 1 for i in range(x.dim())])


def is_decomposed(graph: fx.Graph) -> bool:
    """Whether PT2E has quantised anything in a graph."""
    return any(is_quantize(node) or is_dequantize(node) for node in graph.nodes)


def is_quantised(graph: fx.Graph) -> bool:
    """Whether PT2E has quantised anything in a graph, or hwgen has."""
    ours = (op_of(n) in CONSTANT_OPS for n in graph.nodes if n.op == "call_function")
    return any(ours) or is_decomposed(graph)


def is_quantize(node: fx.Node) -> bool:
    """Whether a call turns floats into integers on a stated grid."""
    return _is(node, "quantize_per_tensor", "quantize_per_channel")


def is_dequantize(node: fx.Node) -> bool:
    """Whether a call turns integers into floats on a stated grid."""
    return _is(node, "dequantize_per_tensor", "dequantize_per_channel")


def _is(node: fx.Node, *names: str) -> bool:
    target = node.target
    mine = isinstance(target, torch._ops.OpOverload) and target.namespace == NAMESPACE
    return mine and op_of(node) in names


def grid_of(program: fx.GraphModule, node: fx.Node) -> GivenGrid:
    """The grid of a ``quantize`` or ``dequantize`` call."""
    given = arguments(node)
    lo, hi = (int(_number(program, given[end])) for end in ("quant_min", "quant_max"))
    if op_of(node).endswith("per_channel"):
        scale = tensor_of(program, given["scales"]).double()
        zeros = given["zero_points"]
        zero = torch.zeros(len(scale)) if zeros is None else tensor_of(program, zeros)
        axis = given["axis"]
        if axis < 0:  # counted from the end
            axis += len(node.args[0].meta.get("shape") or tensor_of(program, node.args[0]).shape)  # type: ignore
        return GivenGrid(scale, zero.to(torch.int64), lo, hi, axis)
    step, zero_point = (_number(program, given[name]) for name in ("scale", "zero_point"))
    return GivenGrid(torch.tensor(step, dtype=torch.float64), int(zero_point), lo, hi)


def is_dynamic(node: fx.Node) -> bool:
    """Whether the grid of a call is chosen anew for each input."""
    given = [value for value in node.args[1:] if isinstance(value, fx.Node)]
    return any(value.op != "get_attr" for value in given)


def _number(program: fx.GraphModule, value: fx.Node | float) -> float:
    return tensor_of(program, value).reshape(()).item() if isinstance(value, fx.Node) else value


def folded(
    program: fx.GraphModule, node: fx.Node
) -> tuple[torch.Tensor, torch.Tensor, int, int, int] | None:
    """A stored tensor that ``node`` dequantises: integers less zero point, scale, axis, range.

    The integers are stored themselves, or are what PT2E's ``quantize`` makes of stored floats. None
    if ``node`` is something else. The range is symmetric enough to be that of signed integers.
    """
    if not is_dequantize(node) or is_dynamic(node):
        return None
    grid, source = grid_of(program, node), node.args[0]
    if isinstance(source, fx.Node) and source.op == "get_attr":
        integers = tensor_of(program, source).to(torch.int64)
    elif (
        isinstance(source, fx.Node)
        and is_quantize(source)
        and isinstance(source.args[0], fx.Node)
        and source.args[0].op == "get_attr"
    ):
        if is_dynamic(source):
            return None
        integers = _quantized(program, tensor_of(program, source.args[0]), source)
    else:
        return None
    zero = grid.zero_point
    if isinstance(zero, torch.Tensor):
        zero = along_axis(zero, grid.axis, integers)
    centred = integers - zero
    # With a zero point, only what is there counts: 8 bits from 0 to 255 may need 8 or 9.
    is_plain = not bool(torch.as_tensor(zero).any())
    lo = grid.lo if is_plain else int(centred.min())
    hi = grid.hi if is_plain else int(centred.max())
    return centred, grid.scale, grid.axis, min(lo, -1), max(hi, 1)


def _quantized(program: fx.GraphModule, x: torch.Tensor, node: fx.Node) -> torch.Tensor:
    """What PT2E makes of stored floats: it multiplies by the inverse of the scale, in float32."""
    grid = grid_of(program, node)
    if grid.axis < 0:
        scaled, zero = x.float() * (1.0 / float(grid.scale)), grid.zero_point
    else:
        scale = tensor_of(program, arguments(node)["scales"])
        scaled = x.float() * along_axis(1.0 / scale, grid.axis, x)
        zero = along_axis(grid.zero_point, grid.axis, x)  # type: ignore[arg-type]
    return torch.clamp(torch.round(scaled) + zero, grid.lo, grid.hi).to(torch.int64)
