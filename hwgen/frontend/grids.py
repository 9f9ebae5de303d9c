"""Grids: which real numbers the integers of a tensor stand for, as the program's ops say."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.calls import constant, layer_of, op_of
from hwgen.frontend.program import arguments, tensor_of
from hwgen.frontend.ratios import multipliers
from hwgen.network import TensorType, bits_for
from hwgen.nn.quantize import quantize

__all__ = ["Grid", "grid_of", "integers_of", "layer_integers", "narrow", "real_of"]


@dataclass(frozen=True, eq=False)
class Grid:
    """``real = scale * (q - zero_point)``, ``lo <= q <= hi``; one scale, or one a channel.

    ``bipolar`` means that q is -1 or +1.
    """

    scale: np.ndarray
    zero_point: int
    lo: int
    hi: int
    bipolar: bool = False

    @property
    def bits(self) -> int:
        """Width of the narrowest integers that hold it."""
        return 1 if self.bipolar else bits_for(self.lo, self.hi)[0]


def grid_of(graph: fx.GraphModule, call: fx.Node) -> Grid:
    """The grid that a call of ``fake_quantize`` or ``binarize`` puts its tensor on."""
    given = arguments(call)
    scale = tensor_of(graph, given["scale"]).double().numpy().reshape(-1)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        reason = "has a scale that is not a positive number"
        raise UserError(Problem(layer_of(call), reason, "quantise it again"))
    if op_of(call) == "binarize":
        return Grid(scale, 0, -1, 1, bipolar=True)
    zeros = tensor_of(graph, given["zero_point"]).reshape(-1)
    if len(set(zeros.tolist())) != 1:
        reason = "has several zero points"
        raise UserError(Problem(layer_of(call), reason, "use one for the whole tensor"))
    return Grid(scale, int(zeros[0]), given["lo"], given["hi"])


def integers_of(graph: fx.GraphModule, call: fx.Node) -> tuple[np.ndarray, Grid]:
    """The integers, int64, of a stored tensor that ``call`` quantises, and their grid."""
    grid, given = grid_of(graph, call), arguments(call)
    source = constant(call)
    assert source is not None, "the support check has seen to it"
    x = tensor_of(graph, source)
    if grid.bipolar:
        return torch.where(x >= 0, 1, -1).numpy().astype(np.int64), grid
    scale, zero_point = tensor_of(graph, given["scale"]), tensor_of(graph, given["zero_point"])
    q = quantize(x, scale, zero_point, grid.lo, grid.hi, given["axis"])
    return q.numpy().astype(np.int64), grid


def layer_integers(
    graph: fx.GraphModule, call: fx.Node, source: TensorType, to: float | None, signs: bool = False
) -> tuple[np.ndarray, np.ndarray, int, tuple[float, ...]]:
    """What a layer with weights makes sums of, if it reads tensors of the type ``source``.

    Integer weights in torch's order, integer bias, the bits of the weights, and what one step of
    the sum is in real numbers, for each output channel. ``to`` is the step that the sums are
    rounded to next, None if they are not; of ``signs`` alone, the bias is rounded down, which
    changes none. Raises UserError.
    """
    given, layer = arguments(call), layer_of(call)
    weights, grid = integers_of(graph, given["weight"])
    channels, bits = len(weights), grid.bits
    scales = np.broadcast_to(grid.scale * source.scale, (channels,))
    if grid.zero_point:
        raise UserError(Problem(layer, "its weights have a zero point", "use symmetric ones"))
    bias = np.zeros(channels, np.int64)
    if given["bias"] is not None:
        real = real_of(graph, given["bias"])
        finer = _finer(real / scales, scales, to)
        if bits + finer > 16:
            reason = f"one step of its sums is up to {2**finer} steps of its output, too coarse"
            reason += " for its bias"
            remedy = "use fewer bits for its output, or more for its weights or its input"
            raise UserError(Problem(layer, reason, remedy))
        if finer:
            weights, bits, scales = weights << finer, bits + finer, scales / 2.0**finer
        bias, scales = _bias(real, weights, scales, to)
        if signs:  # of an integer n and a real bias b: n + b >= 0 if n + floor(b) >= 0
            exact = real / scales  # but for the rounding of float64
            bias = np.floor(exact + 2.0**-40 * np.maximum(1, np.abs(exact))).astype(np.int64)
    # sum w * (q - z) = sum w * q - z * sum w; padding holds z, and so adds nothing to either.
    bias = bias - source.zero_point * weights.reshape(channels, -1).sum(1)
    return weights, bias, bits, tuple(map(float, scales))


def real_of(graph: fx.GraphModule, bias: fx.Node) -> np.ndarray:
    """A bias in real numbers, whether it lies on a grid or not; float64."""
    if bias.op == "get_attr":
        return tensor_of(graph, bias).double().numpy()
    integers, grid = integers_of(graph, bias)
    return (integers - grid.zero_point) * grid.scale


def _finer(bias: np.ndarray, scales: np.ndarray, to: float | None) -> int:
    """By how many bits the steps of the sums must be finer, so that a bias between two of them is
    off by at most half a step of what the sums are rounded to."""
    between = np.abs(bias - np.rint(bias)) > 1e-6 * np.maximum(1, np.abs(bias))
    if to is None or not between.any():
        return 0
    return max(0, int(np.ceil(np.log2(scales[between].max() / to))))


def _bias(
    real: np.ndarray, weights: np.ndarray, scales: np.ndarray, to: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """The integer bias, and the scales of the sums, which change only where all weights are 0."""
    idle = ~weights.reshape(len(weights), -1).any(1)
    idle &= scales < scales.max() / 1024  # an arbitrary scale, and a bias of needlessly many bits
    scales = np.where(idle, scales.max(), scales)
    if to is None:
        return np.rint(real / scales).astype(np.int64), scales
    m, shift = multipliers(np.minimum(scales / to, 65535))
    # One step of the sum counts for this much once it is rounded. Where one channel's scale is tiny
    # beside the others', its multiplier has few bits; its bias makes up for that.
    counts = m * (to / 2.0**shift)
    off = np.abs(real / scales) * np.abs(counts - scales) > to / 4
    return np.rint(real / np.where(off, counts, scales)).astype(np.int64), scales


def narrow(x: np.ndarray) -> np.ndarray:
    """The same integers, contiguous, as int32 where they fit."""
    fits = x.size == 0 or (x.min() >= -(1 << 31) and x.max() < 1 << 31)
    return np.ascontiguousarray(x, dtype=np.int32 if fits else np.int64)
