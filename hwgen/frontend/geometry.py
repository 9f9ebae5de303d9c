"""What calls say of windows, padding and clipping, each kind in one form.

Lines of values (N, C, L) are maps of one row: what a call says of them is put into that form too.
"""

from collections.abc import Sequence
from math import inf, isfinite

from torch import fx

from hwgen.frontend.calls import op_of
from hwgen.frontend.program import arguments

__all__ = [
    "Padding",
    "average_of",
    "conv_padding",
    "factor_of",
    "pad_of",
    "pair",
    "part_of",
    "pool_padding",
    "pool_stride",
]

#: Places added at the top, bottom, left and right of a map.
Padding = tuple[int, int, int, int]


def pair(node: fx.Node, name: str, row: int = 1) -> tuple[int, int]:
    """(down, across) from torch's one or two numbers; ``row`` is the first one for lines."""
    values: Sequence[int] = arguments(node)[name]
    return (row if op_of(node).endswith("1d") else values[0]), values[-1]


def pool_stride(node: fx.Node) -> tuple[int, int]:
    """The stride of a pool: its kernel if none is given."""
    return pair(node, "stride" if arguments(node)["stride"] else "kernel_size")


def pool_padding(node: fx.Node) -> Padding:
    """The padding of a pool."""
    down, across = pair(node, "padding", 0)
    return down, down, across, across


def conv_padding(node: fx.Node, extent: tuple[int, int]) -> Padding:
    """Padding from torch's ``"same"``, ``"valid"``, or one or two numbers.

    ``extent`` is how many rows and columns the kernel spans.
    """
    padding = arguments(node)["padding"]
    if not isinstance(padding, str):
        return pool_padding(node)
    if padding == "valid":
        return 0, 0, 0, 0
    down, across = extent[0] - 1, extent[1] - 1  # of an odd sum, torch puts more at the end
    return down // 2, down - down // 2, across // 2, across - across // 2


def pad_of(node: fx.Node) -> tuple[Padding, float] | None:
    """What ``pad`` puts around maps, and its value; None unless that is a number, or less than
    all of them, and around rows and columns alone."""
    given = arguments(node)
    value = float(given["value"] or 0.0)
    if given.get("mode", "constant") != "constant" or not (isfinite(value) or value == -inf):
        return None
    left, right, top, bottom, *rest = [*given["pad"], 0, 0, 0][: max(4, len(given["pad"]))]
    is_line = len(node.meta.get("shape") or ()) == 3
    if any(rest) or min(left, right, top, bottom) < 0 or (is_line and (top or bottom)):
        return None
    return (top, bottom, left, right), value


def average_of(
    node: fx.Node,
) -> tuple[tuple[int, int], tuple[int, int], Padding, int] | None:
    """(kernel, stride, padding, divisor) of an average; None if its windows are no fixed ones."""
    given, op = arguments(node), op_of(node)
    shape: tuple = node.args[0].meta.get("shape") or ()  # type: ignore[union-attr]
    if len(shape) not in (3, 4) or None in shape[1:]:
        return None
    size = shape[2] if len(shape) == 4 else 1, shape[-1]
    if op.startswith("avg_pool"):
        kernel = pair(node, "kernel_size")
        divisor = given.get("divisor_override") or kernel[0] * kernel[1]
        return kernel, pool_stride(node), pool_padding(node), divisor
    if op.startswith("adaptive_avg_pool"):
        windows = pair(node, "output_size")
        if size[0] % windows[0] or size[1] % windows[1]:
            return None
        size = size[0] // windows[0], size[1] // windows[1]
    elif given.get("dim") is None or {axis % len(shape) for axis in given["dim"]} != {
        *range(2, len(shape))
    }:
        return None
    return size, size, (0, 0, 0, 0), size[0] * size[1]


def factor_of(node: fx.Node) -> tuple[int, int] | None:
    """How often ``upsample_nearest`` repeats rows and columns; None if not so many whole times."""
    before, after = (one.meta.get("shape") or () for one in (node.args[0], node))  # type: ignore
    sizes = [*zip(before[2:], after[2:], strict=False)]
    if not sizes or any(None in both or both[1] % both[0] for both in sizes):
        return None
    factors = [b // a for a, b in sizes]
    return factors[0] if len(factors) == 2 else 1, factors[-1]


def part_of(node: fx.Node) -> tuple[int, int, int] | None:
    """(axis, start, stop) of a slice, where axis 0 are rows, 1 columns, 2 channels; None if it is
    none of those, or leaves out what lies between."""
    given = arguments(node)
    shape = node.args[0].meta.get("shape") or ()  # type: ignore[union-attr]
    axis = given["dim"] % max(1, len(shape))
    ends = given["start"] or 0, given["end"]
    if axis == 0 or given["step"] != 1 or shape[axis] is None or isinstance(ends[1], fx.Node):
        return None
    start, stop, _ = slice(*ends).indices(shape[axis])
    if stop <= start:
        return None
    # Lines have columns and no rows.
    return (2 if axis == 1 else axis - 2 + 4 - len(shape)), start, stop
