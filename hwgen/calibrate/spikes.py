"""Spiking engines of the corpus."""

from dataclasses import replace
from typing import Any

import numpy as np

from hwgen.calibrate.draw import Kinds, Rng, one
from hwgen.network import Leaky, RateCode, SpikeCount, SpikingLinear, TensorType
from hwgen.network.spiking import RESETS, spike_train
from hwgen.network.types import signed_bits
from hwgen.rtl_templates import LeakySpec, RateSpec, ReadoutSpec, Spec, SpikingSpec

__all__ = ["KINDS"]

#: Membranes before it is known how far they go.
WIDE = 32


def _neurons(rng: Rng, count: int) -> dict[str, Any]:
    """Constants of neurons: of each its own, or the same for all."""
    several = count if rng.integers(2) else 1
    return {
        "bias": rng.integers(-20, 20, count) * int(rng.integers(2)),
        "decay": rng.integers(1, 8, several),
        "decay_shift": int(one(rng, (3, 4, 5))),
        "threshold": rng.integers(40, 200, several),
        "reset": str(one(rng, RESETS)),
        "membrane_bits": WIDE,
    }


def _fitted(rng: Rng, op: Any) -> Any:
    """``op`` with membranes as wide as what they reach, or less, so that they are clipped."""
    bits = signed_bits(*op.range)
    return replace(op, membrane_bits=max(10, bits - int(one(rng, (0, 0, 2)))))


def _spiking(rng: Rng, family: str) -> Spec:
    """A layer of synapses and neurons."""
    inputs, count = int(one(rng, (32, 64, 196, 256))), int(one(rng, (10, 32, 64, 128)))
    entries = int(one(rng, (4, 16, 16, 64)))
    op = SpikingLinear(
        input=spike_train(int(one(rng, (4, 10, 25))), inputs),
        indices=rng.integers(0, entries, (count, inputs)).astype(np.uint8),
        codebook=rng.integers(-60, 61, entries),
        **_neurons(rng, count),
    )
    if not rng.integers(3):
        op = replace(op, readout="membrane")
    return SpikingSpec((_fitted(rng, op),), int(one(rng, (1, 2, 4, 8))), _lanes(rng))


def _leaky(rng: Rng, family: str) -> Spec:
    """Neurons that get the same current in every step."""
    count = int(one(rng, (32, 64, 128)))
    source = TensorType((count,), int(one(rng, (6, 8, 10))), True)
    op = Leaky(input=source, steps=int(one(rng, (4, 10, 25))), **_neurons(rng, count))
    return LeakySpec((_fitted(rng, op),), int(one(rng, (1, 2, 4, 8))))


def _rate(rng: Rng, family: str) -> Spec:
    """Spikes as often as inputs are large."""
    source = TensorType((int(one(rng, (64, 196, 784))),), int(one(rng, (4, 8))), False)
    return RateSpec((RateCode(source, int(one(rng, (4, 10, 25)))),), _lanes(rng))


def _readout(rng: Rng, family: str) -> Spec:
    """How often each neuron fired."""
    train = spike_train(int(one(rng, (10, 25))), int(one(rng, (10, 32, 64))))
    return ReadoutSpec((SpikeCount(train),), int(one(rng, (4, 5, 8))))


def _lanes(rng: Rng) -> int:
    return int(one(rng, (1, 2, 4, 8, 16)))


KINDS: Kinds = {"spiking": _spiking, "leaky": _leaky, "rate": _rate, "readout": _readout}
