"""What a calibration says of the numbers that a layer's weights multiply, and the weights that do
best with it."""

from collections.abc import Mapping, Sequence

import torch
from torch import fx

from hwgen.compress.taps import Taps
from hwgen.frontend.images import batches

__all__ = ["moments", "nearly_refit", "refit"]

BATCH = 50
# Places of a layer that count: enough for the moments of 1,000 numbers, and seconds of work.
PLACES = 1 << 15
# Of the mean moment, added to each: weights that nothing tells apart stay as they are.
RIDGE = 1e-5
# Of conjugate gradients: the choice of weights no longer changes to speak of.
ROUNDS = 40


class _Reached(Exception):
    """What a layer reads is known; the rest of the program need not run."""

    def __init__(self, x: torch.Tensor):
        super().__init__()
        self.x = x


class _UpTo(fx.Interpreter):
    """Runs a program up to one of its layers."""

    def __init__(self, program: fx.GraphModule, layer: fx.Node):
        super().__init__(program)
        self._layer = layer

    def run_node(self, n: fx.Node):
        if n is self._layer:
            raise _Reached(self.env[n.args[0]])  # type: ignore[index]
        return super().run_node(n)

    def read(self, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the layer reads of ``batch``."""
        try:
            self.run(*batch)
        except _Reached as reached:
            return reached.x
        raise ValueError(f"{self._layer} is no part of the program")


def moments(
    now: fx.GraphModule, before: fx.GraphModule, frames: Mapping[str, torch.Tensor], taps: Taps
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a layer of a program as it is ``now``, the sum of all products of two of the numbers that
    its weights multiply; and of one of them with one that they multiplied ``before``.

    Both (taps * C + 1, taps * C + 1), float64, tap by tap, the last for the bias. With weights
    ``u``, bias included, the squares of the layer's outputs add up to ``u H u``, in Winograd's
    domain too.
    """
    place = list(now.graph.nodes).index(taps.node)
    runs = _UpTo(now, taps.node), _UpTo(before, list(before.graph.nodes)[place])
    draw = torch.Generator().manual_seed(0)
    count = len(next(iter(frames.values())))
    found = []
    with torch.no_grad():
        for batch in batches(frames, BATCH):
            both = [taps.multiplied(run.read(batch)) for run in runs]
            some = min(len(both[0]), max(1, -(-PLACES * len(batch[0]) // count)))
            chosen = torch.randperm(len(both[0]), generator=draw)[:some]
            new, old = (
                torch.cat([rows[chosen].flatten(1), torch.ones(some, 1)], 1) for rows in both
            )
            found.append((new.T @ new, new.T @ old))
    gains = taps.gains()
    counts = torch.tensor([taps.channels] * taps.count + [1])
    wide = gains.repeat_interleave(counts, 0).repeat_interleave(counts, 1)
    mine, crossed = (sum(one.double() for one in some) * wide for some in zip(*found, strict=True))
    return mine, crossed


def refit(
    weights: torch.Tensor, kept: torch.Tensor, products: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """The ``kept`` weights with which a layer comes nearest to what it is to compute, the others
    zero; float64.

    All are (K, taps * C + 1), the bias last: its ``weights`` so far, near which those that nothing
    tells apart stay, and ``wanted``, the products of what it multiplies with the outputs wanted.
    ``products`` is H of ``moments``. For each output channel, by least squares: ``H_SS^-1 w_S``
    for kept S. Where the weights ``u`` gave the outputs, ``w = H u``, that is
    ``u_S + H_SS^-1 H_SP u_P`` for pruned P (Hassibi and Stork 1992, Second order derivatives for
    network pruning, for several at once).
    """
    products, wanted = _ridged(weights, products, wanted)
    made = torch.zeros_like(wanted)
    for channel, (w, keep) in enumerate(zip(wanted, kept, strict=True)):
        factor = torch.linalg.cholesky(products[keep][:, keep])
        made[channel, keep] = torch.cholesky_solve(w[keep][:, None], factor)[:, 0]
    return made


def nearly_refit(
    weights: torch.Tensor,
    kept: torch.Tensor,
    products: torch.Tensor,
    wanted: torch.Tensor,
    start: torch.Tensor,
) -> torch.Tensor:
    """Much the same as ``refit``, in a small part of its time: some steps of conjugate gradients,
    of all output channels at once, from ``start``."""
    products, wanted = _ridged(weights, products, wanted)
    size = products.diagonal().clamp(min=1e-30).sqrt()
    scaled = (products / torch.outer(size, size)).float()
    made = (start * size).float() * kept
    away = ((wanted / size).float() - made @ scaled) * kept
    way, left = away, away.square().sum(1, keepdim=True)
    for _ in range(ROUNDS):
        turned = (way @ scaled) * kept
        step = left / (way * turned).sum(1, keepdim=True).clamp(min=1e-30)
        made, away = made + step * way, away - step * turned
        before, left = left, away.square().sum(1, keepdim=True)
        way = away + left / before.clamp(min=1e-30) * way
    return made.double() / size


def _ridged(
    weights: torch.Tensor, products: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    ridge = RIDGE * products.diagonal().mean()
    return products + ridge * torch.eye(len(products)).double(), wanted + ridge * weights
