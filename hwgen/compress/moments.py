"""What a calibration says of the numbers that a layer's weights multiply, and the weights that do
best with it."""

from collections.abc import Mapping, Sequence

import torch
from torch import fx

from hwgen.compress.taps import Taps
from hwgen.frontend.images import batches

__all__ = ["moments", "refit"]

BATCH = 50
# Places of a layer that count: enough for the moments of 1,000 numbers, and seconds of work.
PLACES = 1 << 15
# Of the mean moment, added to each: weights that nothing tells apart share what they do.
RIDGE = 1e-5


class _Reader(fx.Interpreter):
    """Runs a program and adds up, for each layer, the moments of some of what it multiplies."""

    def __init__(self, program: fx.GraphModule, layers: Mapping[fx.Node, Taps], frames: int):
        super().__init__(program)
        self.found: dict[fx.Node, torch.Tensor] = {}
        self._layers, self._frames = layers, frames
        self._draw = torch.Generator().manual_seed(0)

    def run_node(self, n: fx.Node):
        if n in self._layers:
            self._add(n, self._layers[n])
        return super().run_node(n)

    def _add(self, n: fx.Node, taps: Taps) -> None:
        x = self.env[n.args[0]]  # type: ignore[index]
        places = taps.multiplied(x)
        count = min(len(places), max(1, -(-PLACES * len(x) // self._frames)))
        chosen = torch.randperm(len(places), generator=self._draw)[:count]
        rows = places[chosen].flatten(1)
        rows = torch.cat([rows, torch.ones(count, 1)], 1)
        found = (rows.T @ rows).double()
        self.found[n] = self.found[n] + found if n in self.found else found


def moments(
    program: fx.GraphModule, frames: Mapping[str, torch.Tensor], layers: Sequence[Taps]
) -> dict[fx.Node, torch.Tensor]:
    """Of each layer, the sum of all products of two of the numbers that its weights multiply.

    (taps * C + 1, taps * C + 1), float64, tap by tap, the last for the bias. With weights ``u``,
    bias included, the squares of a layer's outputs add up to ``u H u``, in Winograd's domain too.
    """
    count = len(next(iter(frames.values())))
    reader = _Reader(program, {taps.node: taps for taps in layers}, count)
    with torch.no_grad():
        for batch in batches(frames, BATCH):
            reader.run(*batch)
    found = {}
    for taps in layers:
        gains = taps.gains()
        counts = torch.tensor([taps.channels] * taps.count + [1])
        wide = gains.repeat_interleave(counts, 0).repeat_interleave(counts, 1)
        found[taps.node] = reader.found[taps.node] * wide
    return found


def refit(weights: torch.Tensor, kept: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
    """The ``kept`` weights that come nearest to what all of them compute, the others zero.

    ``weights`` and ``kept`` are (K, taps * C + 1), the bias last, ``products`` is H of ``moments``.
    For each output channel, by least squares: ``u_S + H_SS^-1 H_SP u_P`` for kept S and pruned P
    (Hassibi and Stork 1992, Second order derivatives for network pruning, for several at once).
    """
    ridge = RIDGE * products.diagonal().mean()
    made = torch.zeros_like(weights, dtype=torch.float64)
    for channel, (u, keep) in enumerate(zip(weights.double(), kept, strict=True)):
        lost = torch.where(keep, 0.0, u)
        of_kept = products[keep][:, keep]
        of_kept.diagonal().add_(ridge)
        more = torch.cholesky_solve(
            (products[keep] @ lost)[:, None], torch.linalg.cholesky(of_kept)
        )
        made[channel, keep] = u[keep] + more[:, 0]
    return made.to(weights.dtype)
