"""Calls that compute nothing as ops: concatenation, parts, padding, upsampling."""

from collections.abc import Sequence
from math import inf, isclose, log2

from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.calls import ACTIVATIONS, layer_of, op_of
from hwgen.frontend.geometry import Padding, factor_of, pad_of, part_of
from hwgen.frontend.rescale import MAX_APART
from hwgen.network import Concat, Slice, TensorType, Upsample2d

__all__ = ["concat", "larger", "padding", "part"]


def concat(
    call: fx.Node, kinds: Sequence[TensorType]
) -> tuple[Concat, float | tuple[float, ...], bool]:
    """Tensors side by side, what a step is in real numbers, and whether they are to be rounded.

    Those that nothing rounds afterwards come to the grid of the finest. Raises UserError unless
    their scales then differ by powers of two.
    """
    scales = [float(kind.scale) for kind in kinds]  # type: ignore[arg-type]
    finest = scales.index(min(scales))
    powers = [log2(scale / scales[finest]) for scale in scales]
    aligned = all(isclose(p, round(p), abs_tol=1e-9) and p <= MAX_APART for p in powers)
    readers = {op_of(user) for user in call.users if user.op == "call_function"}
    later = {"fake_quantize"} if aligned else {"fake_quantize", *ACTIVATIONS}
    if readers and readers <= later:
        return *_sums(kinds), True
    if not aligned:
        reason = f"one step of one tensor is {max(scales) / min(scales):g} steps of another"
        remedy = "quantise them with one scale, or scales whose ratio is a power of two"
        raise UserError(Problem(layer_of(call), reason, remedy))
    integers = tuple(kind.integers for kind in kinds)
    op = Concat(integers, tuple(map(round, powers)), kinds[finest].zero_point)
    return op, scales[finest], False


def _sums(kinds: Sequence[TensorType]) -> tuple[Concat, tuple[float, ...]]:
    """Tensors of any scales less their zero points, and what a step is in each channel."""
    steps = [float(kind.scale) for kind in kinds for _ in range(kind.channels)]  # type: ignore
    return Concat(tuple(kind.integers for kind in kinds), (0,) * len(kinds)), tuple(steps)


def part(call: fx.Node, kind: TensorType) -> Slice:
    """The part of ``kind`` that a slice takes."""
    found = part_of(call)
    assert found is not None, "the support check has seen to it"
    axis, low, high = found
    start, stop = [0, 0, 0], list(kind.map_shape)
    start[axis], stop[axis] = low, high
    return Slice(kind, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def larger(call: fx.Node, kind: TensorType) -> Upsample2d:
    """``kind`` repeated by whole factors."""
    factor = factor_of(call)
    assert factor is not None, "the support check has seen to it"
    return Upsample2d(kind, factor)


def padding(call: fx.Node, kind: TensorType) -> tuple[Padding, int]:
    """The places that a pad adds, and the integer that they hold.

    Raises UserError if that number is not on the grid.
    """
    found = pad_of(call)
    assert found is not None, "the support check has seen to it"
    places, value = found
    if value == -inf:
        return places, kind.lo
    exact = value / float(kind.scale) + kind.zero_point  # type: ignore[arg-type]
    if abs(exact - round(exact)) > 1e-6 or not kind.lo <= round(exact) <= kind.hi:
        least, most = ((end - kind.zero_point) * kind.scale for end in (kind.lo, kind.hi))
        reason = f"pads with {value:g}, which its tensor cannot hold"
        remedy = f"use a multiple of {kind.scale:g} from {least:g} to {most:g}"
        raise UserError(Problem(layer_of(call), reason, remedy))
    return places, round(exact)
