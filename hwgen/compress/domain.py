"""Convolutions of a quantised program moved into Winograd's domain, where they learn further."""

import copy
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import torch
from torch import fx

from hwgen.compress.roundings import (
    LAYERS,
    finest,
    grids_of,
    maker_of,
    settle,
    sources_of,
    weight_of,
)
from hwgen.compress.weights import initial_scales
from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.calls import CONVS, DOMAIN_CONVS, calls, constant, layer_of, op_of
from hwgen.frontend.decomposed import is_quantised
from hwgen.frontend.geometry import conv_padding, pair
from hwgen.frontend.load import Source, load
from hwgen.frontend.program import arguments, put
from hwgen.network.winograd import TILES
from hwgen.nn.winograd import domain_scales, domain_weights

__all__ = ["known", "movable", "quantised", "requantise_weights", "to_winograd"]


def to_winograd(
    program: Source, tile: int = 2, layers: Sequence[str] | None = None
) -> fx.GraphModule:
    """A fake-quantised ``program`` of ``compress.quantize`` with convolutions in Winograd's domain,
    F(tile x tile, 3 x 3); a new one.

    Their weights have as many bits there as before, one scale for each output channel and a power
    of two for each tap; transforms are exact. ``layers`` names some; by default all that can be.
    Raises UserError, naming each layer of ``layers`` that cannot be and why.
    """
    if tile not in TILES:
        reason = f"there is no tile {tile}"
        raise UserError(Problem(None, reason, f"use {' or '.join(map(str, TILES))}"))
    made = copy.deepcopy(quantised(program))
    found = {layer_of(node): node for node in calls(made) if op_of(node) in LAYERS}
    if layers is None:
        chosen = [node for node in found.values() if movable(node)]
    else:
        refuse(_problems(found, layers))
        chosen = [found[layer] for layer in layers]
    for node in chosen:
        if op_of(node) not in DOMAIN_CONVS:
            _move(made, node, tile)
    made.recompile()
    return made


def quantised(program: Source) -> fx.GraphModule:
    """``program`` as it is, UserError if it is none of ``compress.quantize``."""
    read = program if isinstance(program, torch.nn.Module) else load(program)
    if not isinstance(read, fx.GraphModule) or not is_quantised(read.graph):
        reason = "the network is not quantised"
        raise UserError(Problem(None, reason, "call hwgen.compress.quantize first"))
    return load(read)


def known(found: Sequence[str], layers: Sequence[str]) -> Iterator[Problem]:
    """Every one of ``layers`` that is none of those ``found``."""
    for layer in layers:
        if layer not in found:
            near = get_close_matches(layer, found) or list(found)[-5:]
            remedy = f"nearest are {', '.join(near)}"
            yield Problem(None, f"there is no layer with weights named {layer!r}", remedy)


def movable(node: fx.Node) -> bool:
    """Whether a layer with weights can be in Winograd's domain."""
    return _obstacle(node) is None


def _obstacle(node: fx.Node) -> str | None:
    """Why a layer with weights cannot be in Winograd's domain; None if it can be."""
    if op_of(node) in DOMAIN_CONVS:
        return None
    if op_of(node) not in CONVS or node.args[1].meta["shape"][2:] != (3, 3):  # type: ignore
        return "is no 3 x 3 convolution"
    given = arguments(node)
    if pair(node, "stride") != (1, 1):
        return f"has a stride of {pair(node, 'stride')}, not 1"
    if pair(node, "dilation") != (1, 1):
        return f"has a dilation of {pair(node, 'dilation')}, not 1"
    if given["groups"] != 1:
        return f"has {given['groups']} groups, not 1"
    if op_of(given["weight"]) == "binarize":
        return "has weights of one bit, which have no sums in that domain"
    return None


def requantise_weights(program: fx.GraphModule, node: fx.Node) -> None:
    """Grids for a layer whose weights have changed, between the same activations as before."""
    weights, top = weight_of(program, node), arguments(arguments(node)["weight"])["hi"]
    if op_of(node) in DOMAIN_CONVS:
        scales, powers = domain_scales(weights, top)
        wanted = torch.outer(2.0**powers, scales)
    else:
        width = top.bit_length() + 1
        wanted = torch.from_numpy(initial_scales(weights.double().numpy(), width))
    grids = grids_of(program)
    to = finest(grids, [one for one in grids if maker_of(one) is node])
    settle(program, node, wanted, finest(grids, sources_of(node)), to)


def _problems(found: dict[str, fx.Node], layers: Sequence[str]) -> Iterator[Problem]:
    yield from known(list(found), layers)
    for layer in layers:
        reason = _obstacle(found[layer]) if layer in found else None
        if reason:
            remedy = "name 3 x 3 convolutions of stride 1 in one group"
            yield Problem(layer, reason, remedy)


def _move(program: fx.GraphModule, node: fx.Node, tile: int) -> None:
    given = arguments(node)
    rounding = given["weight"]
    stored = str(constant(rounding).target)  # type: ignore[union-attr]
    weights = domain_weights(weight_of(program, node), tile)
    put(program, stored, weights, train=True)
    channels = weights.shape[:2]
    zero_point = str(arguments(rounding)["zero_point"].target)
    put(program, zero_point, torch.zeros(channels, dtype=torch.int64))
    padding = list(conv_padding(node, (3, 3)))
    rest = given["bias"], 1.0, [0] * len(weights), tile, padding, 0
    with program.graph.inserting_before(node):
        target = torch.ops.hwgen.winograd_conv2d.default
        made = program.graph.call_function(target, (given["input"], rounding, *rest))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    program.graph.erase_node(node)
    requantise_weights(program, made)
