"""Max-pooling between a layer and its signs, as in many binarised networks, to after the signs.

What is between them, batch norm and activations, rises with its input, or, where a gain is
negative, falls. The sign of the largest is the largest sign where it rises; where it falls, it is
the least. The largest of signs that are turned around, turned around, are the least.
"""

import torch
from torch import fx

from hwgen.frontend.affine import affine_of, is_affine
from hwgen.frontend.calls import (
    ACTIVATIONS,
    CONSTANTS,
    MAX_POOLS,
    SUMS,
    calls,
    layer_of,
    op_of,
)
from hwgen.frontend.neighbours import shape_of
from hwgen.frontend.program import put

__all__ = ["pool_signs"]

aten, hwgen = torch.ops.aten, torch.ops.hwgen


def pool_signs(program: fx.GraphModule) -> None:
    """Put every max-pool of sums that only a sign reads after that sign."""
    for pool in calls(program):
        source = pool.args[0]
        if op_of(pool) in MAX_POOLS and op_of(source) in {*SUMS, *CONSTANTS, *ACTIVATIONS}:  # type: ignore[arg-type]
            between = _until_sign(pool)
            if between:
                _move(program, pool, between)
    program.graph.eliminate_dead_code()
    program.recompile()


def _until_sign(pool: fx.Node) -> list[fx.Node]:
    """The calls from a pool, itself left out, to the sign that alone reads it; empty if none."""
    found, node = [], pool
    while len(node.users) == 1:
        (node,) = node.users
        if node.op != "call_function" or not (
            op_of(node) in {*ACTIVATIONS, "binarize"} or is_affine(node)
        ):
            return []
        found.append(node)
        if op_of(node) == "binarize":
            return found
    return []


def _move(program: fx.GraphModule, pool: fx.Node, between: list[fx.Node]) -> None:
    graph, source, readers = program.graph, pool.args[0], [*between[-1].users]
    channels = shape_of(pool)[1]  # type: ignore[index]
    gains = [affine_of(program, node)[0] for node in between if is_affine(node)]
    signs = torch.ones(channels, dtype=torch.float64)  # type: ignore[arg-type]
    for gain in gains:
        signs = signs * gain.sign()
    sign = between[-1]
    pool.replace_all_uses_with(source)  # type: ignore[arg-type]
    for node in between:
        node.meta = node.meta | {"shape": shape_of(source)}
    with graph.inserting_before(sign.next):
        turned = _turned(program, sign, signs, f"{layer_of(pool)}.before")
        turned.append(pool)
        pool.update_arg(0, turned)
    with graph.inserting_before(pool.next):
        made = _turned(program, pool, signs, f"{layer_of(pool)}.after", sign.args[1:])
    for reader in readers:
        reader.replace_input_with(sign, made)


def _turned(
    program: fx.GraphModule, given: fx.Node, signs: torch.Tensor, name: str, rest: tuple = ()
) -> fx.Node:
    """``given``, of -1 and +1, times the ``signs`` of its channels."""
    if bool((signs >= 0).all()):
        return given
    graph, axes = program.graph, len(shape_of(given) or ()) - 2
    put(program, f"{name}.weight", signs.reshape(-1, *[1] * (axes + 1)).clone())
    put(program, f"{name}.one", torch.ones(1, dtype=torch.float64))
    weight, one = graph.get_attr(f"{name}.weight"), graph.get_attr(f"{name}.one")
    weights = graph.call_function(hwgen.binarize.default, (weight, one, -1))
    conv = aten.conv2d.default if axes == 2 else aten.conv1d.default
    ones, zeros = [1] * axes, [0] * axes
    product = graph.call_function(conv, (given, weights, None, ones, zeros, ones, len(signs)))
    made = graph.call_function(hwgen.binarize.default, (product, *(rest or given.args[1:])))
    product.meta = made.meta = dict(given.meta)
    return made
