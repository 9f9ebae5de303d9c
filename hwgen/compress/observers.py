"""Calibration: what real images make of each tensor, and the grid of integers that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from hwgen.compress.settings import Calibration
from hwgen.frontend.images import batches

__all__ = ["Observed", "UnsignedGrid", "affine", "choose", "error", "observe"]

# Values kept of each tensor: enough for a 99.99th percentile, few enough to search through.
KEPT = 1 << 17
BATCH = 50
PERCENTILE = 99.99


@dataclass(frozen=True)
class UnsignedGrid:
    """``real = scale * (q - zero_point)`` for integers ``q`` from 0 to ``hi``."""

    scale: float
    zero_point: int
    hi: int


@dataclass(frozen=True, eq=False)
class Observed:
    """Extremes of a tensor over all calibration images, and a random sample of its values."""

    lo: float
    hi: float
    sample: np.ndarray


def affine(lo: float, hi: float, bits: int, least: float = 0.0) -> UnsignedGrid:
    """The unsigned grid of ``bits`` bits over [lo, hi] and 0, which is on it exactly.

    Steps are never finer than ``least``: finer ones than the accumulator's tell nothing apart.
    """
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    top = (1 << bits) - 1
    scale = max((hi - lo) / top, least)
    return UnsignedGrid(scale, int(np.clip(round(-lo / scale), 0, top)), top)


def choose(seen: Observed, bits: int, method: Calibration, least: float = 0.0) -> UnsignedGrid:
    """The grid for a tensor by min-max, by a percentile at both ends, or by least square error."""
    if method == "percentile":
        lo, hi = np.percentile(seen.sample, [100 - PERCENTILE, PERCENTILE])
        return affine(float(lo), float(hi), bits, least)
    whole = affine(seen.lo, seen.hi, bits, least)
    if method == "minmax":
        return whole
    shares = np.linspace(1.0, 0.02, 99)
    grids = [affine(seen.lo * share, seen.hi * share, bits, least) for share in shares]
    return min(grids, key=lambda grid: error(seen.sample, grid))


def error(sample: np.ndarray, grid: UnsignedGrid) -> float:
    """Mean square distance of ``sample`` from its values on the grid."""
    if grid.scale == 0:
        return np.inf
    q = np.clip(np.rint(sample / grid.scale) + grid.zero_point, 0, grid.hi)
    return float(np.square((q - grid.zero_point) * grid.scale - sample, dtype=np.float64).mean())


class _Observer(fx.Interpreter):
    """Runs a program and hands over the tensors of some nodes."""

    def __init__(self, program: fx.GraphModule, places: Sequence[fx.Node]):
        super().__init__(program)
        self.seen: dict[fx.Node, torch.Tensor] = {}
        self._places = set(places)

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        if n in self._places:
            self.seen[n] = result
        return result


def observe(
    program: fx.GraphModule, frames: Mapping[str, torch.Tensor], places: Sequence[fx.Node]
) -> dict[fx.Node, Observed]:
    """What the tensors at ``places`` hold when the program runs on ``frames`` (N, ...)."""
    some = batches(frames, BATCH)
    observer = _Observer(program, places)
    draw = torch.Generator().manual_seed(0)
    lows: dict[fx.Node, list[float]] = {place: [] for place in places}
    highs: dict[fx.Node, list[float]] = {place: [] for place in places}
    samples: dict[fx.Node, list[torch.Tensor]] = {place: [] for place in places}
    with torch.no_grad():
        for batch in some:
            observer.run(*batch)
            for place, tensor in observer.seen.items():
                flat = tensor.reshape(-1)
                lows[place].append(float(flat.min()))
                highs[place].append(float(flat.max()))
                share = KEPT // len(some) + 1
                if flat.numel() > share:
                    flat = flat[torch.randint(flat.numel(), (share,), generator=draw)]
                samples[place].append(flat)
    return {
        place: Observed(
            min(lows[place]), max(highs[place]), torch.cat(samples[place]).double().numpy()
        )
        for place in places
    }
