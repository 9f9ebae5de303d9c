"""Networks that PT2E has quantised, as the fake-quantised programs that ``read`` reads.

PT2E (torchao's ``prepare_pt2e``, ``prepare_qat_pt2e`` and ``convert_pt2e``) leaves the float ops,
with a ``quantize`` and a ``dequantize`` op on each tensor that is rounded. Each such pair becomes
one ``fake_quantize`` on the very same grid; weights become the integers that are stored, or that
PT2E itself would make of the stored floats. Nothing is chosen here.
"""

import copy
from collections.abc import Iterator
from itertools import chain

import torch
from torch import fx

from hwgen.errors import Problem, refuse
from hwgen.frontend.calls import (
    ACTIVATIONS,
    CONCATS,
    CONSTANTS,
    PADS,
    SAME_GRID,
    SUMS,
    WEIGHTED,
    calls,
    constant,
    layer_of,
    op_of,
    read_by,
)
from hwgen.frontend.check import problems
from hwgen.frontend.decomposed import (
    GivenGrid,
    along_axis,
    folded,
    grid_of,
    is_decomposed,
    is_dequantize,
    is_dynamic,
    is_quantize,
)
from hwgen.frontend.passes import ACTIVATIONS_FIRST, PLAIN, bypass
from hwgen.frontend.pooled_signs import pool_signs
from hwgen.frontend.program import ORIGIN, arguments, build, put, set_argument, tensor_of
from hwgen.frontend.rescaled import fold_rescaled
from hwgen.nn.quantize import fake_quantize

__all__ = ["adopt"]

MAX_BITS = 16


def adopt(program: fx.GraphModule) -> fx.GraphModule:
    """The same network with ``fake_quantize`` ops, in float64; ``program`` is not changed.

    One that has them already, because hwgen has quantised and perhaps trained it, is only copied.
    Raises UserError, naming everything in it that has no hardware.
    """
    program = copy.deepcopy(program)
    if not is_decomposed(program.graph):
        program.meta[ORIGIN] = "hwgen"
        program.meta["hwgen_notes"] = (("quantised by", "hwgen, before"),)
        refuse(problems(program))
        pool_signs(program)
        fold_rescaled(program)
        return program.double()
    found = _Adoption(program)
    found.run()
    program = build(
        {**dict(program.named_parameters()), **dict(program.named_buffers())}, program.graph
    )
    program.meta[ORIGIN] = "PT2E"
    refuse(chain(found.problems, _constants(program), problems(program)))
    for rewrite in (*PLAIN, *ACTIVATIONS_FIRST):
        rewrite(program)
    _hoist_roundings(program)
    program.meta["hwgen_notes"] = (("quantised by", "PT2E, whose scales and bits are kept"),)
    program.graph.eliminate_dead_code()
    program.recompile()
    return program.double()


def _constants(program: fx.GraphModule) -> Iterator[Problem]:
    """Arithmetic with stored numbers, which PT2E leaves in float: there is no grid to read."""
    for node in calls(program):
        computed = [one for one in read_by(node) if constant(one) is None]
        if op_of(node) in CONSTANTS or (op_of(node) == "add" and len(computed) < 2):
            reason = f"computes {op_of(node)} with a constant in float"
            remedy = "put it into the weights or the bias of the layer before"
            yield Problem(layer_of(node), reason, remedy)


