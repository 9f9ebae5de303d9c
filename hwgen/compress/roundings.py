"""The roundings of a quantised program: whose sums they round, who reads them, and the grids of the
layers between them."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import fx

from hwgen.compress.observers import UnsignedGrid
from hwgen.compress.weights import settle_scales
from hwgen.frontend.calls import (
    AVERAGES,
    CONSTANT_OPS,
    DOMAIN_CONVS,
    WEIGHTED,
    calls,
    constant,
    op_of,
)
from hwgen.frontend.program import arguments, put, set_argument, tensor_of

__all__ = [
    "LAYERS",
    "SETTLED",
    "finest",
    "grid_of",
    "grids_of",
    "is_rounding",
    "maker_of",
    "settle",
    "sources_of",
    "weight_of",
]

#: Layers with weights, in whatever domain.
LAYERS = WEIGHTED | DOMAIN_CONVS
#: Sums without weights whose multiple of what they read is known. What others round is tied to it.
SETTLED = {"add", *AVERAGES}


def is_rounding(node: fx.Node) -> bool:
    """Whether a call rounds an activation, and not a stored tensor."""
    return op_of(node) in CONSTANT_OPS and constant(node) is None


def grid_of(program: fx.GraphModule, node: fx.Node) -> UnsignedGrid:
    """The grid of the activations that a call rounds."""
    given = arguments(node)
    scale = float(tensor_of(program, given["scale"]))
    return UnsignedGrid(scale, int(tensor_of(program, given["zero_point"])), given["hi"])


def grids_of(program: fx.GraphModule) -> dict[fx.Node, UnsignedGrid]:
    """The grids of all activations that are rounded, by the calls that round them."""
    return {node: grid_of(program, node) for node in calls(program) if is_rounding(node)}


def weight_of(program: fx.GraphModule, layer: fx.Node) -> torch.Tensor:
    """The weights of a layer as they are stored, before they are rounded."""
    stored = constant(arguments(layer)["weight"])
    assert stored is not None, "quantisation has seen to it"
    return tensor_of(program, stored)


def finest(grids: Mapping[fx.Node, UnsignedGrid], nodes: list[fx.Node]) -> UnsignedGrid:
    """Of several grids the one with the smallest steps."""
    return min((grids[node] for node in nodes), key=lambda grid: grid.scale)


def sources_of(node: fx.Node) -> list[fx.Node]:
    """The roundings that a call reads, through whatever lies between that has no weights."""
    found: dict[fx.Node, None] = {}
    for source in _before(node):
        if is_rounding(source):
            found[source] = None
        elif source.op == "call_function" and op_of(source) not in LAYERS:
            found |= dict.fromkeys(sources_of(source))
    return list(found)


def maker_of(node: fx.Node) -> fx.Node | None:
    """The call whose sums a rounding rounds; None if it is the network's input that it rounds."""
    (source,) = _before(node)
    while source.op == "call_function" and op_of(source) not in (*LAYERS, *SETTLED):
        before = list(_before(source))
        if len(before) != 1 or is_rounding(before[0]):
            break
        (source,) = before
    return source if source.op == "call_function" else None


def _before(node: fx.Node) -> Iterator[fx.Node]:
    """The tensors that a call makes its result of, without those that the program stores."""
    return (source for source in node.all_input_nodes if constant(source) is None)


def settle(
    program: fx.GraphModule,
    layer: fx.Node,
    scales: torch.Tensor,
    source: UnsignedGrid,
    to: UnsignedGrid,
) -> None:
    """Put a layer's weights and bias on their final grids, between ``source``, which it reads, and
    ``to``, which its sums are rounded to.

    ``scales`` are those wanted of its weights, one for each output channel, (K,), or, in Winograd's
    domain, for each tap and output channel, (t * t, K).
    """
    weight, bias = arguments(layer)["weight"], arguments(layer)["bias"]
    kernels = weight_of(program, layer)
    offset = np.zeros(scales.shape[-1])
    if bias is not None:
        offset = tensor_of(program, constant(bias)).double().numpy()  # type: ignore[arg-type]
    bits = 1 if op_of(weight) == "binarize" else arguments(weight)["hi"].bit_length() + 1
    wanted = scales.double().numpy()
    steps, window = wanted, kernels[0].numel()
    if op_of(layer) in DOMAIN_CONVS:
        taps = wanted * 2.0 ** np.array(arguments(layer)["shifts"])[:, None]
        steps = taps.min(0)
        window = int((taps / steps).sum(0).max()) * kernels.shape[2]
        set_argument(layer, "input_scale", source.scale)
    settled, limit = settle_scales(steps, offset, source, to, bits, window)
    store = torch.from_numpy(wanted * (settled / steps))
    put(program, _scale(weight), store)
    if op_of(layer) in DOMAIN_CONVS:  # whose weights are refused where they exceed their bits
        top = arguments(weight)["hi"] * store[..., None]
        stored = str(constant(weight).target)  # type: ignore[union-attr]
        held = torch.minimum(torch.maximum(kernels.double(), -top), top)
        put(program, stored, held.to(kernels.dtype), train=True)
    if bias is not None:
        put(program, _scale(bias), torch.from_numpy(settled * source.scale))
        set_argument(bias, "lo", -limit)
        set_argument(bias, "hi", limit)


def _scale(rounding: fx.Node) -> str:
    return str(arguments(rounding)["scale"].target)
