"""A fake-quantised program to the integer network that computes the same.

Every tensor of the program lies on a grid (scale, zero point, range), put there by one of
``hwgen.nn.quantize``'s ops. Integers follow from it: weights and bias by dividing, the rounding
after a layer from the ratio of the grids before and after it.
"""

from itertools import chain

from torch import fx
from torch.export import ExportedProgram

from hwgen.errors import Problem, refuse
from hwgen.frontend.affine import is_affine
from hwgen.frontend.calls import DOMAIN_CONVS, WEIGHTED, calls, layer_of, op_of
from hwgen.frontend.check import problems
from hwgen.frontend.decomposed import is_decomposed, is_quantised
from hwgen.frontend.load import load
from hwgen.frontend.program import arguments, leaving
from hwgen.frontend.pt2e import adopt
from hwgen.frontend.reader import Reader
from hwgen.frontend.rounder import remedy_of
from hwgen.network import Input, Network, Node

__all__ = ["read", "read_pairs"]


def read(program: fx.GraphModule | ExportedProgram) -> Network:
    """The integer network of a fake-quantised program; UserError, naming all that is in the way."""
    graph = load(program)
    affine = any(is_affine(call) for call in calls(graph))
    if is_decomposed(graph.graph) or (affine and is_quantised(graph.graph)):
        graph = adopt(graph)
    pairs = read_pairs(graph)
    nodes = tuple(node for _, node in pairs)
    last_of = dict(pairs)
    notes = list(graph.meta.get("hwgen_notes", ()))
    entering = [node for node in nodes if isinstance(node.op, Input)]
    notes[:0] = [
        (node.name, f"real = {node.type.scale!r} * (integer - {node.type.zero_point})")
        for node in entering
    ]
    outputs = []
    for last in leaving(graph):
        while last not in last_of:  # what only arranges numbers anew is no node of its own
            last = last.all_input_nodes[0]
        outputs.append(last_of[last].name)
    (returned,) = (node for node in graph.graph.nodes if node.op == "output")
    return Network(nodes, tuple(outputs), tuple(notes), returned.meta.get("keys", ()))


def read_pairs(graph: fx.GraphModule) -> list[tuple[fx.Node, Node]]:
    """Each node of the network beside the call that it is made for, in order.

    Of several nodes with one call, the integers of the last stand for the call's real numbers.
    """
    refuse(chain(problems(graph), _unquantised(graph)))
    reader = Reader(graph)
    reader.run()
    refuse(reader.problems)
    return reader.pairs


def _unquantised(graph: fx.GraphModule):
    for node in calls(graph):
        if op_of(node) in WEIGHTED | DOMAIN_CONVS and arguments(node)["weight"].op == "get_attr":
            yield Problem(layer_of(node), "its weight is not quantised", remedy_of(graph))
        elif op_of(node) == "batch_norm":
            yield Problem(layer_of(node), "batch norm is not folded into weights", remedy_of(graph))
