"""Spiking engines for the tests that every engine passes."""

import numpy as np

from hwgen.network import FirstSpike, Leaky, RateCode, SpikeCount, SpikingLinear, TensorType
from hwgen.network.spiking import spike_train
from hwgen.network.types import signed_bits
from hwgen.rtl_templates import LeakySpec, RateSpec, ReadoutSpec, SpikingSpec


def neurons(rng, count, *, each=True, reset="subtract", decay=(1,), bias=True):
    """What any layer of neurons needs, but its input and the width of its membranes."""
    several = count if each else 1
    return {
        "bias": rng.integers(-3, 4, count) if bias else np.zeros(count, int),
        "decay": rng.choice(decay, several),
        "decay_shift": 3,
        "threshold": rng.integers(2, 12, several),
        "reset": reset,
    }


def spiking(rng, steps, inputs, count, *, fewer=0, entries=16, **options):
    readout = options.pop("readout", "spikes")
    given = neurons(rng, count, **options) | {
        "input": spike_train(steps, inputs),
        "indices": rng.integers(0, entries, (count, inputs)).astype(np.uint8),
        "codebook": rng.integers(-7, 10, entries),
        "readout": readout,
    }
    bits = signed_bits(*SpikingLinear(**given, membrane_bits=32).range) - fewer
    return SpikingLinear(**given, membrane_bits=bits)


def leaky(rng, steps, count, *, fewer=0, signed=True, **options):
    given = neurons(rng, count, **options) | {
        "input": TensorType((count,), 6, signed),
        "steps": steps,
    }
    return Leaky(**given, membrane_bits=signed_bits(*Leaky(**given, membrane_bits=32).range))


def cases():
    rng = np.random.default_rng(1)
    yield SpikingSpec((spiking(rng, 3, 10, 8),), 2, 4)
    yield SpikingSpec((spiking(rng, 3, 10, 7, each=False, fewer=2),), 3, 1)
    yield SpikingSpec((spiking(rng, 2, 9, 9, reset="zero", decay=(3, 5)),), 2, 8)
    yield SpikingSpec((spiking(rng, 2, 9, 5, reset="none", decay=(0,), bias=False),), 5, 2)
    yield SpikingSpec((spiking(rng, 4, 3, 2, decay=(8,), fewer=1),), 1, 2)
    yield SpikingSpec((spiking(rng, 2, 5, 40, each=False, entries=2),), 1, 4)
    yield SpikingSpec((spiking(rng, 2, 5, 40, decay=(1, 2, 4)),), 1, 5)
    yield SpikingSpec((spiking(rng, 1, 6, 6, entries=256),), 2, 2)
    yield SpikingSpec((spiking(rng, 4, 7, 6, readout="membrane", reset="none"),), 4, 4)
    yield SpikingSpec((spiking(rng, 3, 1, 1, readout="membrane", fewer=1),), 1, 1)
    yield LeakySpec((leaky(rng, 3, 9),), 2)
    yield LeakySpec((leaky(rng, 2, 3, reset="zero", signed=False),), 3)
    yield LeakySpec((leaky(rng, 2, 40, each=False, reset="none", decay=(3,)),), 1)
    for bits, lanes in ((8, 4), (3, 8), (1, 1), (16, 2)):
        yield RateSpec((RateCode(TensorType((10,), bits, False), 3),), lanes)
    for lanes in (1, 3, 5):
        yield ReadoutSpec((SpikeCount(spike_train(4, 5)),), lanes)
        yield ReadoutSpec((FirstSpike(spike_train(3, 5)),), lanes)


def describe(spec):
    name = type(spec).__name__.removesuffix("Spec")
    return f"{name}[{spec.inputs[-1]} to {spec.outputs[0]}]"
