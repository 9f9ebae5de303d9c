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
) -> tuple[WinogradConv2d, tuple[float, ...]]:
    """The op of a call of ``winograd_conv2d``, and what one step of its sums is in real numbers,
    for each output channel.

    ``more`` is padding from before the call. Raises UserError.
    """
    given, layer = arguments(call), layer_of(call)
    if not np.isclose(given["input_scale"], float(source.scale), rtol=1e-9, atol=0):  # type: ignore
        reason = f"is made for inputs in steps of {given['input_scale']:g}, not {source.scale:g}"
        raise UserError(Problem(layer, reason, "give it the scale of what it reads"))
    weights, grid = integers_of(graph, given["weight"])
    scales = _scales(grid, weights.shape[:2])
    powers = _powers(layer, grid, scales)
    _check_range(graph, given["weight"], grid, scales, layer)
    shifts = np.array(given["shifts"], np.int64)
    finest = int((powers + shifts).min())
    steps = scales.min(0) * 2.0**finest * float(source.scale)  # type: ignore[arg-type]
    bias = np.zeros(weights.shape[1], np.int64)
    if given["bias"] is not None:
        bias, of_bias = integers_of(graph, given["bias"])
        if of_bias.zero_point or not np.allclose(of_bias.scale, steps, rtol=1e-9, atol=0):
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
    return op, tuple(map(float, steps))


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


def _scales(grid: Grid, shape: tuple[int, int]) -> np.ndarray:
    """Those of each tap and output channel, ``shape``; of one dimension, those of the taps."""
    taps, channels = shape
    given = grid.scale.reshape(-1 if len(grid.scale) == 1 else taps, -1)
    return np.broadcast_to(given, (taps, channels))


def _powers(layer: str, grid: Grid, scales: np.ndarray) -> np.ndarray:
    """By which powers of two the taps' scales exceed the least of them."""
    found = np.log2(scales / scales.min(0))
    alike = np.abs(found - found[:, :1]).max() < 1e-9  # in every channel
    if grid.zero_point or not alike or np.abs(found - np.rint(found)).max() > 1e-9:
        reason = "the scales of its taps are not powers of two apart"
        raise UserError(Problem(layer, reason, QUANTISE))
    return np.rint(found[:, 0]).astype(np.int64)


def _check_range(
    graph: fx.GraphModule, call: fx.Node, grid: Grid, scales: np.ndarray, layer: str
) -> None:
    """Weights must fit the bits of their taps: clipped, they would be another network."""
    source = constant(call)
    assert source is not None, "the support check has seen to it"
    stored = tensor_of(graph, source).double().numpy()
    steps = np.rint(stored / scales[..., None])
    beyond = (steps < grid.lo) | (steps > grid.hi)
    if beyond.any():
        side = int(len(beyond) ** 0.5)
        count = int(beyond.sum())
        taps = [f"({n // side}, {n % side})" for n in np.flatnonzero(beyond.any((1, 2))).tolist()]
        _, out, into = np.argwhere(beyond)[0].tolist()
        raise UserError(
            Problem(
                layer,
                f"{count} weights exceed the {grid.bits} bits of their taps "
                f"{', '.join(taps[:4])}{' and others' if len(taps) > 4 else ''}, the first one "
                f"from input channel {into} to output channel {out}",
                "call its settle() after training, or give it more weight_bits",
            )
        )
