"""What a reader of programs has made so far, and how it rounds."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.activations import PLAIN, Activation
from hwgen.frontend.calls import (
    ACTIVATIONS,
    layer_of,
    op_of,
    read_by,
)
from hwgen.frontend.geometry import (
    Padding,
)
from hwgen.frontend.grids import Grid, grid_of
from hwgen.frontend.program import ORIGIN, entries
from hwgen.frontend.rescale import clipped, rounding
from hwgen.network import (
    Input,
    Node,
    Pad2d,
    TensorType,
    Threshold,
    bits_for,
)

__all__ = ["PADDED_SIGNS", "Rounder", "Value", "remedy_of"]

UNQUANTISED = "call hwgen.compress.quantize first"
#: What to do where a program that came quantised is not: by its quantiser.
PARTLY = {
    "PT2E": "annotate it in the Quantizer, or its inputs where they are read",
    "hwgen": "put it through hwgen.nn.quantize.fake_quantize or binarize",
}
#: Bits of outputs that the quantiser has left in float.
OUTPUT_BITS = 16


#: Why signs cannot be padded, and what to do.
PADDED_SIGNS = "pads -1 and +1 with zeros, which one bit cannot hold", "use padding=0"


def remedy_of(graph: fx.GraphModule) -> str:
    """What to do about what is not quantised."""
    return PARTLY.get(graph.meta.get(ORIGIN, ""), UNQUANTISED)


@dataclass(frozen=True)
class Value:
    """What a call of the program is in the network: the node that makes it, and what is pending.

    ``sums`` are results before they are rounded, whose real value is ``scale * sum``;
    ``activation`` is what the rounding does beside, and ``name`` what it is called, if not after
    the sums.
    ``padding``, with the integer ``fill``, is for the next window.
    """

    node: Node
    sums: tuple[float, ...] | None = None
    activation: Activation = PLAIN
    name: str | None = None
    flat: bool = False
    padding: Padding = (0, 0, 0, 0)
    fill: int = 0


class Rounder:
    """Nodes and values of a program, call by call, and the problems met on the way."""

    def __init__(self, graph: fx.GraphModule):
        self.graph = graph
        self.pairs: list[tuple[fx.Node, Node]] = []
        self.problems: list[Problem] = []
        self._values: dict[fx.Node, Value] = {}
        self._names: Counter[str] = Counter()
        self._unquantised = remedy_of(graph)
        self._entries = entries(graph)

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

    def _quantise(self, call: fx.Node) -> Value:
        grid = grid_of(self.graph, call)
        scale = float(grid.scale[0])
        bits, signed = bits_for(grid.lo, grid.hi)
        if call.args[0].op == "placeholder":  # type: ignore[union-attr]
            channels, *places = call.args[0].meta["shape"][1:]  # type: ignore[union-attr]
            shape = (*[1] * (len(places) == 1), *places, channels)  # a line is a map of one row
            kind = TensorType(shape, bits, signed, "int", scale, grid.zero_point)
            name = next(n for n, node in self._entries.items() if node is call.args[0])
            entry = Value(self._add(call, name, Input(kind)))
            return self._rescale(call, entry, grid)
        source = self._values[call.args[0]]  # type: ignore[index]
        layer = source.node.name
        if source.sums is None:
            return self._rescale(call, self._padded(call.args[0], source), grid)  # type: ignore
        op = rounding(layer, source.node.type, source.sums, source.activation, grid)
        node = self._add(call, f"{layer}.requantise", op, source.node, scale=scale)
        return Value(node, flat=source.flat)

    def _sign(self, call: fx.Node) -> Value:
        """-1 and +1: of sums, whose bias is what they are compared with, or of integers."""
        given, grid = read_by(call)[0], grid_of(self.graph, call)
        source = self._padded(given, self._values[given])
        kind, layer = source.node.type, source.node.name.removesuffix(".requantise")
        if len(grid.scale) != 1:
            raise UserError(Problem(layer, "its signs have several scales", "use one for all"))
        if kind.encoding == "bipolar":
            raise UserError(Problem(layer, "the sign of a sign is taken", "leave one out"))
        self._check_sign(layer, source.activation)
        zero = 0 if source.sums is not None else kind.zero_point
        thresholds = np.full(kind.channels, np.clip(zero, kind.lo, kind.hi + 1))
        op, scale = Threshold(kind.integers, thresholds), float(grid.scale[0])
        return Value(self._add(call, f"{layer}.sign", op, source.node, scale=scale))

    def _check_sign(self, layer: str, activation: Activation) -> None:
        """The sign of an activation must be that of what it is applied to."""
        least = min(activation.slopes or (1.0,))
        if activation.clip[0] >= 0:
            reason = "is clipped to zero and more, so that its sign is always +1"
            raise UserError(Problem(layer, reason, "leave the ReLU out, and keep the sign"))
        if activation.clip[1] < 0:
            reason = "is clipped to less than zero, so that its sign is always -1"
            raise UserError(Problem(layer, reason, "clip to a range around zero"))
        if least <= 0:
            reason = f"its slope is {least:g}, so that its sign is always +1"
            raise UserError(Problem(layer, reason, "use slopes above zero"))

    def _only_signs(self, call: fx.Node) -> bool:
        """Whether nothing of a call's results is read but their signs, after activations or not."""
        return all(
            op_of(user) == "binarize" or (op_of(user) in ACTIVATIONS and self._only_signs(user))
            for user in call.users
        )

    def _rescale(self, call: fx.Node, source: Value, grid: Grid) -> Value:
        """From one grid to another: nothing, where they are the same and nothing is clipped."""
        kind, scale = source.node.type, float(grid.scale[0])
        if kind.encoding == "bipolar":
            layer = source.node.name.removesuffix(".sign")
            reason = "its signs are rounded to another grid"
            raise UserError(Problem(layer, reason, "let the next layer read the signs"))
        lo, hi = clipped(source.activation.clip, grid)
        if (kind.scale, kind.zero_point) == (scale, grid.zero_point) and (
            lo <= kind.lo and kind.hi <= hi and source.activation.slopes is None
        ):
            return replace(source, activation=PLAIN, name=None)
        layer = source.node.name.removesuffix(".requantise")
        steps = (float(kind.scale),) * kind.channels  # type: ignore[arg-type]
        op = rounding(layer, kind, steps, source.activation, grid)
        name = source.name or f"{layer}.rescale"
        return Value(self._add(call, name, op, source.node, scale=scale), flat=source.flat)

    def _leave(self, call: fx.Node, value: Value) -> Value:
        """Round what leaves the network in float, by steps so fine that nothing is clipped."""
        assert value.sums is not None
        kind, layer = value.node.type, value.node.name
        top = (1 << (OUTPUT_BITS - 1)) - 1
        steepest = max(map(abs, (1.0, *(value.activation.slopes or ()))))
        step = max(value.sums) * max(1.0, steepest * max(-kind.lo, kind.hi) / top)
        grid = Grid(np.array([step]), 0, -top - 1, top)
        op = rounding(layer, kind, value.sums, value.activation, grid)
        node = self._add(call, f"{layer}.requantise", op, value.node, scale=step)
        return replace(value, node=node, sums=None, activation=PLAIN)

    def _finest(self, call: fx.Node) -> float | None:
        """The finest step that the sums of a call are rounded to; None if by nothing."""
        users = [user for user in call.users if user.op == "call_function"]
        steps = [self._finest(user) for user in users if op_of(user) in ACTIVATIONS]
        rounded = [user for user in users if op_of(user) == "fake_quantize"]
        steps += [float(grid_of(self.graph, user).scale[0]) for user in rounded]
        return min((step for step in steps if step is not None), default=None)

    def _padded(self, call: fx.Node, source: Value) -> Value:
        """``source``, made by ``call``, with its padding put in by an engine of its own."""
        if any(source.padding) and source.node.type.encoding == "bipolar":
            raise UserError(Problem(layer_of(call), *PADDED_SIGNS))
        if any(source.padding):
            op = Pad2d(source.node.type, source.padding, source.fill)
            source = Value(self._add(call, layer_of(call), op, source.node))
            self._values[call] = source
        return source

    def _settled(
        self,
        call: fx.Node,
        place: int = 0,
        absorbs: Literal["zero", "least"] | None = None,
        signs: bool = False,
    ) -> Value:
        """The quantised tensor that a call reads, one of ``signs`` only if it can; its padding
        stays pending only if it is what the call's own padding ``absorbs``."""
        given = read_by(call)[place]
        source = self._values.get(given)
        if source is None or source.sums is not None or source.activation != PLAIN:
            reason = "its input is not quantised"
            raise UserError(Problem(layer_of(call), reason, self._unquantised))
        kind = source.node.type
        if kind.encoding == "bipolar" and not signs:
            reason = f"cannot read the signs that {source.node.name.removesuffix('.sign')} leaves"
            remedy = "let a Conv2d, Linear or MaxPool2d layer read them, or quantise to more bits"
            raise UserError(Problem(layer_of(call), reason, remedy))
        if absorbs and source.fill == {"zero": kind.zero_point, "least": kind.lo}[absorbs]:
            return source
        return self._padded(given, source)
