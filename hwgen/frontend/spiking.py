"""Spiking networks in torch: what they are before anything is rounded, and the integers of them.

A module whose forward runs T steps is traced with ``torch.fx``, ``Linear`` and ``Leaky`` being
leaves, and its unrolled steps are rolled up again (``hwgen.frontend.unrolled``). Neurons may be
snnTorch's or those of ``hwgen.nn.spiking``; snnTorch itself is not needed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import nn

from hwgen.errors import Problem, refuse
from hwgen.frontend.unrolled import Unrolled, unroll
from hwgen.nn.spiking import Leaky, Steps

__all__ = ["Coding", "Readout", "SpikingLayer", "SpikingModel", "is_spiking", "read_spiking"]

Coding = Literal["rate", "direct", "spikes"]
Readout = Literal["count", "first", "membrane", "train"]

SNNTORCH = "snntorch."

#: Modules that change nothing at inference, or only arrange a frame anew.
ASIDE = (nn.Dropout, nn.Identity, nn.Flatten, nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, eq=False)
class SpikingLayer:
    """Real numbers of one layer: weights (N, F), bias (N,), and of its neurons one or (N,) each.

    ``name`` is that of the ``Linear`` module, ``neurons`` that of ``Leaky``. Membranes have
    ``fraction`` bits after the binary point at least, more if weights or thresholds need them.
    """

    name: str
    neurons: str
    weight: np.ndarray
    bias: np.ndarray
    beta: np.ndarray
    threshold: np.ndarray
    reset: str
    fraction: int = 0
    activity: float = 0.0
    """Spikes a step that come in, on average over real data; 0 where that is not known."""
    membrane_bits: int | None = None
    """Width of the membranes, which clip; None for as wide as they can get."""


@dataclass(frozen=True, eq=False)
class SpikingModel:
    """A chain of spiking layers that runs ``steps`` steps.

    ``bits`` are those of the inputs: of the intensities that ``coding`` "rate" compares with its
    levels, or of "direct" inputs, whose step is then ``2**-input_fraction``.
    """

    layers: tuple[SpikingLayer, ...]
    steps: int
    coding: Coding
    readout: Readout
    bits: int = 8
    input_fraction: int = 8
    input_signed: bool = False
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def inputs(self) -> int:
        """Numbers a frame, or spikes a step."""
        return self.layers[0].weight.shape[1]


def is_spiking(source: object) -> bool:
    """Whether ``source`` is a module with spiking neurons."""
    return isinstance(source, nn.Module) and any(
        isinstance(module, Leaky | Steps) or _from_snntorch(module) for module in source.modules()
    )


def read_spiking(module: nn.Module) -> SpikingModel:
    """The model of a spiking module; UserError, naming all that is in the way."""
    modules = dict(module.named_modules())
    refuse(problem for name, part in modules.items() for problem in _module(name, part))
    found = unroll(module)
    if isinstance(module, Steps):  # the user's own names are those inside of it
        modules = dict(module.module.named_modules())
    layers = [_layer(linear, neurons, modules) for linear, neurons in found.layers]
    refuse(_chain(layers, found, modules))
    return SpikingModel(tuple(layers), found.steps, found.coding, found.readout, found.bits)


def _from_snntorch(module: nn.Module) -> bool:
    return type(module).__module__.startswith(SNNTORCH)


def _module(name: str, module: nn.Module) -> Iterator[Problem]:
    """What is wrong with one module."""
    if _from_snntorch(module) and type(module).__name__ == "Leaky":
        yield from _leaky(name, module)
        return
    known = isinstance(module, (nn.Linear, Leaky, Steps, *ASIDE))
    if not known and (_from_snntorch(module) or not list(module.children())):
        kind = type(module).__name__
        reason = f"{kind} is not supported in a spiking network"
        if kind.startswith("R") and _from_snntorch(module):
            reason = f"{kind} feeds its spikes back to itself, a loop that hwgen does not build"
        yield Problem(name or kind, reason, "use Linear and Leaky, one after the other")


def _leaky(name: str, module: nn.Module) -> Iterator[Problem]:
    if not getattr(module, "reset_delay", True):
        yield Problem(name, "reset_delay=False is not supported", "use reset_delay=True")
    if getattr(module, "inhibition", False):
        yield Problem(name, "inhibition is not supported", "use inhibition=False")
    if getattr(module, "state_quant", False):
        yield Problem(name, "state_quant is not supported", "hwgen chooses the membrane's width")
    factor = torch.as_tensor(getattr(module, "graded_spikes_factor", 1.0))
    if (factor != 1).any():
        yield Problem(name, "graded spikes are not supported", "use graded_spikes_factor=1")


def _layer(linear: str, neurons: str, modules: Mapping[str, nn.Module]) -> SpikingLayer:
    weights, leaky = modules[linear], modules[neurons]
    assert isinstance(weights, nn.Linear), "so it was traced"

    def numbers(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().cpu().double().reshape(-1).numpy()

    bias = np.zeros(weights.out_features) if weights.bias is None else numbers(weights.bias)
    return SpikingLayer(
        linear,
        neurons,
        weights.weight.detach().cpu().double().numpy(),
        bias,
        numbers(leaky.beta).clip(0, 1),  # type: ignore[arg-type]
        numbers(leaky.threshold),  # type: ignore[arg-type]
        leaky.reset_mechanism,  # type: ignore[arg-type]
    )


def _chain(
    layers: list[SpikingLayer], found: Unrolled, modules: Mapping[str, nn.Module]
) -> Iterator[Problem]:
    """What is wrong with numbers, and with layers that do not fit one another."""
    for before, layer in pairwise(layers):
        if layer.weight.shape[1] != len(before.weight):
            reason = f"takes {layer.weight.shape[1]} spikes of {len(before.weight)} neurons"
            yield Problem(layer.name, reason, f"connect it to {before.neurons} as it is")
    for layer in layers:
        for name, owner in (("weight", layer.name), ("bias", layer.name), ("beta", layer.neurons),
                            ("threshold", layer.neurons)):  # fmt: skip
            values = getattr(layer, name)
            if not np.isfinite(values).all():
                yield Problem(owner, f"its {name} is NaN or infinite", "train it again")
        for name in ("beta", "threshold"):
            values = getattr(layer, name)
            if len(values) not in (1, len(layer.bias)):
                reason = f"has {len(values)} values of {name} for {len(layer.bias)} neurons"
                yield Problem(layer.neurons, reason, "give one, or one for each neuron")
        if (layer.threshold < 0).any():
            reason = "a threshold below zero spikes before anything comes in"
            yield Problem(layer.neurons, reason, "use thresholds of zero or more")
    used = {name for layer in layers for name in (layer.name, layer.neurons)}
    for name, module in modules.items():
        if isinstance(module, nn.Linear) and name not in used:
            yield Problem(name, "its result does not reach the output", "leave it out")
