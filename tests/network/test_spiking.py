"""Spiking ops against snnTorch in float64, their clipping against one synapse at a time, ranges."""

from dataclasses import fields

import numpy as np
import pytest
import snntorch
import torch

from hwgen.network import FirstSpike, Leaky, RateCode, SpikeCount, SpikingLinear, TensorType
from hwgen.network.coding import lfsr_bits
from hwgen.network.spiking import RESETS, spike_train
from hwgen.network.types import signed_bits


def layer(rng, *, steps=6, inputs=20, neurons=7, reset="subtract", shift=2, each=True, bits=None):
    """A random layer whose leak drops no bit within ``steps`` steps: its snnTorch twin is exact."""
    one = 1 << (shift * (steps - 1))
    count = neurons if each else 1
    codebook = rng.integers(-9, 10, 16) * one
    given = {
        "input": spike_train(steps, inputs),
        "bias": rng.integers(-3, 6, neurons) * one,
        "decay": rng.integers(0, (1 << shift) + 1, count),
        "decay_shift": shift,
        "threshold": rng.integers(1, 8, count) * one,
        "reset": reset,
        "indices": rng.integers(0, 16, (neurons, inputs)).astype(np.uint8),
        "codebook": codebook,
    }
    if bits is None:
        bits = signed_bits(*SpikingLinear(**given, membrane_bits=32).range)
    return SpikingLinear(**given, membrane_bits=bits), one


def twin(op) -> snntorch.Leaky:
    beta = 1 - torch.from_numpy(op.decay.astype(float)) / (1 << op.decay_shift)
    threshold = torch.from_numpy(op.threshold.astype(float))
    return snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism=op.reset)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("seed", range(8))
def test_a_layer_is_linear_and_leaky_of_snntorch(seed, reset):
    rng = np.random.default_rng(seed)
    op, _ = layer(rng, reset=reset, each=bool(seed % 2), shift=seed % 4)
    x = (rng.random((5, *op.input.shape)) < 0.4).astype(np.int32)
    leaky, weights = twin(op), torch.from_numpy(op.weights.T.astype(float))
    memory = torch.zeros(5, op.neurons, dtype=torch.float64)
    fired = 0
    for t, (spikes, v) in enumerate(op.walk(x)):
        current = torch.from_numpy(x[:, t, 0].astype(float)) @ weights
        expected, memory = leaky(current + torch.from_numpy(op.bias.astype(float)), memory)
        assert np.array_equal(v, memory.numpy())
        assert np.array_equal(spikes, expected.numpy())
        fired += spikes.sum()
    assert fired  # or nothing was tested


