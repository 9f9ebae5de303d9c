"""Bias correction: rounded weights shift a layer's mean output; its bias shifts it back.

Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias Correction,
arXiv:1906.04721, in its empirical form: the means are those of real frames.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import fx

from hwgen.compress.affine import set_bias
from hwgen.frontend.calls import constant
from hwgen.frontend.program import arguments, tensor_of

__all__ = ["channel_means", "correct_bias"]


class _Means(fx.Interpreter):
    """Mean of each channel that some layers put out; ``wanted`` ones replace what they have."""

    def __init__(
        self,
        program: fx.GraphModule,
        layers: Iterable[fx.Node],
        wanted: Mapping[fx.Node, torch.Tensor] | None = None,
    ):
        super().__init__(program)
        self.means: dict[fx.Node, torch.Tensor] = {}
        self._layers, self._wanted = set(layers), wanted

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        if n not in self._layers:
            return result
        self.means[n] = mean = result.mean([d for d in range(result.dim()) if d != 1])
        if self._wanted is None:
            return result
        # Layers further on are to see what they will once this one is corrected.
        shift = self._wanted[n] - mean
        return result + shift.reshape(-1, *[1] * (result.dim() - 2))


def channel_means(
    program: fx.GraphModule, frames: Mapping[str, torch.Tensor], layers: Iterable[fx.Node]
) -> dict[fx.Node, torch.Tensor]:
    """Mean output (K,) of each of ``layers`` over ``frames`` (N, ...) and all positions."""
    runner = _Means(program, layers)
    with torch.no_grad():
        runner.run(*frames.values())
    return runner.means


def correct_bias(
    program: fx.GraphModule,
    frames: Mapping[str, torch.Tensor],
    wanted: Mapping[fx.Node, torch.Tensor],
) -> None:
    """Change biases so that each layer's mean outputs over ``frames`` are the ``wanted`` ones."""
    runner = _Means(program, wanted, wanted)
    with torch.no_grad():
        runner.run(*frames.values())
    for layer, mean in runner.means.items():
        node = constant(arguments(layer)["bias"])
        old = 0.0 if node is None else tensor_of(program, node)
        set_bias(program, layer, old + wanted[layer] - mean)