class _Adoption:
    """Replaces every quantisation of ``program``, in order."""

    def __init__(self, program: fx.GraphModule):
        self.program = program
        self.problems: list[Problem] = []
        self._made: dict[tuple, fx.Node] = {}

    def run(self) -> None:
        for node in calls(self.program):
            if op_of(node) in WEIGHTED:
                for place in ("weight", "bias"):
                    self._constant(node, place)
        self.program.graph.eliminate_dead_code()  # what quantised them
        for node in calls(self.program):
            if is_quantize(node):
                self._activation(node)
        for node in calls(self.program):
            if is_dequantize(node) and node.users:
                reader = next(iter(node.users))
                reason = "reads integers that were not quantised from floats"
                remedy = "let the network take floats, and PT2E quantise them"
                self.problems.append(Problem(layer_of(reader), reason, remedy))
                bypass(node)
        self.program.graph.eliminate_dead_code()

    def _constant(self, layer: fx.Node, place: str) -> None:
        """The weights or bias of a layer: their integers times their scale, and that scale."""
        given = arguments(layer)[place]
        stored = folded(self.program, given) if isinstance(given, fx.Node) else None
        if stored is None:
            return  # floats, or computed: the support check and the reader say what they must
        integers, scale, axis, lo, hi = stored
        name = f"{_name(layer)}.{place}"
        if place == "weight" and GivenGrid(scale, 0, lo, hi).bits > MAX_BITS:
            reason = f"its weights have {GivenGrid(scale, 0, lo, hi).bits} bits"
            self.problems.append(Problem(_name(layer), reason, f"use at most {MAX_BITS}"))
        if axis > 0:
            reason = f"its {place} has a scale for each place of axis {axis}"
            remedy = "use one for each output channel: ch_axis=0"
            self.problems.append(Problem(_name(layer), reason, remedy))
        put(self.program, name, integers.double() * along_axis(scale, axis, integers))
        put(self.program, f"{name}_scale", scale)
        put(self.program, f"{name}_zero_point", torch.zeros_like(scale, dtype=torch.int64))
        names = [name, f"{name}_scale", f"{name}_zero_point"]
        made = self._fake(layer, [self._get(layer, name) for name in names], lo, hi, axis)
        layer.update_arg(1 if place == "weight" else 2, made)

    def _activation(self, node: fx.Node) -> None:
        """A ``quantize`` and all that it feeds."""
        source: fx.Node = node.args[0]  # type: ignore[assignment]
        layer = _name(source)
        if is_dynamic(node):
            reason = "its scale is chosen anew for each input"
            self.problems.append(Problem(layer, reason, "use an observer: is_dynamic=False"))
            for user in (*node.users, node):
                bypass(user)
            return
        grid = grid_of(self.program, node)
        self.problems += (Problem(layer, *found) for found in grid.problems(MAX_BITS))
        key = (source, *grid.key)
        if key not in self._made:
            name = f"grid{len(self._made)}"
            put(self.program, f"{name}_scale", grid.scale)
            put(self.program, f"{name}_zero_point", torch.tensor(grid.zero_point))
            rest = [self._get(node, f"{name}_{part}") for part in ("scale", "zero_point")]
            self._made[key] = self._fake(node, [source, *rest], grid.lo, grid.hi, -1)
        for user in list(node.users):
            if is_dequantize(user) and grid_of(self.program, user).key == grid.key:
                user.replace_all_uses_with(self._made[key])
                continue
            reason = f"computes {op_of(user)} on the integers of {layer}"
            if is_dequantize(user):
                reason = "is dequantised on another grid than it was quantised on"
            remedy = "use convert_pt2e with use_reference_representation=False"
            self.problems.append(
                Problem(layer if is_dequantize(user) else layer_of(user), reason, remedy)
            )
            user.replace_all_uses_with(self._made[key])

    def _get(self, before: fx.Node, name: str) -> fx.Node:
        with self.program.graph.inserting_before(before):
            return self.program.graph.get_attr(name)

    def _fake(self, before: fx.Node, tensors: list[fx.Node], lo: int, hi: int, axis: int):
        target = torch.ops.hwgen.fake_quantize.default
        with self.program.graph.inserting_before(before):
            made = self.program.graph.call_function(target, (*tensors, lo, hi, axis))
        made.meta = dict(tensors[0].meta)
        return made


def _name(layer: fx.Node) -> str:
    """The user's name for a layer; PT2E keeps its module, but not the names of its weights."""
    if layer.op != "call_function":
        return "input" if layer.op == "placeholder" else layer.name
    path, is_layer = layer.meta.get("path", ("", False))
    return path if is_layer and path else f"{path}.{layer.name}" if path else layer.name


def _hoist_roundings(program: fx.GraphModule) -> None:
    """A rounding behind a pool or flatten to before it: both orders give the same numbers.

    Rounding never changes the order of two numbers; the number that a pad adds is rounded too.
    """
    waiting = [node for node in calls(program) if op_of(node) == "fake_quantize"]
    while waiting:
        node = waiting.pop(0)
        source: fx.Node = node.args[0]  # type: ignore[assignment]
        while _is(source, SAME_GRID - CONCATS) and _is_unrounded(source):
            before: fx.Node = source.args[0]  # type: ignore[assignment]
            with program.graph.inserting_before(source):
                grid = [program.graph.node_copy(one) for one in node.args[1:3]]  # type: ignore
                rounded = program.graph.node_copy(node)
                rounded.args = (before, *grid, *node.args[3:])
                rounded.meta = dict(before.meta)
                moved = program.graph.node_copy(source)
                moved.update_arg(0, rounded)
            if op_of(source) in PADS:
                _round_value(program, moved, rounded)
            node.replace_all_uses_with(moved)
            program.graph.erase_node(node)
            node, source = rounded, before
        if _is(source, CONCATS) and len(source.users) == 1:
            waiting += _round_each(program, source, node)
    program.graph.eliminate_dead_code()


def _round_value(program: fx.GraphModule, pad: fx.Node, rounding: fx.Node) -> None:
    """What ``pad`` adds, on the grid of ``rounding``, as its tensor is."""
    given, grid = float(arguments(pad)["value"] or 0.0), arguments(rounding)
    stored = (tensor_of(program, grid[name]) for name in ("scale", "zero_point"))
    value = torch.tensor(given, dtype=torch.float64)
    rounded = fake_quantize(value, *stored, grid["lo"], grid["hi"], grid["axis"])
    set_argument(pad, "value", float(rounded))


def _is_unrounded(node: fx.Node) -> bool:
    """Whether what a pool or flatten reads is on no grid: sums, activations, or the input."""
    while _is(node, SAME_GRID - CONCATS):
        node = node.args[0]  # type: ignore[assignment]
    return node.op == "placeholder" or _is(node, SUMS | ACTIVATIONS)


def _round_each(program: fx.GraphModule, concat: fx.Node, node: fx.Node) -> list[fx.Node]:
    """What is rounded side by side may as well be rounded before: the roundings that are made."""
    parts = []
    for part in read_by(concat):
        with program.graph.inserting_before(concat):
            grid = [program.graph.node_copy(one) for one in node.args[1:3]]  # type: ignore
            rounded = program.graph.node_copy(node)
        rounded.args = (part, *grid, *node.args[3:])
        rounded.meta = dict(part.meta)
        parts.append(rounded)
    concat.update_arg(0, parts)
    bypass(node)
    return parts


def _is(node: fx.Node, kinds: set[str]) -> bool:
    return node.op == "call_function" and op_of(node) in kinds
