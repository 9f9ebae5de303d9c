"""A fake-quantised network whose weights and steps learn together, and what it becomes.

Every step is what quantisation made it times a learned factor: one for each output channel's
weights, one for each set of tied activations. Tensors that meet in an addition, a concatenation or
a layer with weights are tied, as are the roundings of the same sums: the ratios of their steps stay
as they are. The ratio between the steps before and after a layer is settled anew when the training
is over, so that it is one that the requantiser has.
"""

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import fx, nn

from hwgen.compress.observers import Grid
from hwgen.compress.places import pads
from hwgen.compress.weights import settle_scales
from hwgen.frontend.calls import AVERAGES, CONSTANT_OPS, WEIGHTED, calls, constant, op_of
from hwgen.frontend.geometry import average_of
from hwgen.frontend.program import arguments, put, tensor_of
from hwgen.frontend.ratios import multipliers
from hwgen.nn import lsq
from hwgen.nn.quantize import fake_quantize

__all__ = ["Learned"]

#: Sums without weights whose multiple of what they read is known. What others round is tied to it.
_SETTLED = {"add", *AVERAGES}


class Learned(nn.Module):
    """Takes the inputs of ``program``, which is copied, and returns what it does, in float32.

    ``weights`` are the program's own parameters, biases among them; ``factors`` the logarithms of
    the learned factors: as steps are above zero and of any size, it is their ratios that learn.
    The input's steps are kept, as its values are given, and so are the outputs'.
    """

    def __init__(self, program: fx.GraphModule):
        super().__init__()
        self.program = copy.deepcopy(program)
        self.weights = list(self.program.parameters())
        self.layers = [node for node in calls(self.program) if op_of(node) in WEIGHTED]
        self._grids = {n: _grid(self.program, n) for n in calls(self.program) if _rounds(n)}
        self._set_of = _tied(self.program, list(self._grids))
        count = 1 + max((n for n in self._set_of.values() if n is not None), default=-1)
        self._of_activations = nn.Parameter(torch.zeros(count))
        self._of_weights = nn.ParameterList(
            nn.Parameter(torch.zeros(_weight(self.program, layer).shape[0]))
            for layer in self.layers
        )
        self.factors = [self._of_activations, *self._of_weights]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, ...) -> what the program gives for it, with gradients for all parameters."""
        return _Runner(self).run(x)

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
                source = min(found[node].detach() for node in _sources(layer))
                found[bias] = scale.detach() * source
        return found

    def settled(self) -> fx.GraphModule:
        """The program with what was learned, on grids that ``frontend.read`` takes."""
        program = copy.deepcopy(self.program)
        twins = dict(zip(self.program.graph.nodes, program.graph.nodes, strict=True))
        with torch.no_grad():
            steps = {node: step.double().numpy() for node, step in self.steps().items()}
        factors = self._settled_factors()
        grids = {}
        for node, grid in self._grids.items():
            # One float64 factor for a whole set: ratios within it are what they were.
            scale = grid.scale * factors[self._set_of[node]]
            grids[node] = Grid(scale, grid.zero_point, grid.hi)
            _store(program, node, np.array(scale))
        for layer in self.layers:
            weight, bias = arguments(layer)["weight"], arguments(layer)["bias"]
            kernels = _weight(self.program, layer)
            offset = np.zeros(len(kernels))
            if bias is not None:
                offset = tensor_of(self.program, constant(bias)).double().numpy()  # type: ignore
            settled, limit = settle_scales(
                steps[weight],
                offset,
                _finest(grids, _sources(layer)),
                _finest(grids, [node for node in grids if _maker(node) is layer]),
                1 if op_of(weight) == "binarize" else arguments(weight)["hi"].bit_length() + 1,
                kernels[0].numel(),
            )
            _store(program, weight, settled)
            if bias is not None:
                _store(program, bias, settled * _finest(grids, _sources(layer)).scale)
                twins[bias].update_arg(3, -limit)
                twins[bias].update_arg(4, limit)
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
                maker, sources = _maker(node), _sources(node)
                if maker is None or op_of(maker) in WEIGHTED:
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


def _rounds(node: fx.Node) -> bool:
    """Whether a call rounds an activation, and not a stored tensor."""
    return op_of(node) in CONSTANT_OPS and constant(node) is None


def _grid(program: fx.GraphModule, node: fx.Node) -> Grid:
    given = arguments(node)
    scale = float(tensor_of(program, given["scale"]))
    return Grid(scale, int(tensor_of(program, given["zero_point"])), given["hi"])


def _weight(program: fx.GraphModule, layer: fx.Node) -> torch.Tensor:
    stored = constant(arguments(layer)["weight"])
    assert stored is not None, "quantisation has seen to it"
    return tensor_of(program, stored)


def _store(program: fx.GraphModule, node: fx.Node, scale: np.ndarray) -> None:
    target = str(arguments(node)["scale"].target)
    put(program, target, torch.from_numpy(np.asarray(scale, np.float64)))


def _finest(grids: Mapping[fx.Node, Grid], nodes: list[fx.Node]) -> Grid:
    return min((grids[node] for node in nodes), key=lambda grid: grid.scale)


def _before(node: fx.Node) -> Iterator[fx.Node]:
    """The tensors that a call makes its result of, without those that the program stores."""
    return (source for source in node.all_input_nodes if constant(source) is None)


def _sources(node: fx.Node) -> list[fx.Node]:
    """The roundings that a call reads, through whatever lies between that has no weights."""
    found: dict[fx.Node, None] = {}
    for source in _before(node):
        if _rounds(source):
            found[source] = None
        elif source.op == "call_function" and op_of(source) not in WEIGHTED:
            found |= dict.fromkeys(_sources(source))
    return list(found)


def _maker(node: fx.Node) -> fx.Node | None:
    """The call whose sums a rounding rounds; None if it is the network's input that it rounds."""
    (source,) = _before(node)
    while source.op == "call_function" and op_of(source) not in (*WEIGHTED, *_SETTLED):
        before = list(_before(source))
        if len(before) != 1 or _rounds(before[0]):
            break
        (source,) = before
    return source if source.op == "call_function" else None


def _tied(program: fx.GraphModule, rounding: list[fx.Node]) -> dict[fx.Node, int | None]:
    """The number of the set of tied activations of each call, None if it is to stay as it is."""
    sets = {node: {node} for node in rounding}

    def tie(*nodes: fx.Node) -> None:
        together = set[fx.Node]().union(*(sets[node] for node in nodes))
        sets.update(dict.fromkeys(together, together))

    (output,) = (node for node in program.graph.nodes if node.op == "output")
    fixed = set(_sources(output))
    for pad in pads(program):  # whose numbers are on the grid as it is
        fixed |= set(_sources(pad))
    first: dict[fx.Node, fx.Node] = {}
    for node in rounding:
        maker = _maker(node)
        if maker is None:
            fixed.add(node)
            continue
        tie(node, first.setdefault(maker, node))
        if op_of(maker) not in (*WEIGHTED, *_SETTLED) or (
            node in fixed and op_of(maker) not in WEIGHTED
        ):
            tie(node, *_sources(maker))
    for node in calls(program):
        if not _rounds(node) and constant(node) is None:
            tie(*_sources(node))
    kept = set[fx.Node]().union(*(sets[node] for node in fixed))
    numbers: dict[int, int] = {}
    return {
        node: None if node in kept else numbers.setdefault(id(sets[node]), len(numbers))
        for node in rounding
    }
