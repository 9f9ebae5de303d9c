"""Convolutions with weights in Winograd's domain: the integers that a program holds for them."""

import copy

import numpy as np
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.calls import DOMAIN_CONVS, calls, constant, layer_of, op_of
from hwgen.frontend.geometry import Padding
from hwgen.frontend.grids import Grid, integers_of, narrow
from hwgen.frontend.program import arguments, set_argument, tensor_of
from hwgen.network import TensorType, WinogradConv2d

__all__ = ["domain_conv", "unrounded"]

QUANTISE = "use hwgen.nn.winograd.WinogradConv2d, and call its settle()"


def domain_conv(
    graph: fx.GraphModule, call: fx.Node, source: TensorType, more: Padding
) -> tuple[WinogradConv2d, float]:
    """The op of a call of ``winograd_conv2d``, and what one step of its sums is in real numbers.

    ``more`` is padding from before the call. Raises UserError.
    """
    given, layer = arguments(call), layer_of(call)
    if not np.isclose(given["input_scale"], float(source.scale), rtol=1e-9, atol=0):  # type: ignore
        reason = f"is made for inputs in steps of {given['input_scale']:g}, not {source.scale:g}"
        raise UserError(Problem(layer, reason, "give it the scale of what it reads"))
    weights, grid = integers_of(graph, given["weight"])
    powers = _powers(layer, grid, len(weights))
    _check_range(graph, given["weight"], grid, layer)
    shifts = np.array(given["shifts"], np.int64)
    finest = int((powers + shifts).min())
    step = float(grid.scale.min()) * 2.0**finest * float(source.scale)  # type: ignore[arg-type]
    bias = np.zeros(weights.shape[1], np.int64)
    if given["bias"] is not None:
        bias, steps = integers_of(graph, given["bias"])
        if steps.zero_point or not np.allclose(steps.scale, step, rtol=1e-9, atol=0):
            reason = "its bias is on another grid than its sums"
            raise UserError(Problem(layer, reason, QUANTISE))
    t, bits = given["tile"] + 2, grid.bits
    padding = tuple(a + b for a, b in zip(more, given["padding"], strict=True))
    op = WinogradConv2d(
        source.integers,
        narrow(weights.reshape(t, t, *weights.shape[1:])),
        narrow(bias),
        bits,
        given["tile"],
        (powers + shifts - finest).reshape(t, t),
        shifts.reshape(t, t),
        given["transform_bits"],
        padding,  # type: ignore[arg-type]
    )
    return op, step


def unrounded(program: fx.GraphModule, tile: int) -> tuple[list[str], fx.GraphModule]:
    """Layers in the domain of F(tile x tile, 3 x 3), and a copy of ``program`` whose weights and
    transforms are not rounded in them."""
    layers = list(map(layer_of, _of_tile(program, tile)))
    exact = copy.deepcopy(program) if layers else program
    for call in _of_tile(exact, tile):
        set_argument(call, "weight", constant(arguments(call)["weight"]))
        set_argument(call, "transform_bits", 0)
    exact.recompile()
    return layers, exact


def _of_tile(program: fx.GraphModule, tile: int) -> list[fx.Node]:
    of_domain = (call for call in calls(program) if op_of(call) in DOMAIN_CONVS)
    return [call for call in of_domain if arguments(call)["tile"] == tile]


def _powers(layer: str, grid: Grid, taps: int) -> np.ndarray:
    """By which powers of two the taps' scales exceed the least of them."""
    scales = np.broadcast_to(grid.scale, (taps,))
    found = np.log2(scales / scales.min())
    if grid.zero_point or np.abs(found - np.rint(found)).max() > 1e-9:
        reason = "the scales of its taps are not powers of two apart"
        raise UserError(Problem(layer, reason, QUANTISE))
    return np.rint(found).astype(np.int64)


def _check_range(graph: fx.GraphModule, call: fx.Node, grid: Grid, layer: str) -> None:
    """Weights must fit the bits of their taps: clipped, they would be another network."""
    source = constant(call)
    assert source is not None, "the support check has seen to it"
    stored = tensor_of(graph, source).double().numpy()
    steps = np.rint(stored / np.broadcast_to(grid.scale, len(stored)).reshape(-1, 1, 1))
    beyond = ((steps < grid.lo) | (steps > grid.hi)).sum((1, 2))
    if beyond.any():
        side = int(len(beyond) ** 0.5)
        taps = [f"({n // side}, {n % side})" for n in np.flatnonzero(beyond).tolist()]
        raise UserError(
            Problem(
                layer,
                f"{int(beyond.sum())} weights exceed the {grid.bits} bits of their taps "
                f"{', '.join(taps[:4])}{' and others' if len(taps) > 4 else ''}",
                "call its settle() after training, or give it more weight_bits",
            )
        )
