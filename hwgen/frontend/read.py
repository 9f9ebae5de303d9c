"""A fake-quantised program to the integer network that computes the same.

Every tensor of the program lies on a grid (scale, zero point, range), put there by one of
``hwgen.nn.quantize``'s ops. Integers follow from it: weights and bias by dividing, the rounding
after a layer from the ratio of the grids before and after it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from math import inf

import numpy as np
from torch import fx
from torch.export import ExportedProgram

from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.calls import CLIPS, WEIGHTED, calls, constant, layer_of, op_of
from hwgen.frontend.check import problems
from hwgen.frontend.decomposed import is_quantised
from hwgen.frontend.geometry import (
    Padding,
    average_of,
    clip_of,
    conv_padding,
    pad_of,
    pair,
    pool_stride,
)
from hwgen.frontend.grids import Grid, grid_of, layer_integers, narrow
from hwgen.frontend.load import load
from hwgen.frontend.program import ORIGIN, arguments
from hwgen.frontend.pt2e import adopt
from hwgen.frontend.rescale import clipped, factors_of, rounding
from hwgen.network import (
    Add,
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    SumPool2d,
    TensorType,
    bits_for,
)

__all__ = ["read", "read_pairs"]

UNQUANTISED = "call hwgen.compress.quantize first"
#: What to do where a program that came quantised is not: by its quantiser.
PARTLY = {"PT2E": "annotate it in the Quantizer, or its inputs where they are read"}
#: Bits of outputs that the quantiser has left in float.
OUTPUT_BITS = 16


NO_CLIP = (-inf, inf)


@dataclass(frozen=True)
class _Value:
    """What a call of the program is in the network: the node that makes it, and what is pending.

    ``sums`` are results before they are rounded, whose real value is ``scale * sum``; ``clip`` is
    what the rounding is to clip them to, in real numbers. ``padding`` is for the next window.
    """

    node: Node
    sums: tuple[float, ...] | None = None
    clip: tuple[float, float] = NO_CLIP
    flat: bool = False
    padding: Padding = (0, 0, 0, 0)


def read(program: fx.GraphModule | ExportedProgram) -> Network:
    """The integer network of a fake-quantised program; UserError, naming all that is in the way."""
    graph = load(program)
    if is_quantised(graph.graph):
        graph = adopt(graph)
    pairs = read_pairs(graph)
    nodes = tuple(node for _, node in pairs)
    last_of = dict(pairs)
    notes = list(graph.meta.get("hwgen_notes", ()))
    entry = nodes[0].type
    notes.insert(0, ("input", f"real = {entry.scale!r} * (integer - {entry.zero_point})"))
    (leaving,) = (node for node in graph.graph.nodes if node.op == "output")
    last = leaving.all_input_nodes[0]
    while last not in last_of:  # what only arranges numbers anew is no node of its own
        last = last.all_input_nodes[0]
    return Network(nodes, (last_of[last].name,), tuple(notes))


def read_pairs(graph: fx.GraphModule) -> list[tuple[fx.Node, Node]]:
    """Each node of the network beside the call that it is made for, in order.

    Of several nodes with one call, the integers of the last stand for the call's real numbers.
    """
    refuse(chain(problems(graph), _unquantised(graph)))
    reader = _Reader(graph)
    reader.run()
    refuse(reader.problems)
    return reader.pairs


def _unquantised(graph: fx.GraphModule):
    for node in calls(graph):
        if op_of(node) in WEIGHTED and arguments(node)["weight"].op == "get_attr":
            yield Problem(layer_of(node), "its weight is not quantised", _remedy(graph))
        elif op_of(node) == "batch_norm":
            yield Problem(layer_of(node), "batch norm is not folded into weights", _remedy(graph))


def _remedy(graph: fx.GraphModule) -> str:
    return PARTLY.get(graph.meta.get(ORIGIN, ""), UNQUANTISED)


class _Reader:
    """Walks the program once, in order; every call becomes at most one node."""

    def __init__(self, graph: fx.GraphModule):
        self.graph = graph
        self.pairs: list[tuple[fx.Node, Node]] = []
        self.problems: list[Problem] = []
        self._values: dict[fx.Node, _Value] = {}
        self._names: Counter[str] = Counter()
        self._unquantised = _remedy(graph)

    def run(self) -> None:
        handlers: dict[str, Callable[[fx.Node], _Value]] = {
            "fake_quantize": self._quantise,
            "conv2d": self._conv2d,
            "linear": self._linear,
            "max_pool2d": self._max_pool2d,
            "add": self._sum_of_two,
            "flatten": self._flatten,
            **dict.fromkeys(("pad", "constant_pad_nd"), self._pad),
            **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d", "mean"), self._average),
            **dict.fromkeys(CLIPS, self._clip),
        }
        for call in calls(self.graph):
            if constant(call) is not None:
                continue
            handler = handlers.get(op_of(call))
            if handler is None:
                self._refuse(
                    call, f"{op_of(call)} is not part of a quantised network", self._unquantised
                )
                return
            source = call.args[0]
            if source not in self._values and not (
                handler == self._quantise and source.op == "placeholder"  # type: ignore
            ):
                self._refuse(call, "its input is not quantised", self._unquantised)
                return
            try:
                self._values[call] = handler(call)
            except UserError as error:
                # What follows rests on this call, so nothing more can be said of it.
                self.problems += error.problems
                return
        self._finish()

    def _finish(self) -> None:
        (leaving,) = (node for node in self.graph.graph.nodes if node.op == "output")
        last = leaving.all_input_nodes[0]
        value = self._values[last]
        if value.sums is not None and ORIGIN in self.graph.meta and not self.problems:
            value = self._leave(last, value)
        elif value.sums is not None or value.clip != NO_CLIP:
            self._refuse(last, "its output is not quantised", self._unquantised)
        shape = value.node.type.map_shape
        if value.flat and shape[2] > 1 and shape[:2] != (1, 1):
            self._refuse(
                last,
                f"flattens a map of {shape[2]} channels, which hwgen streams channels first",
                "end the network with a Linear layer, or return the map itself",
            )

    def _refuse(self, call: fx.Node, reason: str, remedy: str) -> None:
        self.problems.append(Problem(layer_of(call), reason, remedy))

    def _add(self, call: fx.Node, name: str, op, *sources: Node, scale=None) -> Node:
        self._names[name] += 1
        if self._names[name] > 1:  # pools may be called again and again: they hold no weights
            name = f"{name}.{self._names[name]}"
        kind = op.output if scale is None else replace(op.output, scale=scale)
        node = Node(name, op, tuple(source.name for source in sources), kind)
        self.pairs.append((call, node))
        return node

    def _quantise(self, call: fx.Node) -> _Value:
        grid = grid_of(self.graph, call)
        scale = float(grid.scale[0])
        bits, signed = bits_for(grid.lo, grid.hi)
        if call.args[0].op == "placeholder":  # type: ignore[union-attr]
            shape = call.args[0].meta["shape"][1:]  # type: ignore[union-attr]
            shape = (*shape[1:], shape[0])
            kind = TensorType(shape, bits, signed, "int", scale, grid.zero_point)
            entry = _Value(self._add(call, "input", Input(kind)))
            return self._rescale(call, entry, grid)
        source = self._values[call.args[0]]  # type: ignore[index]
        layer = source.node.name
        if source.sums is None:
            return self._rescale(call, source, grid)
        op = rounding(layer, source.node.type, source.sums, source.clip, grid)
        node = self._add(call, f"{layer}.requantise", op, source.node, scale=scale)
        return _Value(node, flat=source.flat)

    def _rescale(self, call: fx.Node, source: _Value, grid: Grid) -> _Value:
        """From one grid to another: nothing, where they are the same and nothing is clipped."""
        kind, scale = source.node.type, float(grid.scale[0])
        ends = clipped(source.clip, grid)
        if (kind.scale, kind.zero_point) == (scale, grid.zero_point) and (
            ends[0] <= kind.lo and kind.hi <= ends[1]
        ):
            return replace(source, clip=NO_CLIP)
        layer = source.node.name.removesuffix(".requantise")
        node = source.node
        if kind.zero_point:
            if len(kind.shape) == 1:
                reason = "is rounded to two grids in turn"
                raise UserError(Problem(layer, reason, "use one grid: SharedQuantizationSpec"))
            # A window of one pixel: all that it does is to take off the zero point.
            centre = SumPool2d(kind.integers, (1, 1), (1, 1))
            node = self._add(call, f"{layer}.centre", centre, node, scale=kind.scale)
        steps = (float(kind.scale),) * kind.channels  # type: ignore[arg-type]
        op = rounding(layer, node.type, steps, source.clip, grid)
        node = self._add(call, f"{layer}.rescale", op, node, scale=scale)
        return replace(source, node=node, clip=NO_CLIP)

    def _leave(self, call: fx.Node, value: _Value) -> _Value:
        """Round what leaves the network in float, by steps so fine that nothing is clipped."""
        assert value.sums is not None
        kind, layer = value.node.type, value.node.name
        top = (1 << (OUTPUT_BITS - 1)) - 1
        step = max(value.sums) * max(1.0, max(-kind.lo, kind.hi) / top)
        grid = Grid(np.array([step]), 0, -top - 1, top)
        op = rounding(layer, kind, value.sums, value.clip, grid)
        node = self._add(call, f"{layer}.requantise", op, value.node, scale=step)
        return replace(value, node=node, sums=None, clip=NO_CLIP)

    def _finest(self, call: fx.Node) -> float | None:
        """The finest step that the sums of a call are rounded to; None if by nothing."""
        users = [user for user in call.users if user.op == "call_function"]
        steps = [self._finest(user) for user in users if op_of(user) in CLIPS]
        rounded = [user for user in users if op_of(user) == "fake_quantize"]
        steps += [float(grid_of(self.graph, user).scale[0]) for user in rounded]
        return min((step for step in steps if step is not None), default=None)

    def _conv2d(self, call: fx.Node) -> _Value:
        source = self._settled(call, padded=True)
        weights, bias, bits, scales = layer_integers(
            self.graph, call, source.node.type, self._finest(call)
        )
        given = arguments(call)
        dilation = pair(given["dilation"])
        extent = tuple((k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilation, strict=True))
        op = Conv2d(
            source.node.type.integers,
            narrow(weights.transpose(0, 2, 3, 1)),
            narrow(bias),
            bits,
            pair(given["stride"]),
            _both(source.padding, conv_padding(given["padding"], extent)),  # type: ignore
            dilation,
            given["groups"],
        )
        return _Value(self._add(call, layer_of(call), op, source.node, scale=scales), scales)

    def _linear(self, call: fx.Node) -> _Value:
        source = self._settled(call)
        kind = source.node.type
        weights, bias, bits, scales = layer_integers(self.graph, call, kind, self._finest(call))
        if len(kind.shape) == 3:
            if not source.flat:
                self._refuse(call, "is applied to a map", "flatten first: torch.flatten(x, 1)")
            height, width, channels = kind.shape
            # torch flattens channels first; the stream carries them innermost.
            weights = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        op = Linear(kind.integers, narrow(weights), narrow(bias), bits)
        return _Value(self._add(call, layer_of(call), op, source.node, scale=scales), scales)

    def _average(self, call: fx.Node) -> _Value:
        source, windows = self._settled(call, padded=True), average_of(call)
        assert windows is not None, "the support check has seen to it"
        kernel, stride, padding, divisor = windows
        kind = source.node.type
        op = SumPool2d(kind.integers, kernel, stride, _both(source.padding, padding))
        step = float(kind.scale) / divisor  # type: ignore[arg-type]
        node = self._add(call, layer_of(call), op, source.node, scale=step)
        flat = len(call.meta.get("shape", ())) == 2
        return _Value(node, (step,) * kind.channels, flat=flat)

    def _sum_of_two(self, call: fx.Node) -> _Value:
        first, second = self._settled(call), self._settled(call, 1)
        kinds = first.node.type, second.node.type
        is_vector = [len(kind.shape) == 1 for kind in kinds]
        same = first.flat == second.flat or (is_vector[0] or first.flat) == (
            is_vector[1] or second.flat
        )
        if kinds[0].map_shape != kinds[1].map_shape or not same:
            raise UserError(
                Problem(
                    layer_of(call),
                    f"adds {kinds[1].shape} to {kinds[0].shape} (rows, columns, channels)",
                    "add maps to maps of the same shape, and vectors to vectors",
                )
            )
        scales = [float(kind.scale) for kind in kinds]  # type: ignore[arg-type]
        factors, step = factors_of(layer_of(call), scales, kinds)
        op = Add(kinds[0].integers, kinds[1].integers, factors)
        node = self._add(call, layer_of(call), op, first.node, second.node, scale=step)
        return _Value(node, (step,) * kinds[0].channels, flat=first.flat)

    def _clip(self, call: fx.Node) -> _Value:
        source, ends = self._values[call.args[0]], clip_of(call)  # type: ignore[index]
        assert ends is not None, "the support check has seen to it"
        lo, hi = (min(max(end, ends[0]), ends[1]) for end in source.clip)
        return replace(source, clip=(lo, hi))

    def _max_pool2d(self, call: fx.Node) -> _Value:
        source, given = self._settled(call), arguments(call)
        kernel, (down, across) = pair(given["kernel_size"]), pair(given["padding"])
        op = MaxPool2d(source.node.type, kernel, pool_stride(given), (down, down, across, across))
        return _Value(self._add(call, layer_of(call), op, source.node))

    def _pad(self, call: fx.Node) -> _Value:
        source, padding = self._settled(call), pad_of(call)
        assert padding is not None, "the support check has seen to it"
        return replace(source, padding=padding)

    def _flatten(self, call: fx.Node) -> _Value:
        source = self._settled(call)
        return replace(source, flat=len(source.node.type.shape) == 3)

    def _settled(self, call: fx.Node, place: int = 0, padded: bool = False) -> _Value:
        """The quantised tensor that a call reads; ``padded``: whether the call can pad it."""
        source = self._values.get(call.args[place])  # type: ignore[arg-type]
        if source is None or source.sums is not None or source.clip != NO_CLIP:
            reason = "its input is not quantised"
            raise UserError(Problem(layer_of(call), reason, self._unquantised))
        assert padded or not any(source.padding), "the support check has seen to it"
        return source


def _both(first: Padding, second: Padding) -> Padding:
    top, bottom, left, right = (a + b for a, b in zip(first, second, strict=True))
    return top, bottom, left, right
