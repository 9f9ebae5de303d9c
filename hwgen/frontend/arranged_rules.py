"""What hwgen can build of calls that compute nothing: one rule an op, for the support check."""

from collections.abc import Iterator
from math import inf, isfinite

from torch import fx

from hwgen.frontend.calls import MAX_POOLS, constant, layer_of, op_of, read_by
from hwgen.frontend.geometry import factor_of, pad_of, pair, part_of
from hwgen.frontend.neighbours import after, names_of, shape_of, sizes
from hwgen.frontend.program import arguments

__all__ = ["concat", "pad", "part", "upsample"]

Found = Iterator[tuple[str, str]]


def concat(node: fx.Node) -> Found:
    """Tensors side by side."""
    if any(constant(part) is not None for part in read_by(node)):
        yield "puts a stored tensor beside others", "compute all of them"
        return
    shapes = [shape_of(part) or () for part in read_by(node)]
    axis = arguments(node)["dim"] % max(1, len(shapes[0]))
    if axis != 1:
        yield f"joins {sizes(shapes[0])} along axis {axis}", "join channels: torch.cat(tensors, 1)"


def part(node: fx.Node) -> Found:
    """A part of a tensor."""
    if part_of(node) is not None:
        return
    given, shape = arguments(node), shape_of(node.args[0]) or ()
    axis = given["dim"] % max(1, len(shape))
    if given["step"] != 1:
        yield f"takes one of {given['step']} along axis {axis}", "take all that lie in a row"
    else:
        ends = given["start"] or 0, given["end"]
        yield (
            f"takes {ends[0]} to {ends[1]} along axis {axis} of {sizes(shape)}",
            "take a fixed part of rows, columns or channels: x[:, 0:4]",
        )


def upsample(node: fx.Node) -> Found:
    """Nearest upsampling."""
    if factor_of(node) is None:
        shapes = sizes(shape_of(node.args[0]) or ()), sizes(shape_of(node) or ())
        yield f"makes {shapes[1]} of {shapes[0]}", "use whole factors"


def pad(node: fx.Node) -> Found:
    """Padding that is a call of its own."""
    given = arguments(node)
    shape = shape_of(node.args[0])
    if shape is not None and len(shape) not in (3, 4):
        yield f"pads a vector {sizes(shape)}", "pad maps or lines, before they are flattened"
        return
    mode, value = given.get("mode", "constant"), float(given["value"] or 0.0)
    if mode != "constant":
        yield f"pads in mode {mode!r}", "pad with zeros, or another number"
    elif not isfinite(value) and value != -inf:
        yield f"pads with {value:g}", "pad with zeros, or another number"
    elif pad_of(node) is None:
        yield f"pads by {tuple(given['pad'])}", "pad rows and columns alone, and crop by slices"
    readers = after(node)
    if value == -inf and any(r.op == "output" or op_of(r) not in MAX_POOLS for r in readers):
        yield f"pads what {names_of(readers)} reads with -inf", "put it straight before MaxPool2d"
    elif value == -inf and (found := pad_of(node)):
        for reader in readers:
            kernel = pair(reader, "kernel_size")
            if max(found[0][:2]) >= kernel[0] or max(found[0][2:]) >= kernel[1]:
                yield (
                    f"pads by {tuple(given['pad'])} with -inf, which {layer_of(reader)} sees alone",
                    "pad by less than its kernel",
                )
