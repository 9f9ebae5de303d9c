"""Grids: which real numbers the integers of a tensor stand for, as the program's ops say."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.check import constant, layer_of, op_of
from hwgen.frontend.program import arguments, tensor_of
from hwgen.network import bits_for
from hwgen.nn.quantize import quantize

__all__ = ["Grid", "grid_of", "integers_of", "narrow"]


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


def narrow(x: np.ndarray) -> np.ndarray:
    """The same integers, contiguous, as int32 where they fit."""
    fits = x.size == 0 or (x.min() >= -(1 << 31) and x.max() < 1 << 31)
    return np.ascontiguousarray(x, dtype=np.int32 if fits else np.int64)
