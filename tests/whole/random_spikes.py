"""Random chains of spiking layers, for random networks: from vectors to spikes, and back."""

from random import Random

import numpy as np

from hwgen.network import FirstSpike, Leaky, RateCode, SpikeCount, SpikingLinear, TensorType
from hwgen.network.spiking import RESETS, spike_train
from hwgen.network.types import signed_bits


def _made(kind: type, chance: Random, **given):
    """An op with the membranes that it needs, or, sometimes, narrower ones, which saturate."""
    wide = kind(**given, membrane_bits=32)
    bits = signed_bits(*wide.range) - chance.choice([0, 0, 1])
    least = int(max(given["threshold"].max(), np.abs(given["bias"]).max())).bit_length() + 1
    return kind(**given, membrane_bits=max(bits, least))


def _neurons(chance: Random, rng: np.random.Generator, count: int) -> dict:
    """What any layer of neurons has; one threshold and decay, or one for each neuron."""
    return {
        "bias": rng.integers(-3, 4, count),
        "decay": rng.integers(0, 9, chance.choice([1, count])),
        "decay_shift": 3,
        "threshold": rng.integers(0, 30, chance.choice([1, count])),
        "reset": chance.choice(RESETS),
    }


def coded(kind: TensorType, chance: Random, rng: np.random.Generator) -> RateCode | Leaky:
    """Spikes of a vector: as rates where it is unsigned and has no zero point, or as currents."""
    steps = chance.randint(1, 4)
    if not kind.signed and not kind.zero_point and chance.random() < 0.7:
        return RateCode(kind, steps)
    return _made(Leaky, chance, input=kind, steps=steps, **_neurons(chance, rng, kind.channels))


def synapses(
    train: TensorType, readout: str, chance: Random, rng: np.random.Generator
) -> SpikingLinear:
    """A layer of neurons that read a spike train."""
    count, entries = chance.randint(1, 10), chance.choice([2, 4, 16, 256])
    assert train.integers == spike_train(train.shape[0], train.channels)
    return _made(
        SpikingLinear,
        chance,
        input=train,
        indices=rng.integers(0, entries, (count, train.channels)).astype(np.uint8),
        codebook=rng.integers(-9, 12, entries),
        readout=readout,
        **_neurons(chance, rng, count),
    )


def counted(train: TensorType, chance: Random) -> SpikeCount | FirstSpike:
    """A vector of a spike train."""
    return chance.choice([SpikeCount, FirstSpike])(train)
