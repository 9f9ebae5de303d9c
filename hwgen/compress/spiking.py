"""Spiking models on grids: codebooks by k-means, biases and constants rounded, nothing retrained.

A spike takes no multiplier, so the values of a codebook are free: k-means puts them where the
weights are. What is left of the error, training takes away (``hwgen.compress.spiking_training``).
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import nn

from hwgen.compress.settings import Settings
from hwgen.errors import Problem, refuse
from hwgen.frontend.images import quantise_input
from hwgen.frontend.spiking import SpikingLayer, SpikingModel, read_spiking
from hwgen.frontend.spiking_network import MOST_SHIFT, decay_of, fraction_of, to_network
from hwgen.network import Leaky, Network, SpikingLinear
from hwgen.nn.spiking import Steps, step

__all__ = ["codebook", "distance", "entry_fraction", "quantize_spiking", "spiking_network"]

#: Bits of the entries of a codebook, two's complement: so many, or so many more than an index has;
#: and so many more again where that keeps numbers that are exact already.
ENTRY_BITS, FINER = 8, 4

#: Steps of a leak that is approximated: 2^-8 is finer than any leak is trained to.
APPROXIMATE_SHIFT = 8

#: Most bits of a synapse.
MOST_BITS = 8

#: Rounds of k-means.
ROUNDS = 100


def quantize_spiking(model: SpikingModel, settings: Settings, frames: np.ndarray) -> SpikingModel:
    """``model`` with all its numbers on grids.

    ``settings`` gives the bits of a synapse, by the names of ``Linear`` modules, and those of the
    inputs; ``frames`` are real inputs, float. Weights that take few values already keep them.
    Raises UserError: constants are rounded only if ``settings.approximate``.
    """
    refuse(chain(_problems(model, settings), _intensities(model, frames)))
    layers, notes = [], list(model.notes)
    for layer in model.layers:
        bits = settings.weight_bits(layer.name)
        weight = codebook(layer.weight, bits)
        fraction = _grid(layer, weight, bits)
        made = replace(layer, weight=weight, bias=_round(layer.bias, fraction))
        if settings.approximate:
            made, told = _approximate(made, fraction)
            notes += told
        layers.append(replace(made, fraction=fraction))
    model = replace(model, layers=tuple(layers), notes=tuple(notes))
    if model.coding == "direct":
        largest = float(np.abs(frames).max())
        signed = bool((frames < 0).any())
        bits = settings.activation_bits("input")
        fraction = bits - signed - int(np.ceil(np.log2(largest)))
        model = replace(model, bits=bits, input_fraction=fraction, input_signed=signed)
    return model


def with_activity(model: SpikingModel, frames: np.ndarray) -> SpikingModel:
    """``model`` that knows how many spikes its layers get a step for real ``frames``, float."""
    network = to_network(model)
    tensors = network.trace(quantise_input(network, frames))
    trains = {node.name: tensors[node.inputs[0]] for node in network if node.inputs}
    return replace(
        model,
        layers=tuple(
            replace(layer, activity=float(trains[layer.neurons].sum((2, 3)).mean()))
            if isinstance(network[layer.neurons].op, SpikingLinear)
            else layer
            for layer in model.layers
        ),
    )


def spiking_network(
    module: nn.Module, settings: Settings, frames: np.ndarray
) -> tuple[Network, nn.Module | None]:
    """The integer network of a spiking module for real ``frames``, float; and, if constants had to
    be rounded, a copy of the module that has the rounded ones. Raises UserError."""
    exact = read_spiking(module)
    model = with_activity(quantize_spiking(exact, settings, frames), frames)
    rounded = None
    if model.notes != exact.notes:
        rounded = copy.deepcopy(module)
        parts = dict((rounded.module if isinstance(rounded, Steps) else rounded).named_modules())
        for layer in model.layers:
            for name in ("beta", "threshold"):
                tensor = getattr(parts[layer.neurons], name)
                values = torch.from_numpy(getattr(layer, name)).to(tensor.dtype)
                tensor.data = values.reshape(tensor.shape)
    return to_network(model), rounded


def distance(network: Network, frames: np.ndarray) -> int:
    """The largest difference, in steps of a membrane, of any spiking layer from its torch twin,
    which runs in float64 on the spikes that the integer network gives the layer."""
    tensors = network.trace(quantise_input(network, frames))
    largest = 0
    for node in network:
        op = node.op
        if isinstance(op, SpikingLinear | Leaky) and not op.saturates:
            given, mem = (
                torch.from_numpy(tensors[node.inputs[0]].astype(np.float64)),
                torch.zeros(1),
            )
            threshold, decay, bias = (
                torch.from_numpy(x.astype(np.float64)) for x in (op.threshold, op.decay, op.bias)
            )
            for t, (_, v) in enumerate(op.walk(tensors[node.inputs[0]])):
                current = given
                if isinstance(op, SpikingLinear):
                    current = given[:, t, 0] @ torch.from_numpy(op.weights.T.astype(np.float64))
                _, mem = step(mem, current + bias, threshold, decay, op.decay_shift, op.reset)
                largest = max(largest, int((mem - torch.from_numpy(v)).abs().max()))
    return largest


def codebook(weight: np.ndarray, bits: int) -> np.ndarray:
    """``weight`` with each number replaced by the nearest of ``2**bits`` values, which k-means
    finds and which lie on the grid of ``entry_fraction``; unchanged if that is so already."""
    values = np.unique(weight)
    if len(values) > 1 << bits:
        values = _means(np.sort(weight.ravel()), 1 << bits)
    values = np.unique(_round(values, entry_fraction(values, bits)))
    places = np.clip(np.searchsorted(values, weight), 1, max(1, len(values) - 1))
    if len(values) == 1:
        return np.full_like(weight, values[0])
    low, high = values[places - 1], values[places]
    return np.where(weight - low <= high - weight, low, high)


def _means(values: np.ndarray, count: int) -> np.ndarray:
    """Lloyd's k-means of sorted numbers, from between their quantiles and an even spacing: the
    first alone leave the tails to too few."""
    places = (np.arange(count) + 0.5) / count
    means = (np.quantile(values, places) + values[0] + places * (values[-1] - values[0])) / 2
    sums = np.concatenate([[0], np.cumsum(values)])
    for _ in range(ROUNDS):
        edges = np.searchsorted(values, (means[1:] + means[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(values)]])
        counts = np.diff(edges)
        means = np.where(counts, np.diff(sums[edges]) / np.maximum(counts, 1), means)
    return means


def entry_fraction(values: np.ndarray, bits: int) -> int:
    """Bits after the binary point of ``values`` as entries of a codebook of ``2**bits``."""
    entry = max(ENTRY_BITS, bits + FINER)
    exact = fraction_of(values, 2 * entry)
    largest = float(np.abs(values).max())
    if exact is not None and largest * 2**exact < 1 << (entry + FINER - 1):
        return exact
    return _finest(largest, entry)


def _finest(largest: float, entry: int) -> int:
    """Bits after the binary point of numbers up to ``largest`` of ``entry`` bits."""
    return max(0, int(np.floor(np.log2(((1 << (entry - 1)) - 1) / largest))))


def _grid(layer: SpikingLayer, weight: np.ndarray, bits: int) -> int:
    """Bits after the binary point of all numbers of ``layer``: those of its entries, unless its
    biases lie on a finer grid, or on none, and then as fine as entries could be."""
    coarse = max(entry_fraction(weight, bits), layer.fraction)
    largest = float(np.abs(weight).max())
    fine = _finest(largest, max(ENTRY_BITS, bits + FINER)) if largest else FINER
    exact = fraction_of(layer.bias, fine + FINER)
    return max(coarse, fine if exact is None else exact)


def _round(values: np.ndarray, fraction: int) -> np.ndarray:
    return np.rint(values * 2.0**fraction) / 2.0**fraction


def _problems(model: SpikingModel, settings: Settings) -> Iterator[Problem]:
    names = [layer.name for layer in model.layers]
    yield from settings.problems(names, [])
    for layer in model.layers:
        bits = settings.weight_bits(layer.name)
        if bits > MOST_BITS:
            yield Problem(layer.name, f"{bits} bits a synapse", f"use 1 to {MOST_BITS}")
        if not settings.approximate and decay_of(layer.beta) is None:
            yield _inexact(layer.neurons, "beta", layer.beta, MOST_SHIFT)
        bits = min(bits, MOST_BITS)
        fraction = _grid(layer, codebook(layer.weight, bits), bits)
        if not settings.approximate and fraction_of(layer.threshold, fraction + 8) is None:
            yield _inexact(layer.neurons, "threshold", layer.threshold, fraction + 8)


def _intensities(model: SpikingModel, frames: np.ndarray) -> Iterator[Problem]:
    """What is coded as rates lies between 0 and 1, give or take a step."""
    step = 2.0**-model.bits
    if model.coding == "rate" and not -step <= frames.min() <= frames.max() <= 1 + step:
        reason = f"is coded as rates, and goes from {frames.min():g} to {frames.max():g}"
        yield Problem("input", reason, "scale it to 0 to 1")


def _inexact(layer: str, name: str, values: np.ndarray, most: int) -> Problem:
    wrong = next(v for v in values if fraction_of(np.array([v]), most) is None)
    near = float(_round(np.array([wrong]), 6)[0])
    return Problem(
        layer,
        f"{name}={wrong:.6g} is no multiple of 2^-{most}, so hardware cannot hold it",
        f"use {near:g}, or let --approximate round it and say what that does",
    )


def _approximate(layer: SpikingLayer, fraction: int) -> tuple[SpikingLayer, list[tuple[str, str]]]:
    """``layer`` with constants that hardware can hold, and what was rounded."""
    told = []
    for name, bits, exact in (
        ("beta", APPROXIMATE_SHIFT, MOST_SHIFT),
        ("threshold", fraction, fraction + 8),
    ):
        values = getattr(layer, name)
        if fraction_of(values, exact) is None:
            rounded = _round(values, bits)
            most = float(np.abs(rounded - values).max())
            told.append((f"{layer.neurons}.{name}", f"rounded to 2^-{bits}, by at most {most:.3g}"))
            layer = replace(layer, **{name: rounded})  # type: ignore[arg-type]
    return layer, told
