"""Where a program's tensors are rounded to grids of integers."""

from collections.abc import Iterator, Mapping

from torch import fx

from hwgen.compress.settings import Settings
from hwgen.compress.ties import Place
from hwgen.frontend.calls import CLIPS, SAME_GRID, SUMS, calls, layer_of, op_of
from hwgen.frontend.geometry import average_of

__all__ = ["find_places", "is_clip"]


def find_places(
    program: fx.GraphModule, settings: Settings, gains: Mapping[fx.Node, float]
) -> list[Place]:
    """Every place of a program, in topological order: its input, then what leaves each layer.

    Sums that several activations read leave the layer at several places. ``gains`` are those of the
    layers with weights: their coarsest channel's scale.
    """
    (entry,) = (node for node in program.graph.nodes if node.op == "placeholder")
    (leaving,) = (node for node in program.graph.nodes if node.op == "output")
    # The input's values are given, not computed: clipping any of them helps nothing.
    first = Place(entry, entry, "input", settings.activation_bits("input"), "minmax")
    last = _root(leaving.all_input_nodes[0])
    found = {entry: first}
    for maker in calls(program):
        if op_of(maker) not in SUMS:
            continue
        reads = maker.args[:2] if op_of(maker) == "add" else maker.args[:1]
        sources = tuple(found[_root(node)] for node in reads)  # type: ignore[arg-type]
        gain = gains[maker] if maker in gains else _gain(maker)
        for exit in _exits(maker):
            layer = layer_of(maker)
            bits = settings.activation_bits(layer, exit is last)
            method = "minmax" if exit is last else settings.calibration
            found[exit] = Place(exit, maker, layer, bits, method, sources, gain)
    return list(found.values())


def is_clip(node: fx.Node) -> bool:
    """Whether a node is an activation that the rounding before it does."""
    return node.op == "call_function" and op_of(node) in CLIPS


def _root(node: fx.Node) -> fx.Node:
    """Where the grid of a tensor was chosen: pools and reshapes leave it as it is."""
    while node.op == "call_function" and op_of(node) in SAME_GRID:
        node = node.args[0]  # type: ignore[assignment]
    return node


def _exits(node: fx.Node) -> Iterator[fx.Node]:
    """Sums or activations of them that something else than an activation reads."""
    clips = [user for user in node.users if is_clip(user)]
    if len(clips) < len(node.users):
        yield node
    for clip in clips:
        yield from _exits(clip)


def _gain(maker: fx.Node) -> float:
    """What a step of the sums of an addition or average is, in steps of its input."""
    if op_of(maker) == "add":
        return 1.0
    windows = average_of(maker)
    assert windows is not None, "the support check has seen to it"
    return 1.0 / windows[3]
