"""Layers with weights by their taps: what one of them multiplies, and what its weights then do.

Every layer is a sum over taps and input channels. Taps are the places of a kernel, those of a map
that a linear layer reads flattened, or those of a tile in Winograd's domain.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import fx

from hwgen.frontend.calls import CONVS, DOMAIN_CONVS, op_of
from hwgen.frontend.geometry import conv_padding, pair
from hwgen.frontend.program import arguments
from hwgen.network.winograd import TILES
from hwgen.nn.winograd import transformed

__all__ = ["Taps", "taps_of"]


@dataclass(frozen=True, eq=False)
class Taps:
    """How a layer's weights are laid out, and what they multiply."""

    node: fx.Node
    rows: int
    columns: int
    channels: int

    @property
    def count(self) -> int:
        """Taps."""
        return self.rows * self.columns

    def of(self, weights: torch.Tensor) -> torch.Tensor:
        """``weights`` as the program has them, or a mask, by tap: (rows, columns, K, C)."""
        if op_of(self.node) in DOMAIN_CONVS:
            return weights.unflatten(0, (self.rows, self.columns))
        shaped = weights.reshape(len(weights), self.channels, self.rows, self.columns)
        return shaped.permute(2, 3, 0, 1)

    def back(self, weights: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The inverse of ``of``: ``weights`` (rows, columns, K, C) in the shape of ``like``."""
        if op_of(self.node) not in DOMAIN_CONVS:
            weights = weights.permute(2, 3, 0, 1)
        return weights.reshape(like.shape).contiguous()

    def multiplied(self, x: torch.Tensor) -> torch.Tensor:
        """What the weights multiply when the layer reads ``x``: (places, taps, C), a place for each
        output of a convolution, or each tile."""
        node, given = self.node, arguments(self.node)
        if op_of(node) in DOMAIN_CONVS:
            found = transformed(x, given["tile"], given["padding"])
            return found.permute(1, 3, 4, 0, 2).flatten(0, 2)
        if op_of(node) not in CONVS:
            return x.reshape(len(x), self.channels, self.count).transpose(1, 2)
        if x.dim() == 3:
            x = x.unsqueeze(2)
        kernel, dilation = (self.rows, self.columns), pair(node, "dilation")
        extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        top, bottom, left, right = conv_padding(node, extent)  # type: ignore[arg-type]
        padded = F.pad(x, (left, right, top, bottom))
        found = F.unfold(padded, kernel, dilation, stride=pair(node, "stride"))
        found = found.reshape(len(x), self.channels, self.count, -1)
        return found.permute(0, 3, 2, 1).flatten(0, 1)

    def gains(self) -> torch.Tensor:
        """How products of two taps, and of the bias (last), meet in the outputs of a place, summed
        over these: (taps + 1, taps + 1), float64."""
        outputs = torch.ones(1, self.count + 1, dtype=torch.float64)
        if op_of(self.node) in DOMAIN_CONVS:
            a = torch.tensor(TILES[arguments(self.node)["tile"]].outputs, dtype=torch.float64)
            ones = torch.ones(len(a) ** 2, 1, dtype=torch.float64)
            outputs = torch.cat([torch.kron(a, a), ones], 1)
        return outputs.T @ outputs


def taps_of(node: fx.Node, weights: torch.Tensor) -> Taps:
    """The taps of a layer with these stored ``weights``.

    A linear layer that reads a flattened map has those of the map's places.
    """
    if op_of(node) in DOMAIN_CONVS:
        side = arguments(node)["tile"] + 2
        return Taps(node, side, side, weights.shape[2])
    if op_of(node) in CONVS:
        rows, columns = (1, *weights.shape[2:])[-2:]
        return Taps(node, rows, columns, weights.shape[1])
    channels, rows, columns = _map_of(node, weights.shape[1])
    return Taps(node, rows, columns, channels)


def _map_of(node: fx.Node, features: int) -> tuple[int, int, int]:
    """The map that a linear layer's ``features`` are, flattened: channels, rows, columns."""
    source = node.args[0]
    # What a linear layer makes is no map, whatever it reads.
    while (
        isinstance(source, fx.Node) and source.op == "call_function" and op_of(source) != "linear"
    ):
        shape: tuple[int, ...] = source.meta.get("shape") or ()
        if len(shape) > 2:
            rows, columns = (1, *shape[2:])[-2:]
            return shape[1], rows, columns
        source = source.args[0]
    return features, 1, 1
