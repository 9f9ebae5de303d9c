"""A fake-quantised program to the integer network that computes the same.

Every tensor of the program lies on a grid (scale, zero point, range), put there by one of
``hwgen.nn.quantize``'s ops. Integers follow from it: weights and bias by dividing, the rounding
after a layer from the ratio of the grids before and after it.
"""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from torch import fx
from torch.export import ExportedProgram

from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.check import calls, constant, layer_of, op_of, problems
from hwgen.frontend.grids import grid_of, integers_of, narrow
from hwgen.frontend.load import load
from hwgen.frontend.program import arguments
from hwgen.frontend.rescale import multipliers
from hwgen.network import (
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    Requantise,
    TensorType,
    bits_for,
)

__all__ = ["read", "read_pairs"]

UNQUANTISED = "call hwgen.compress.quantize first"


@dataclass(frozen=True)
class _Value:
    """What a call of the program is in the network: the node that makes it, and what is pending.

    ``sums`` are a layer's results before they are rounded, whose real value is ``scale * sum``.
    """

    node: Node
    sums: tuple[float, ...] | None = None
    relu: bool = False
    flat: bool = False


def read(program: fx.GraphModule | ExportedProgram) -> Network:
    """The integer network of a fake-quantised program; UserError, naming all that is in the way."""
    graph = load(program)
    nodes = tuple(node for _, node in read_pairs(graph))
    notes = list(graph.meta.get("hwgen_notes", ()))
    entry = nodes[0].type
    notes.insert(0, ("input", f"real = {entry.scale!r} * (integer - {entry.zero_point})"))
    return Network(nodes, (nodes[-1].name,), tuple(notes))


def read_pairs(graph: fx.GraphModule) -> list[tuple[fx.Node, Node]]:
    """Each node of the network beside the call whose real numbers its integers stand for."""
    refuse(chain(problems(graph), _unquantised(graph)))
    reader = _Reader(graph)
    reader.run()
    refuse(reader.problems)
    return reader.pairs


def _unquantised(graph: fx.GraphModule):
    for node in calls(graph):
        if op_of(node) in ("conv2d", "linear"):
            for place in ("weight", "bias"):
                given = arguments(node)[place]
                if given is not None and given.op == "get_attr":
                    yield Problem(layer_of(node), f"its {place} is not quantised", UNQUANTISED)
        elif op_of(node) == "batch_norm":
            yield Problem(layer_of(node), "batch norm is not folded into weights", UNQUANTISED)


