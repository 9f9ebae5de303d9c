"""The float fake-quantised network against the integer one, layer by layer, on real data."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from hwgen.frontend.images import Images, batches, frames_of, quantise_input
from hwgen.frontend.program import entries
from hwgen.frontend.read import read_pairs
from hwgen.network import Input, Network, Requantise, TensorType, Threshold

__all__ = ["Difference", "compare"]

BATCH = 100


@dataclass(frozen=True)
class Difference:
    """How far apart a layer's integers are: the largest distance in LSB, and how many differ.

    Signs that differ are one LSB apart.
    """

    largest: int
    share: float


def compare(program: fx.GraphModule, network: Network, images: Images) -> Mapping[str, Difference]:
    """Distances by node name: each layer computed in float from the integer network's own input.

    Covers every node whose integers stand for a tensor of the program: the input, what each
    requantiser or threshold makes, and each pool. Sums before them are left out.
    """
    names = list(entries(program))
    frames = frames_of(names, images)
    program = copy.deepcopy(program)
    pairs = {call: node.name for call, node in read_pairs(program)}
    program.double()  # the rounding of float32 sums would show as differences at 16 bits
    rounded = {call: name for call, name in pairs.items() if not name_is_sum(network, name)}
    largest = dict.fromkeys(rounded.values(), 0)
    differing = dict.fromkeys(rounded.values(), 0)
    total = dict.fromkeys(rounded.values(), 0)
    for batch in batches(frames, BATCH):
        given = dict(zip(names, batch, strict=True))
        golden = network.trace(quantise_input(network, given))
        runner = _Runner(program, network, rounded, golden)
        with torch.no_grad():
            runner.run(*(tensor.double() for tensor in batch))
        for name, distance in runner.distances.items():
            largest[name] = max(largest[name], int(distance.max(initial=0)))
            differing[name] += int(np.count_nonzero(distance))
            total[name] += distance.size
    return {name: Difference(largest[name], differing[name] / total[name]) for name in largest}


def name_is_sum(network: Network, name: str) -> bool:
    """Whether a node's integers are sums, not yet rounded to what the program holds."""
    rounds = (n for n in network if isinstance(n.op, Requantise | Threshold))
    is_rounded = any(name in n.inputs for n in rounds)
    return is_rounded and not isinstance(network[name].op, Requantise | Threshold | Input)


class _Runner(fx.Interpreter):
    """Runs the program in float, and puts the golden value in the place of each that it makes."""

    def __init__(
        self,
        program: fx.GraphModule,
        network: Network,
        names: Mapping[fx.Node, str],
        golden: Mapping[str, np.ndarray],
    ):
        super().__init__(program)
        self.distances: dict[str, np.ndarray] = {}
        self._network, self._names, self._golden = network, names, golden

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        if n not in self._names:
            return result
        name = self._names[n]
        kind, golden = self._network[name].type, self._golden[name]
        if golden.ndim == 4:
            golden = golden.transpose(0, 3, 1, 2)
        golden = golden.reshape(result.shape)
        self.distances[name] = np.abs(kind.coded(_integers(result, kind)) - kind.coded(golden))
        return torch.from_numpy(((golden - kind.zero_point) * kind.scale).astype(np.float64))


def _integers(real: torch.Tensor, kind: TensorType) -> np.ndarray:
    return np.rint(real.double().numpy() / kind.scale).astype(np.int64) + kind.zero_point
