"""Batch norm and constants behind layers whose weights are quantised: into their grids, exactly.

``w * gain`` is on the grid with steps of ``|gain|`` times the size, where a negative gain turns
the integers around. A sign behind it then compares the same sums with another bias.
"""

import torch
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.affine import affine_of, home_of, is_affine, source_of
from hwgen.frontend.calls import WEIGHTED, calls, constant, layer_of, op_of
from hwgen.frontend.decomposed import along_axis
from hwgen.frontend.grids import grid_of, integers_of, real_of
from hwgen.frontend.program import arguments, put

__all__ = ["fold_rescaled"]


def fold_rescaled(program: fx.GraphModule) -> None:
    """Fold every affine call that follows a layer with quantised weights, and nothing else.

    Raises UserError for a gain of zero, whose steps would have no size.
    """
    for node in calls(program):
        if not is_affine(node) or home_of(node) != "before":
            continue
        layer = source_of(node)
        assert layer is not None, "home_of has seen to it"
        if op_of(layer) not in WEIGHTED or arguments(layer)["weight"].op == "get_attr":
            continue
        gain, shift = affine_of(program, node)
        if not gain.all():
            reason = "multiplies a channel by zero"
            raise UserError(Problem(layer_of(node), reason, "leave out the channel"))
        _fold(program, layer, gain, shift)
        node.replace_all_uses_with(layer)
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.recompile()


def _fold(program: fx.GraphModule, layer: fx.Node, gain: torch.Tensor, shift: torch.Tensor) -> None:
    given = arguments(layer)
    quantised, stem = given["weight"], str(constant(given["weight"]).target)  # type: ignore
    grid = grid_of(program, quantised)
    integers = torch.from_numpy(integers_of(program, quantised)[0]) - grid.zero_point
    gain = gain.expand(len(integers))
    scale = torch.from_numpy(grid.scale).expand(len(integers)) * gain.abs()
    turned = integers * along_axis(gain.sign(), 0, integers)
    put(program, f"{stem}_folded", turned * along_axis(scale, 0, integers))
    put(program, f"{stem}_folded_scale", scale)
    bias = 0.0 if given["bias"] is None else torch.from_numpy(real_of(program, given["bias"]))
    put(program, f"{stem}_folded_bias", (bias * gain + shift).expand(len(integers)).clone())
    with program.graph.inserting_before(layer):
        stored, step, added = (
            program.graph.get_attr(f"{stem}_folded{end}") for end in ("", "_scale", "_bias")
        )
        if grid.bipolar:
            rest: tuple = (stored, step, 0)
        else:
            put(program, f"{stem}_folded_zero", torch.zeros(len(integers), dtype=torch.int64))
            ends = min(grid.lo, int(turned.min())), max(grid.hi, int(turned.max()))
            rest = (stored, step, program.graph.get_attr(f"{stem}_folded_zero"), *ends, 0)
        made = program.graph.call_function(quantised.target, rest)
    made.meta = dict(quantised.meta)
    layer.args = (layer.args[0], made, added, *layer.args[3:])
