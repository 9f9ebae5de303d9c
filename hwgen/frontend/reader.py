"""The walk over a fake-quantised program that makes a node of the network of each of its calls."""

from collections.abc import Callable
from dataclasses import replace

from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend import arranged
from hwgen.frontend.activations import PLAIN
from hwgen.frontend.calls import (
    ACTIVATIONS,
    AVERAGES,
    CONCATS,
    CONVS,
    MAX_POOLS,
    PADS,
    UPSAMPLES,
    calls,
    constant,
    layer_of,
    op_of,
    read_by,
)
from hwgen.frontend.domain import domain_conv
from hwgen.frontend.geometry import (
    Padding,
    average_of,
    conv_padding,
    pair,
    pool_padding,
    pool_stride,
)
from hwgen.frontend.grids import layer_integers, narrow
from hwgen.frontend.program import ORIGIN, arguments, leaving
from hwgen.frontend.rescale import factors_of
from hwgen.frontend.rounder import PADDED_SIGNS, Rounder, Value
from hwgen.network import (
    Add,
    Conv2d,
    Linear,
    MaxPool2d,
    SumPool2d,
)

__all__ = ["Reader"]


class Reader(Rounder):
    """Walks the program once, in order; every call becomes at most one node."""

    def run(self) -> None:
        handlers: dict[str, Callable[[fx.Node], Value]] = {
            "fake_quantize": self._quantise,
            "binarize": self._sign,
            "linear": self._linear,
            "winograd_conv2d": self._domain_conv,
            "add": self._sum_of_two,
            "flatten": self._flatten,
            "slice": self._part,
            **dict.fromkeys(CONVS, self._conv),
            **dict.fromkeys(MAX_POOLS, self._max_pool),
            **dict.fromkeys(CONCATS, self._concat),
            **dict.fromkeys(UPSAMPLES, self._larger),
            **dict.fromkeys(PADS, self._pad),
            **dict.fromkeys(AVERAGES, self._average),
            **dict.fromkeys(ACTIVATIONS, self._activate),
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
            sources = read_by(call)
            entering = handler == self._quantise and sources[0].op == "placeholder"
            if not entering and any(source not in self._values for source in sources):
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
        for last in dict.fromkeys(leaving(self.graph)):
            value = self._padded(last, self._values[last])
            if value.sums is not None and ORIGIN in self.graph.meta and not self.problems:
                value = self._leave(last, value)
            elif value.sums is not None or value.activation != PLAIN:
                self._refuse(last, "its output is not quantised", self._unquantised)
            shape = value.node.type.map_shape
            if value.flat and shape[2] > 1 and shape[:2] != (1, 1):
                self._refuse(
                    last,
                    f"flattens a map of {shape[2]} channels, which hwgen streams channels first",
                    "end the network with a Linear layer, or return the map itself",
                )

    def _conv(self, call: fx.Node) -> Value:
        source = self._settled(call, absorbs="zero", signs=True)
        weights, bias, bits, scales = layer_integers(
            self.graph, call, source.node.type, self._finest(call), self._only_signs(call)
        )
        if weights.ndim == 3:
            weights = weights[:, :, None]  # of a line
        dilation = pair(call, "dilation")
        extent = tuple((k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilation, strict=True))
        padding = _both(source.padding, conv_padding(call, extent))  # type: ignore[arg-type]
        if source.node.type.encoding == "bipolar" and any(padding):
            raise UserError(Problem(layer_of(call), *PADDED_SIGNS))
        op = Conv2d(
            source.node.type.integers,
            narrow(weights.transpose(0, 2, 3, 1)),
            narrow(bias),
            bits,
            pair(call, "stride"),
            padding,
            dilation,
            arguments(call)["groups"],
        )
        return Value(self._add(call, layer_of(call), op, source.node, scale=scales), scales)

    def _domain_conv(self, call: fx.Node) -> Value:
        source = self._settled(call, absorbs="zero")
        op, steps = domain_conv(self.graph, call, source.node.type, source.padding)
        return Value(self._add(call, layer_of(call), op, source.node, scale=steps), steps)

    def _linear(self, call: fx.Node) -> Value:
        source = self._settled(call, signs=True)
        kind = source.node.type
        weights, bias, bits, scales = layer_integers(
            self.graph, call, kind, self._finest(call), self._only_signs(call)
        )
        if len(kind.shape) == 3:
            if not source.flat:
                self._refuse(call, "is applied to a map", "flatten first: torch.flatten(x, 1)")
            height, width, channels = kind.shape
            # torch flattens channels first; the stream carries them innermost.
            weights = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        op = Linear(kind.integers, narrow(weights), narrow(bias), bits)
        return Value(self._add(call, layer_of(call), op, source.node, scale=scales), scales)

    def _average(self, call: fx.Node) -> Value:
        source, windows = self._settled(call, absorbs="zero"), average_of(call)
        assert windows is not None, "the support check has seen to it"
        kernel, stride, padding, divisor = windows
        kind = source.node.type
        op = SumPool2d(kind.integers, kernel, stride, _both(source.padding, padding))
        step = float(kind.scale) / divisor  # type: ignore[arg-type]
        node = self._add(call, layer_of(call), op, source.node, scale=step)
        flat = len(call.meta.get("shape", ())) == 2
        return Value(node, (step,) * kind.channels, flat=flat)

    def _sum_of_two(self, call: fx.Node) -> Value:
        first, second = self._settled(call), self._settled(call, 1)
        kinds = first.node.type, second.node.type
        if kinds[0].map_shape != kinds[1].map_shape or _is_vector(first) != _is_vector(second):
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
        return Value(node, (step,) * kinds[0].channels, flat=first.flat)

    def _activate(self, call: fx.Node) -> Value:
        source = self._values[read_by(call)[0]]
        if source.sums is None:  # a rounding of its own
            source = self._padded(read_by(call)[0], source)
            source = replace(source, name=source.name or layer_of(call))
        made = source.activation.then(self.graph, call)
        if source.flat and source.node.type.map_shape[:2] != (1, 1) and len(made.slopes or ()) > 1:
            reason = "has a slope for each place of a flattened map"
            raise UserError(Problem(layer_of(call), reason, "put it before flattening"))
        return replace(source, activation=made)

    def _max_pool(self, call: fx.Node) -> Value:
        source = self._settled(call, absorbs="least", signs=True)
        padding = _both(source.padding, pool_padding(call))
        op = MaxPool2d(source.node.type, pair(call, "kernel_size"), pool_stride(call), padding)
        return Value(self._add(call, layer_of(call), op, source.node))

    def _concat(self, call: fx.Node) -> Value:
        sources = [self._settled(call, place) for place in range(len(read_by(call)))]
        kinds = [source.node.type for source in sources]
        nodes = [source.node for source in sources]
        sizes = {kind.map_shape[:2] for kind in kinds}
        if len(sizes) > 1 or len(set(map(_is_vector, sources))) > 1:
            reason = f"puts {[kind.shape for kind in kinds]} (rows, columns, channels) side by side"
            remedy = "flatten all of them, or none; vectors go with vectors"
            raise UserError(Problem(layer_of(call), reason, remedy))
        op, scale, is_sum = arranged.concat(call, kinds)
        made = self._add(call, layer_of(call), op, *nodes, scale=scale)
        return Value(made, scale if is_sum else None, flat=sources[0].flat)  # type: ignore

    def _part(self, call: fx.Node) -> Value:
        source = self._settled(call)
        if source.flat and source.node.type.map_shape[:2] != (1, 1):
            reason = f"takes a part of a flattened map {source.node.type.shape}"
            raise UserError(Problem(layer_of(call), reason, "take it before flattening"))
        op = arranged.part(call, source.node.type)
        return replace(source, node=self._add(call, layer_of(call), op, source.node))

    def _larger(self, call: fx.Node) -> Value:
        source = self._settled(call)
        op = arranged.larger(call, source.node.type)
        return Value(self._add(call, layer_of(call), op, source.node))

    def _pad(self, call: fx.Node) -> Value:
        source = self._settled(call)
        padding, fill = arranged.padding(call, source.node.type)
        return replace(source, padding=padding, fill=fill)

    def _flatten(self, call: fx.Node) -> Value:
        source = self._settled(call, signs=True)
        return replace(source, flat=len(source.node.type.shape) == 3)


def _both(first: Padding, second: Padding) -> Padding:
    top, bottom, left, right = (a + b for a, b in zip(first, second, strict=True))
    return top, bottom, left, right


def _is_vector(value: Value) -> bool:
    """Whether the program has it as a vector."""
    return value.flat or len(value.node.type.shape) == 1
