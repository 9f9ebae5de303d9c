"""The end of loading, the same for every source: a graph and its tensors become a program.

What is rewritten here is exact, and leaves the names of layers: copies of stored tensors are left
out, in-place calls are plain ones, parts are slices, what is computed from stored tensors alone is
stored, and ``torch.where(x >= 0, a, -a)`` is the sign that ``hwgen::binarize`` takes.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import fx

import hwgen.nn.quantize  # noqa: F401  registers the ops
from hwgen.errors import Problem, refuse
from hwgen.frontend.calls import RESHAPES, UNCHANGED, op_of
from hwgen.frontend.inplace import functional
from hwgen.frontend.parts import plain_parts
from hwgen.frontend.passes import bypass
from hwgen.frontend.program import build

__all__ = ["finish", "no_neurons"]

#: What ``torch.tensor(...)`` in ``forward`` leaves behind; it changes nothing.
COPIES = {"lift_fresh_copy", "detach_"}
GIVE_MODULE = "give the module itself: file.py:function, or the module to hwgen.build"

#: Numbers in a tensor that may be made so: a stranger's file must not fill the memory.
LARGEST = 1 << 28
#: Ops that may be computed once and for all.
STORED = {*RESHAPES, *UNCHANGED, "slice", "select", "permute", "transpose", "t", "numpy_T",
          "add", "sub", "rsub", "mul", "div", "neg", "abs", "sqrt", "rsqrt", "reciprocal", "exp",
          "pow", "square", "mean", "sum"}  # fmt: skip


def finish(tensors: Mapping[str, torch.Tensor], graph: fx.Graph) -> fx.GraphModule:
    """The program of ``graph``, which is changed, over ``tensors`` by name; UserError."""
    no_neurons(tensors)
    stored = dict(tensors)
    for node in list(graph.nodes):
        if node.op == "call_function" and op_of(node) in COPIES:
            bypass(node)
    plain_parts(graph)
    functional(graph)
    _signs(stored, graph)
    _fold(stored, graph)
    return build(stored, graph)


def no_neurons(tensors: Iterable[str]) -> None:
    """UserError if these are names of tensors of spiking neurons: in a program, their steps are
    unrolled to arithmetic, and what a neuron is cannot be told."""
    owned = {name.rpartition(".")[::2] for name in tensors}
    refuse(
        Problem(owner, "is a layer of spiking neurons, which a program has unrolled", GIVE_MODULE)
        for owner, name in sorted(owned)
        if name == "beta" and (owner, "threshold") in owned
    )


def _signs(stored: dict[str, torch.Tensor], graph: fx.Graph) -> None:
    """``where(x >= 0, a, -a)`` as ``binarize(x, a)``."""
    for node in list(graph.nodes):
        if node.op != "call_function" or op_of(node) != "where" or len(node.args) < 3:
            continue
        condition, high, low = node.args
        if not (
            isinstance(condition, fx.Node)
            and condition.op == "call_function"
            and op_of(condition) == "ge"
            and condition.args[1] == 0
            and isinstance(high, float | int)
            and isinstance(low, float | int)
            and high > 0
            and low == -high
        ):
            continue
        name = f"{node.name}_scale"
        stored[name] = torch.tensor(float(high), dtype=torch.float64)
        with graph.inserting_before(node):
            scale = graph.get_attr(name)
            given = (condition.args[0], scale, -1)
            made = graph.call_function(torch.ops.hwgen.binarize.default, given)
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        graph.erase_node(node)
    graph.eliminate_dead_code()


def _fold(stored: dict[str, torch.Tensor], graph: fx.Graph) -> None:
    """What is computed from stored tensors alone is stored itself."""
    for node in list(graph.nodes):
        if node.op != "call_function" or op_of(node) not in STORED or not node.all_input_nodes:
            continue
        if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
            continue
        if any(given.op != "get_attr" for given in node.all_input_nodes):
            continue
        given = {one: stored[str(one.target)].detach() for one in node.all_input_nodes}
        blank = {one: tensor.to("meta") for one, tensor in given.items()}
        if _compute(node, blank).numel() > LARGEST:
            continue
        name = f"{node.all_input_nodes[0].target}_{node.name}"
        stored[name] = _compute(node, given)
        with graph.inserting_before(node):
            made = graph.get_attr(name)
        made.meta = dict(node.meta) | {"shape": tuple(stored[name].shape)}
        node.replace_all_uses_with(made)
        graph.erase_node(node)


def _compute(node: fx.Node, given: Mapping[fx.Node, torch.Tensor]) -> torch.Tensor:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda one: given[one])
    return node.target(*args, **kwargs)  # type: ignore[operator]
