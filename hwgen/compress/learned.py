"""A fake-quantised network whose weights and steps learn together, and what it becomes.

Every step is what quantisation made it times a learned factor: one for each output channel's
weights, one for each set of tied activations. Tensors that meet in an addition, a concatenation or
a layer with weights are tied, as are the roundings of the same sums: the ratios of their steps stay
as they are. The ratio between the steps before and after a layer is settled anew when the training
is over, so that it is one that the requantiser has.
"""

import copy

import numpy as np
import torch
from torch import fx, nn

from hwgen.compress.observers import UnsignedGrid
from hwgen.compress.places import pads
from hwgen.compress.roundings import (
    LAYERS,
    SETTLED,
    finest,
    grids_of,
    is_rounding,
    maker_of,
    settle,
    sources_of,
)
from hwgen.compress.sets import Sets
from hwgen.frontend.calls import DOMAIN_CONVS, calls, constant, op_of
from hwgen.frontend.geometry import average_of
from hwgen.frontend.program import arguments, put, tensor_of
from hwgen.frontend.ratios import multipliers
from hwgen.nn import lsq
from hwgen.nn.quantize import fake_quantize
from hwgen.nn.winograd import exact_winograd_conv2d, winograd_conv2d

__all__ = ["Learned"]


class Learned(nn.Module):
    """Takes the inputs of ``program``, which is copied, and returns what it does, in float32.

    ``weights`` are the program's own parameters, biases among them; ``factors`` the logarithms of
    the learned factors: as steps are above zero and of any size, it is their ratios that learn.
    The input's steps are kept, as its values are given, and so are the outputs'. Weights that are
    zero are kept: what was pruned stays so.
    """

    def __init__(self, program: fx.GraphModule):
        super().__init__()
        self.program = copy.deepcopy(program)
        self.layers = [node for node in calls(self.program) if op_of(node) in LAYERS]
        self._learn_weights()
        self.weights = list(self.program.parameters())
        self._grids = grids_of(self.program)
        self._set_of = _tied(self.program, list(self._grids))
        count = 1 + max((n for n in self._set_of.values() if n is not None), default=-1)
        self._of_activations = nn.Parameter(torch.zeros(count))
        self._of_weights = nn.ParameterList(
            nn.Parameter(torch.zeros(_channels(self.program, layer))) for layer in self.layers
        )
        self.factors = [self._of_activations, *self._of_weights]

    def _learn_weights(self) -> None:
        """Parameters of what a program from a file has stored, and no gradients where it is zero:
        what is pruned stays so."""
        for layer in self.layers:
            for place in ("weight", "bias"):
                stored = constant(arguments(layer)[place])
                if stored is None:
                    continue
                value = tensor_of(self.program, stored)
                put(self.program, str(stored.target), value.clone(), train=True)
                kept = value != 0
                if place == "weight" and not kept.all():
                    parameter = self.program.get_parameter(str(stored.target))
                    parameter.register_hook(lambda gradient, kept=kept: gradient * kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, ...) -> what the program gives for it, with gradients for all parameters."""
        made = _Runner(self).run(x)
        return made[0] if isinstance(made, tuple | list) else made  # of a program from a file

    def steps(self) -> dict[fx.Node, torch.Tensor]:
        """The step, or one for each output channel, of every call that rounds; float32."""
        found: dict[fx.Node, torch.Tensor] = {}
        for node, grid in self._grids.items():
            which = self._set_of[node]
            factor = 1.0 if which is None else self._of_activations[which].exp()
            found[node] = torch.tensor(grid.scale, dtype=torch.float32) * factor
        for layer, factors in zip(self.layers, self._of_weights, strict=True):
            weight, bias = arguments(layer)["weight"], arguments(layer)["bias"]
            scale = tensor_of(self.program, arguments(weight)["scale"]).float() * factors.exp()
            found[weight] = scale
            if bias is not None:
                sums = scale.detach()
                if op_of(layer) in DOMAIN_CONVS:
                    shifts = torch.tensor(arguments(layer)["shifts"])
                    sums = (sums * 2.0 ** shifts[:, None]).amin(0)
                found[bias] = sums * min(found[node].detach() for node in sources_of(layer))
        return found

    def settled(self) -> fx.GraphModule:
        """The program with what was learned, on grids that ``frontend.read`` takes."""
        program = copy.deepcopy(self.program)
        twins = dict(zip(self.program.graph.nodes, program.graph.nodes, strict=True))
        with torch.no_grad():
            steps = self.steps()
        factors = self._settled_factors()
        grids = {}
        for node, grid in self._grids.items():
            # One float64 factor for a whole set: ratios within it are what they were.
            scale = grid.scale * factors[self._set_of[node]]
            grids[node] = UnsignedGrid(scale, grid.zero_point, grid.hi)
            put(
                program,
                str(arguments(node)["scale"].target),
                torch.tensor(scale, dtype=torch.float64),
            )
        for layer in self.layers:
            settle(
                program,
                twins[layer],
                steps[arguments(layer)["weight"]],
                finest(grids, sources_of(layer)),
                finest(grids, [node for node in grids if maker_of(node) is layer]),
            )
        program.recompile()
        return program

    def _settled_factors(self) -> dict[int | None, float]:
        """The factor of each set, such that sums without weights are rounded by a multiple that the
        requantiser has exactly: those of one layer in each set that reads other sets."""
        learned = self._of_activations.detach().double().exp().tolist()
        factors: dict[int | None, float] = {None: 1.0, **dict(enumerate(learned))}
        begun: set[int | None] = {None}

        def settle(which: int | None) -> None:
            if which in begun:
                return
            begun.add(which)
            for node in (n for n, other in self._set_of.items() if other == which):
                maker, sources = maker_of(node), sources_of(node)
                if maker is None or op_of(maker) in LAYERS:
                    continue
                if which in (self._set_of[source] for source in sources):
                    continue  # as it was
                for source in sources:
                    settle(self._set_of[source])
                windows = average_of(maker)
                step = min(self._grids[n].scale * factors[self._set_of[n]] for n in sources)
                step /= windows[3] if windows else 1
                scale = self._grids[node].scale
                m, shift = multipliers(np.array([step / (scale * factors[which])]))
                factors[which] = step * 2.0**shift / float(m[0]) / scale
                break

        for which in range(len(learned)):
            settle(which)
        return factors


class _Runner(fx.Interpreter):
    def __init__(self, learned: Learned):
        super().__init__(learned.program)
        self._steps = learned.steps()
        self._biases = {arguments(layer)["bias"] for layer in learned.layers}

    def run_node(self, n: fx.Node):
        if n.op == "call_function" and op_of(n) in DOMAIN_CONVS:
            return self._domain_conv(n)
        if n not in self._steps:
            return super().run_node(n)
        given, step = arguments(n), self._steps[n]
        x = self.env[n.all_input_nodes[0]]
        if op_of(n) == "binarize":
            return lsq.binarize(x, step)
        if n in self._biases:
            zeros = torch.zeros(len(step), dtype=torch.int64)
            return fake_quantize(x, step, zeros, given["lo"], given["hi"], 0)
        zero_point = int(tensor_of(self.module, given["zero_point"]).reshape(-1)[0])  # type: ignore
        return lsq.round_to_steps(x, step, given["lo"] - zero_point, given["hi"] - zero_point)

    def _domain_conv(self, n: fx.Node) -> torch.Tensor:
        given = arguments(n)
        x, weight = self.env[given["x"]], self.env[given["weight"]]
        bias = None if given["bias"] is None else self.env[given["bias"]]
        if not given["transform_bits"]:
            return exact_winograd_conv2d(x, weight, bias, given["tile"], given["padding"])
        step = float(min(self._steps[node].detach() for node in sources_of(n)))
        rest = given["shifts"], given["tile"], given["padding"], given["transform_bits"]
        return winograd_conv2d(x, weight, bias, step, *rest)


def _channels(program: fx.GraphModule, layer: fx.Node) -> int:
    return tensor_of(program, arguments(arguments(layer)["weight"])["scale"]).shape[-1]


def _tied(program: fx.GraphModule, rounding: list[fx.Node]) -> dict[fx.Node, int | None]:
    """The number of the set of tied activations of each call, None if it is to stay as it is."""
    sets = Sets(rounding)
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    fixed = set(sources_of(output))
    for pad in pads(program):  # whose numbers are on the grid as it is
        fixed |= set(sources_of(pad))
    first: dict[fx.Node, fx.Node] = {}
    for node in rounding:
        maker = maker_of(node)
        if maker is None:
            fixed.add(node)
            continue
        sets.tie(node, first.setdefault(maker, node))
        if op_of(maker) not in (*LAYERS, *SETTLED) or (
            node in fixed and op_of(maker) not in LAYERS
        ):
            sets.tie(node, *sources_of(maker))
    for node in calls(program):
        if not is_rounding(node) and constant(node) is None:
            sets.tie(*sources_of(node))
    kept = set[fx.Node]().union(*(sets.of[node] for node in fixed))
    numbers: dict[int, int] = {}
    return {
        node: None if node in kept else numbers.setdefault(id(sets.of[node]), len(numbers))
        for node in rounding
    }
