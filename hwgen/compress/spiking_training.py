"""Training with surrogate gradients: float networks first, then what codebooks do to them.

The second trains the very integers that hardware will hold: weights are replaced by the nearest
entry of their codebook, entries and biases lie on the grid of the membranes, leaks round down. Both
weights and entries learn: a gradient goes to the weight as if it had not been replaced (Bengio et
al. 2013, arXiv:1308.3432), and to the entry that took its place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hwgen.compress.spiking import codebook, entry_fraction
from hwgen.frontend.spiking import SpikingLayer, SpikingModel
from hwgen.frontend.spiking_network import decay_of
from hwgen.nn.spiking import rate_code, step

__all__ = ["SpikingRecipe", "fit", "refine"]

#: Called with the epoch and its mean loss.
Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class SpikingRecipe:
    """The numbers of one training. They fix the result on one machine and torch version."""

    epochs: int
    batch: int = 128
    peak_lr: float = 4e-3
    """Of AdamW; it climbs over the first fifth of all steps, and falls along a cosine."""
    entry_lr: float = 2e-3
    """Likewise of the entries of codebooks, as a share of the largest entry."""
    weight_decay: float = 1e-4
    label_smoothing: float = 0.05
    max_shift: int = 1
    """Images are moved by up to so many pixels."""
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")


def fit(
    module: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: SpikingRecipe,
    groups: list[dict] | None = None,
    progress: Progress = lambda epoch, loss: None,
) -> None:
    """Train ``module`` in place: images uint8 (N, H, W, 1), which it sees as float32 (N, 1, H, W)
    in [0, 1], and labels (N,). What it returns, (N, classes), goes into the cross entropy."""
    torch.manual_seed(recipe.seed)
    order = np.random.default_rng(recipe.seed)
    groups = groups or [{"params": list(module.parameters())}]
    groups = [{"lr": recipe.peak_lr, **group} for group in groups]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    steps = len(images) // recipe.batch * recipe.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in groups], total_steps=steps, pct_start=0.2
    )
    pixels = torch.from_numpy(images[..., 0].copy())[:, None]
    targets = torch.from_numpy(labels.astype(np.int64))
    module.train()
    for epoch in range(recipe.epochs):
        total, batches = 0.0, _batches(len(images), recipe.batch, order)
        for chosen in batches:
            x = pixels[chosen].float() / 255
            by = order.integers(-recipe.max_shift, recipe.max_shift + 1, 2)
            outputs = module(torch.roll(x, (int(by[0]), int(by[1])), (2, 3)))
            loss = F.cross_entropy(outputs, targets[chosen], label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        progress(epoch, total / max(1, len(images) // recipe.batch))
    module.eval()


def _batches(count: int, size: int, order: np.random.Generator) -> Iterator[torch.Tensor]:
    shuffled = torch.from_numpy(order.permutation(count))
    for start in range(0, count - size + 1, size):
        yield shuffled[start : start + size]


def refine(
    model: SpikingModel,
    bits: int,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: SpikingRecipe,
    progress: Progress = lambda epoch, loss: None,
) -> SpikingModel:
    """``model`` with codebooks of ``2**bits`` entries, trained on images uint8 (N, H, W, 1) and
    labels (N,). It must be coded as rates, and its constants such that hardware holds them."""
    if model.coding != "rate" or model.readout not in ("membrane", "count"):
        raise ValueError("only rates, counts and largest membranes are trained")
    made = [_TwinLayer(layer, bits) for layer in model.layers]
    twin = _Twin(model, made)
    groups: list[dict] = [{"params": [p for one in made for p in (one.weight, one.bias)]}]
    for one in made:
        largest = float(one.entries.detach().abs().max())
        rate = {"lr": recipe.entry_lr * largest, "weight_decay": 0.0}
        groups.append({"params": [one.entries], **rate})
    # Weights are counted in steps of a grid here, and so is how far they move.
    groups[0]["lr"] = recipe.peak_lr * 2.0 ** min(one.fraction for one in made)
    fit(twin, images, labels, recipe, groups, progress)
    layers = [one.read(layer) for one, layer in zip(made, model.layers, strict=True)]
    return replace(model, layers=tuple(layers))


class _Twin(nn.Module):
    """The integer network in torch."""

    def __init__(self, model: SpikingModel, layers: list["_TwinLayer"]):
        super().__init__()
        self.model = model
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.model.steps
        spikes = rate_code(x.flatten(1), steps, self.model.bits)
        for layer in self.layers:
            spikes, membranes = layer(spikes)
        if self.model.readout == "count":
            return spikes.sum(0)
        return membranes.amax(0)


class _TwinLayer(nn.Module):
    """One layer over all steps; membranes in steps of its grid."""

    decay: torch.Tensor
    threshold: torch.Tensor

    def __init__(self, layer: SpikingLayer, bits: int):
        super().__init__()
        made = codebook(layer.weight, bits)
        self.fraction = max(entry_fraction(made, bits), layer.fraction)
        self.reset = layer.reset
        found = decay_of(layer.beta)
        if found is None:
            raise ValueError(f"the leak of {layer.neurons} is not one that hardware holds")
        self.shift = found[1]
        scale = 2.0**self.fraction
        self.register_buffer("decay", torch.from_numpy(found[0].astype(np.float32)))
        threshold = np.rint(layer.threshold * scale).astype(np.float32)
        self.register_buffer("threshold", torch.from_numpy(threshold))
        self.weight = nn.Parameter(torch.from_numpy((layer.weight * scale).astype(np.float32)))
        self.bias = nn.Parameter(torch.from_numpy((layer.bias * scale).astype(np.float32)))
        values = np.unique(made) * scale
        self.entries = nn.Parameter(torch.from_numpy(values.astype(np.float32)))

    def synapses(self) -> torch.Tensor:
        """The entry in the place of each weight, in whole steps."""
        entries = _rounded(self.entries)
        with torch.no_grad():
            ordered, places = self.entries.sort()
            middle = (ordered[1:] + ordered[:-1]) / 2
            nearest = places[torch.bucketize(self.weight, middle)]
        chosen = entries[nearest]
        return chosen + (self.weight - self.weight.detach())

    def forward(self, spikes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps, count = spikes.shape[:2]
        currents = F.linear(spikes.flatten(0, 1), self.synapses(), _rounded(self.bias))
        currents = currents.unflatten(0, (steps, count))
        mem, fired, membranes = torch.zeros_like(currents[0]), [], []
        for t in range(steps):
            spike, mem = step(
                mem,
                currents[t],
                self.threshold,
                self.decay,
                self.shift,
                self.reset,  # type: ignore
            )
            fired.append(spike)
            membranes.append(mem)
        return torch.stack(fired), torch.stack(membranes) / 2**self.fraction

    def read(self, layer: SpikingLayer) -> SpikingLayer:
        """``layer`` with what was learnt."""
        scale = 2.0**self.fraction
        with torch.no_grad():
            weight = self.synapses().double().numpy() / scale
            bias = _rounded(self.bias).double().numpy() / scale
        return replace(layer, weight=weight, bias=bias, fraction=self.fraction)


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return x + (x.round() - x).detach()