class _Reader:
    """Walks the program once, in order; every call becomes at most one node."""

    def __init__(self, graph: fx.GraphModule):
        self.graph = graph
        self.pairs: list[tuple[fx.Node, Node]] = []
        self.problems: list[Problem] = []
        self._values: dict[fx.Node, _Value] = {}
        self._names: Counter[str] = Counter()

    def run(self) -> None:
        handlers = {
            "fake_quantize": self._quantise,
            "conv2d": self._conv2d,
            "linear": self._linear,
            "relu": self._relu,
            "max_pool2d": self._max_pool2d,
            "flatten": self._flatten,
        }
        for call in calls(self.graph):
            if constant(call) is not None:
                continue
            handler = handlers.get(op_of(call))
            if handler is None:
                self._refuse(call, f"{op_of(call)} is not part of a quantised network", UNQUANTISED)
                return
            source = call.args[0]
            if source not in self._values and not (
                handler == self._quantise and source.op == "placeholder"  # type: ignore
            ):
                self._refuse(call, "its input is not quantised", UNQUANTISED)
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
        if value.sums is not None:
            self._refuse(last, "its output is not quantised", UNQUANTISED)
        shape = value.node.type.map_shape
        if value.flat and shape[2] > 1 and shape[:2] != (1, 1):
            self._refuse(
                last,
                f"flattens a map of {shape[2]} channels, which hwgen streams channels first",
                "end the network with a Linear layer, or return the map itself",
            )

    def _refuse(self, call: fx.Node, reason: str, remedy: str) -> None:
        self.problems.append(Problem(layer_of(call), reason, remedy))

    def _add(self, call: fx.Node, name: str, op, source: Node | None, scale=None) -> Node:
        self._names[name] += 1
        if self._names[name] > 1:  # pools may be called again and again: they hold no weights
            name = f"{name}.{self._names[name]}"
        kind = op.output if scale is None else replace(op.output, scale=scale)
        node = Node(name, op, (source.name,) if source else (), kind)
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
            return _Value(self._add(call, "input", Input(kind), None))
        source = self._values[call.args[0]]  # type: ignore[index]
        layer = source.node.name
        if source.sums is None:
            raise UserError(Problem(layer, "is quantised twice", "quantise each layer once"))
        sums = source.node.type
        if sums.bits > 46:
            raise UserError(
                Problem(
                    layer,
                    f"its sums need {sums.bits} bits, and hwgen rounds sums of up to 46",
                    "use fewer bits for its weights or its inputs",
                )
            )
        ratios = np.array(source.sums) / scale
        if ratios.max() > 65535:
            raise UserError(
                Problem(
                    layer,
                    f"one step of its sums is {ratios.max():g} steps of its output",
                    "use fewer bits for its output: up to 65535 steps can be multiplied",
                )
            )
        m, shift = multipliers(ratios)
        lo = max(grid.lo, grid.zero_point) if source.relu else grid.lo
        op = Requantise(sums, m, shift, bits, signed, grid.zero_point, lo, grid.hi)
        return _Value(self._add(call, f"{layer}.requantise", op, source.node, scale))

    def _weights(
        self, call: fx.Node, source: TensorType
    ) -> tuple[np.ndarray, np.ndarray, int, tuple[float, ...]]:
        """Integer weights in torch's order, integer bias, bits, and what a step of the sum is."""
        given, layer = arguments(call), layer_of(call)
        weights, grid = integers_of(self.graph, given["weight"])
        channels = len(weights)
        scales = np.broadcast_to(grid.scale * source.scale, (channels,))
        if grid.zero_point:
            raise UserError(Problem(layer, "its weights have a zero point", "use symmetric ones"))
        bias = np.zeros(channels, np.int64)
        if given["bias"] is not None:
            bias, steps = integers_of(self.graph, given["bias"])
            if steps.zero_point or not np.allclose(steps.scale, scales, rtol=1e-9, atol=0):
                raise UserError(
                    Problem(
                        layer,
                        "its bias is on another grid than its sums",
                        "its scale must be that of the input times that of the weights",
                    )
                )
        # sum w * (q - z) = sum w * q - z * sum w; padding holds z, and so adds nothing to either.
        bias = bias - source.zero_point * weights.reshape(channels, -1).sum(1)
        return weights, bias, grid.bits, tuple(map(float, scales))

    def _conv2d(self, call: fx.Node) -> _Value:
        source = self._settled(call)
        weights, bias, bits, scales = self._weights(call, source.node.type)
        given = arguments(call)
        kernel = weights.shape[2:]
        op = Conv2d(
            source.node.type.integers,
            narrow(weights.transpose(0, 2, 3, 1)),
            narrow(bias),
            bits,
            pair(given["stride"]),
            conv_padding(given["padding"], kernel),
        )
        return _Value(self._add(call, layer_of(call), op, source.node, scales), scales)

    def _linear(self, call: fx.Node) -> _Value:
        source = self._settled(call)
        kind = source.node.type
        weights, bias, bits, scales = self._weights(call, kind)
        if len(kind.shape) == 3:
            if not source.flat:
                self._refuse(call, "is applied to a map", "flatten first: torch.flatten(x, 1)")
            height, width, channels = kind.shape
            # torch flattens channels first; the stream carries them innermost.
            weights = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        op = Linear(kind.integers, narrow(weights), narrow(bias), bits)
        return _Value(self._add(call, layer_of(call), op, source.node, scales), scales)

    def _relu(self, call: fx.Node) -> _Value:
        source = self._values[call.args[0]]  # type: ignore[index]
        if source.sums is None:
            raise UserError(Problem(layer_of(call), "follows rounded integers", UNQUANTISED))
        return replace(source, relu=True)

    def _max_pool2d(self, call: fx.Node) -> _Value:
        source, given = self._settled(call), arguments(call)
        kernel, (down, across) = pair(given["kernel_size"]), pair(given["padding"])
        stride = pair(given["stride"]) if given["stride"] else kernel
        op = MaxPool2d(source.node.type, kernel, stride, (down, down, across, across))
        return _Value(self._add(call, layer_of(call), op, source.node))

    def _flatten(self, call: fx.Node) -> _Value:
        source = self._settled(call)
        return replace(source, flat=len(source.node.type.shape) == 3)

    def _settled(self, call: fx.Node) -> _Value:
        source = self._values[call.args[0]]  # type: ignore[index]
        if source.sums is not None:
            raise UserError(Problem(layer_of(call), "its input is not quantised", UNQUANTISED))
        return source


def pair(values: list[int]) -> tuple[int, int]:
    """(down, across) from torch's one or two numbers."""
    return values[0], values[-1]


def conv_padding(padding: str | list[int], kernel: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) from torch's ``"same"``, ``"valid"``, or one or two numbers."""
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0, 0, 0
        down, across = kernel[0] - 1, kernel[1] - 1  # of an odd sum, torch puts more at the end
        return down // 2, down - down // 2, across // 2, across - across // 2
    down, across = pair(padding)
    return down, down, across, across
