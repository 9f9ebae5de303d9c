"""Where a program's tensors are rounded to grids of integers."""

from collections.abc import Iterator, Mapping
from math import inf

from torch import fx

from hwgen.compress.settings import Settings
from hwgen.compress.ties import Place
from hwgen.frontend.calls import (
    ACTIVATIONS,
    AVERAGES,
    PADS,
    SAME_GRID,
    calls,
    layer_of,
    op_of,
    read_by,
    rounds,
)
from hwgen.frontend.geometry import average_of, pad_of
from hwgen.frontend.program import entries, leaving

__all__ = ["find_places", "is_activation", "pads", "roots"]


def find_places(
    program: fx.GraphModule, settings: Settings, gains: Mapping[fx.Node, float]
) -> list[Place]:
    """Every place of a program, in topological order: its inputs, then what leaves each layer.

    Sums that several activations read leave the layer at several places. ``gains`` are those of the
    layers with weights: their coarsest channel's scale.
    """
    last = {root for node in leaving(program) for root in roots(node)}
    padded = {root for pad in pads(program) for root in roots(pad)}
    found = {}
    for name, entry in entries(program).items():
        bits = settings.activation_bits(name)
        # The input's values are given, not computed: clipping any of them helps nothing.
        found[entry] = Place(entry, entry, name, bits, "minmax")
    for maker in calls(program):
        if not rounds(maker):
            continue
        sources = tuple(found[root] for node in read_by(maker) for root in roots(node))
        gain = gains[maker] if maker in gains else _gain(maker)
        for exit in _exits(maker):
            layer = layer_of(maker)
            bits = settings.activation_bits(layer, exit in last)
            # What is padded with a number must hold it.
            method = "minmax" if exit in last or exit in padded else settings.calibration
            found[exit] = Place(exit, maker, layer, bits, method, sources, gain)
    return list(found.values())


def is_activation(node: fx.Node) -> bool:
    """Whether a node is an activation that the rounding before it does."""
    return node.op == "call_function" and op_of(node) in ACTIVATIONS


def roots(node: fx.Node) -> list[fx.Node]:
    """Where the grid of a tensor was chosen: pools and reshapes leave it as it is, and what is
    concatenated has one grid."""
    if node.op != "call_function" or op_of(node) not in SAME_GRID:
        return [node]
    return list(dict.fromkeys(root for source in read_by(node) for root in roots(source)))


def pads(program: fx.GraphModule) -> list[fx.Node]:
    """Calls that pad with a number other than zero."""
    found = [(node, pad_of(node)) for node in calls(program) if op_of(node) in PADS]
    return [node for node, given in found if given and given[1] not in (0.0, -inf)]


def _exits(node: fx.Node) -> Iterator[fx.Node]:
    """Sums or activations of them that something else than an activation reads."""
    following = [user for user in node.users if is_activation(user)]
    if len(following) < len(node.users):
        yield node
    for activation in following:
        yield from _exits(activation)


def _gain(maker: fx.Node) -> float:
    """What a step of what is rounded without weights is, in steps of its input."""
    if op_of(maker) not in AVERAGES:
        return 1.0
    windows = average_of(maker)
    assert windows is not None, "the support check has seen to it"
    return 1.0 / windows[3]