@pytest.mark.parametrize("reset", RESETS)
def test_a_constant_current_is_leaky_of_snntorch(reset):
    rng = np.random.default_rng(4)
    steps, one = 5, 1 << 8
    op = Leaky(
        TensorType((6,), 12, True), rng.integers(-3, 3, 6) * one, np.array([1]), 2,
        np.array([5 * one]), reset, 20, steps,
    )  # fmt: skip
    x = rng.integers(-2000 // one, 2047 // one, (9, 6)) * one
    leaky, memory = twin(op), torch.zeros(9, 6, dtype=torch.float64)
    assert not op.saturates
    for spikes, v in op.walk(x):
        expected, memory = leaky(torch.from_numpy((x + op.bias).astype(float)), memory)
        assert np.array_equal(v, memory.numpy())
        assert np.array_equal(spikes, expected.numpy())


def test_leak_rounds_down():
    op, _ = layer(np.random.default_rng(0), shift=3)
    op = Leaky(
        TensorType((4,), 8, True), np.zeros(4, int), np.array([1, 3, 8, 0]), 3, np.array([9]),
        "none", 16,
    )  # fmt: skip
    v = np.array([[-9, -9, -9, -9], [9, 9, 9, 9]])
    assert op.leak(v).tolist() == [[-7, -5, 0, -9], [8, 6, 0, 9]]


def plain(op, x):
    """The module's docstring, word for word."""
    frames = []
    lo, hi = op.limits
    for frame in x:
        u, train = op.bias.astype(np.int64), []
        for step in frame[:, 0]:
            v = u.copy()
            for j in np.flatnonzero(step):
                v = np.clip(v + op.weights[:, j], lo, hi)
            train.append(v > op.threshold)
            left = v - ((v * op.decay) >> op.decay_shift)
            if op.reset == "subtract":
                left = np.where(train[-1], left - op.threshold, left)
            elif op.reset == "zero":
                left = np.where(train[-1], 0, left)
            u = np.clip(left + op.bias, lo, hi)
        frames.append(train)
    return np.array(frames)[:, :, None]


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("fewer", [0, 1, 3])
def test_clipping_is_one_synapse_at_a_time(reset, fewer):
    rng = np.random.default_rng(fewer)
    wide, _ = layer(rng, shift=1, steps=4, reset=reset)
    op, _ = layer(
        np.random.default_rng(fewer), shift=1, steps=4, reset=reset, bits=wide.membrane_bits - fewer
    )
    assert op.saturates == (fewer > 0)
    x = (rng.random((40, *op.input.shape)) < 0.6).astype(np.int32)
    assert np.array_equal(op.compute(x), plain(op, x))


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("seed", range(6))
def test_the_derived_range_is_reached(seed, reset):
    """One bit fewer clips for some spikes: those of all synapses of one sign."""
    op, _ = layer(np.random.default_rng(seed), shift=seed % 3, reset=reset, steps=seed + 1)
    seen = []
    for neuron in range(op.neurons):
        for sign in (-1, 1):
            x = np.zeros((1, *op.input.shape), np.int32)
            x[:, :, 0] = sign * op.weights[neuron] > 0
            seen += [v[0, neuron] for _, v in op.walk(x)]
    lo, hi = op.range
    assert lo <= min(seen) and max(seen) <= hi
    assert signed_bits(int(min(seen)), int(max(seen))) == op.membrane_bits


def test_the_shift_register_has_the_longest_period():
    bits = lfsr_bits(65_535 + 16)
    assert np.array_equal(bits[:16], bits[-16:])
    words = {tuple(bits[n : n + 16]) for n in range(65_535)}
    assert len(words) == 65_535
    # a[n] from the polynomial, bit by bit
    assert all(
        bits[n] == bits[n - 16] ^ bits[n - 14] ^ bits[n - 13] ^ bits[n - 11] for n in range(16, 99)
    )


def test_rates_follow_intensities():
    op = RateCode(TensorType((50,), 8, False), 400)
    x = np.tile(np.arange(0, 250, 5, dtype=np.int32), (1, 1))
    rates = op.compute(x).mean((1, 2)).ravel()
    assert rates[0] == 0
    assert np.abs(rates - x[0] / 256).max() < 0.08
    assert op.levels.min() >= 0 and op.levels.max() <= 255


def test_readouts():
    train = spike_train(4, 3)
    x = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], np.int32).reshape(1, 4, 1, 3)
    assert SpikeCount(train).compute(x).tolist() == [[0, 3, 2]]
    assert FirstSpike(train).compute(x).tolist() == [[0, 4, 2]]
    assert SpikeCount(train).output.bits == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"decay": np.array([5])}, "decay must be 0 to 4"),
        ({"threshold": np.array([-1])}, "threshold must not be negative"),
        ({"reset": "half"}, "reset must be one of subtract, zero, none"),
        ({"membrane_bits": 33}, "membrane_bits must be 1 to 32"),
        ({"membrane_bits": 3, "threshold": np.array([9])}, "must fit 3 bits"),
        ({"codebook": np.arange(5)}, "a codebook has"),
        ({"input": TensorType((20,), 1, False)}, "takes spikes"),
    ],
)
def test_nonsense_is_refused(wrong, told):
    op, _ = layer(np.random.default_rng(0))
    given = {field.name: getattr(op, field.name) for field in fields(op)}
    with pytest.raises(ValueError, match=told):
        SpikingLinear(**(given | wrong))
