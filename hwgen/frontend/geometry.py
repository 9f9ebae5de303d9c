"""What calls say of windows, padding and clipping, each kind in one form."""

from collections.abc import Sequence
from math import inf

from torch import fx

from hwgen.frontend.calls import op_of
from hwgen.frontend.program import arguments

__all__ = ["Padding", "average_of", "clip_of", "conv_padding", "pad_of", "pair", "pool_stride"]

#: Places added at the top, bottom, left and right of a map.
Padding = tuple[int, int, int, int]


def pair(values: Sequence[int]) -> tuple[int, int]:
    """(down, across) from torch's one or two numbers."""
    return values[0], values[-1]


def pool_stride(given: dict) -> tuple[int, int]:
    """The stride of a pool: its kernel if none is given."""
    return pair(given["stride"]) if given["stride"] else pair(given["kernel_size"])


def conv_padding(padding: str | list[int], extent: tuple[int, int]) -> Padding:
    """Padding from torch's ``"same"``, ``"valid"``, or one or two numbers.

    ``extent`` is how many rows and columns the kernel spans.
    """
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0, 0, 0
        down, across = extent[0] - 1, extent[1] - 1  # of an odd sum, torch puts more at the end
        return down // 2, down - down // 2, across // 2, across - across // 2
    down, across = pair(padding)
    return down, down, across, across


def pad_of(node: fx.Node) -> Padding | None:
    """What ``pad`` puts around maps; None unless it is zeros, and around rows and columns alone."""
    given = arguments(node)
    if given.get("mode", "constant") != "constant" or given["value"]:
        return None
    left, right, top, bottom, *rest = [*given["pad"], 0, 0, 0][: max(4, len(given["pad"]))]
    if any(rest) or min(left, right, top, bottom) < 0:
        return None
    return top, bottom, left, right


def average_of(
    node: fx.Node,
) -> tuple[tuple[int, int], tuple[int, int], Padding, int] | None:
    """(kernel, stride, padding, divisor) of an average; None if its windows are no fixed ones."""
    given, op = arguments(node), op_of(node)
    shape = node.args[0].meta.get("shape") or ()  # type: ignore[union-attr]
    if len(shape) != 4 or None in shape[1:]:
        return None
    size = pair(shape[2:])
    if op == "avg_pool2d":
        kernel = pair(given["kernel_size"])
        down, across = pair(given["padding"])
        divisor = given["divisor_override"] or kernel[0] * kernel[1]
        return kernel, pool_stride(given), (down, down, across, across), divisor
    if op == "adaptive_avg_pool2d":
        windows = pair(given["output_size"])
        if size[0] % windows[0] or size[1] % windows[1]:
            return None
        size = size[0] // windows[0], size[1] // windows[1]
    elif given.get("dim") is None or {axis % 4 for axis in given["dim"]} != {2, 3}:
        return None
    return size, size, (0, 0, 0, 0), size[0] * size[1]


def clip_of(node: fx.Node) -> tuple[float, float] | None:
    """The range that an activation clips to; None if its ends are no numbers."""
    op, given = op_of(node), arguments(node)
    if op in ("relu", "relu6"):
        return 0.0, inf if op == "relu" else 6.0
    lo, hi = (
        (given["min_val"], given["max_val"])
        if op == "hardtanh"
        else (given.get("min"), given.get("max"))
    )
    if isinstance(lo, fx.Node) or isinstance(hi, fx.Node):
        return None
    return -inf if lo is None else float(lo), inf if hi is None else float(hi)
