"""Spiking layers: leaky integrate-and-fire neurons, whose state lives inside one op that walks T.

A spike train is a tensor ``(T, 1, F)`` of one unsigned bit: its rows are the time steps. In a step
a neuron does, in this order (the semantics of snnTorch's ``Leaky``, delayed reset, on integers):

1. ``u = bias`` in the first step, else ``u = sat(kept + bias)`` with what it kept of ``v``:
   ``leak(v) - threshold`` (reset "subtract"), ``0`` ("zero") or ``leak(v)`` ("none") if it spiked
   in the step before, and ``leak(v)`` if not; ``leak(v) = v - ((v * decay) >> decay_shift)``,
   which rounds down as an arithmetic shift does;
2. from ``v = u``, ``v = sat(v + weight)`` for each input that spikes, addresses ascending;
3. it spikes if ``v > threshold``.

``sat`` clips to ``membrane_bits`` of two's complement. Where the derived range fits into so many
bits, nothing is ever clipped, and no clipping is built.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import numpy as np

from hwgen.network import exact
from hwgen.network.types import OneInput, TensorType, range_of
from hwgen.network.values import value

__all__ = ["RESETS", "Leaky", "SpikingLinear", "spike_train"]

#: What a neuron does with its membrane after a spike.
RESETS = ("subtract", "zero", "none")

#: Widest membrane that hardware is built for.
WIDEST = 32


def spike_train(steps: int, channels: int) -> TensorType:
    """Type of ``steps`` steps of ``channels`` spikes."""
    return TensorType((steps, 1, channels), 1, False)


@value
class _Neurons(OneInput):
    """What all layers of neurons share; ``decay`` and ``threshold`` are one, or one a neuron.

    ``output`` is a spike train; or, with ``readout`` "membrane", the largest ``v`` of each neuron
    at the end of any step.
    """

    input: TensorType
    bias: np.ndarray
    decay: np.ndarray
    decay_shift: int
    threshold: np.ndarray
    reset: str
    membrane_bits: int

    def _check(self) -> None:
        neurons = len(self.bias)
        for name in ("decay", "threshold"):
            if getattr(self, name).shape not in ((1,), (neurons,)):
                raise ValueError(f"{name} must be one number, or one for each of {neurons} neurons")
        if self.bias.shape != (neurons,):
            raise ValueError(f"bias must have one axis, not {self.bias.shape}")
        if self.reset not in RESETS:
            raise ValueError(f"reset must be one of {', '.join(RESETS)}, not {self.reset!r}")
        if not 0 <= self.decay_shift <= 16:
            raise ValueError(f"decay_shift must be 0 to 16, not {self.decay_shift}")
        if self.decay.min() < 0 or self.decay.max() > 1 << self.decay_shift:
            raise ValueError(f"decay must be 0 to {1 << self.decay_shift}")
        if self.threshold.min() < 0:
            raise ValueError("threshold must not be negative")
        if not 1 <= self.membrane_bits <= WIDEST:
            raise ValueError(f"membrane_bits must be 1 to {WIDEST}, not {self.membrane_bits}")
        lo, hi = self.limits
        if self.threshold.max() > hi or self.bias.min() < lo or self.bias.max() > hi:
            raise ValueError(f"threshold and bias must fit {self.membrane_bits} bits")

    @property
    def neurons(self) -> int:
        """Neurons of the layer."""
        return len(self.bias)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer of a membrane."""
        return range_of(self.membrane_bits, signed=True)

    def leak(self, v: np.ndarray) -> np.ndarray:
        """What is left of membranes (..., N) after a step."""
        return v - ((v * self.decay.astype(np.int64)) >> self.decay_shift)

    def kept(self, v: np.ndarray) -> np.ndarray:
        """What of membranes (..., N) goes into the next step, before the bias."""
        left, spiked = self.leak(v), v > self.threshold
        if self.reset == "subtract":
            return left - spiked * self.threshold.astype(np.int64)
        return np.where(spiked, 0, left) if self.reset == "zero" else left

    def _range(self, steps: int, least: np.ndarray, most: np.ndarray) -> tuple[int, int]:
        """Smallest and largest membrane in ``steps`` steps, each of which adds ``least`` to
        ``most``; bounds of an unlimited membrane, both reached unless a reset comes in between."""
        lo = hi = self.bias.astype(np.int64)
        ends = []
        threshold = np.broadcast_to(self.threshold.astype(np.int64), lo.shape)
        for _ in range(steps):
            lo, hi = lo + least, hi + most
            ends += [lo.min(), hi.max()]
            if ends[-1] - ends[-2] > 1 << 40:
                break  # no membrane is that wide, and it would grow out of 64 bits
            # Below the threshold and above it, what is kept grows with the membrane.
            below, above = np.clip(threshold, lo, hi), np.clip(threshold + 1, lo, hi)
            parts = np.stack([self.kept(x) for x in (lo, below, above, hi)])
            lo, hi = parts.min(0) + self.bias, parts.max(0) + self.bias
        return int(min(ends)), int(max(ends))

    def _fire(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of membranes (B, N), and where the next step starts."""
        return v > self.threshold, np.clip(self.kept(v) + self.bias, *self.limits)


@value
class SpikingLinear(_Neurons):
    """Spikes through synapses into neurons: ``weights = codebook[indices]``, (N, F).

    Synapses are indices of ``index_bits`` bits into a codebook of signed integers, one for the
    layer. ``activity`` is metadata: the mean of the spikes that come in a step on the data that
    the network was made with, 0 where that is not known; nothing that computes reads it.
    """

    kind: ClassVar[str] = "spiking_linear"
    indices: np.ndarray
    codebook: np.ndarray
    readout: str = "spikes"
    activity: float = 0.0

    def __post_init__(self):
        self._check()
        if self.indices.shape != (self.neurons, self.input.channels):
            raise ValueError(f"indices {self.indices.shape} do not fit {self.input}")
        size = len(self.codebook)
        if not 2 <= size <= 256 or size & (size - 1):
            raise ValueError(f"a codebook has 2, 4, 8 ... 256 entries, not {size}")
        if self.indices.size and not 0 <= self.indices.min() <= self.indices.max() < size:
            raise ValueError(f"indices must be 0 to {size - 1}")
        if self.input.integers != spike_train(self.steps, self.input.channels):
            raise ValueError(f"takes spikes (T, 1, F) of one bit, not {self.input}")
        if self.readout not in ("spikes", "membrane"):
            raise ValueError(f"readout must be spikes or membrane, not {self.readout!r}")

    @property
    def steps(self) -> int:
        """Time steps of a frame."""
        return self.input.shape[0]

    @property
    def operations(self) -> int:
        """Synaptic operations and updates of neurons a frame, if every input spikes each time."""
        return self.steps * (self.input.channels + 1) * self.neurons

    @property
    def index_bits(self) -> int:
        """Bits of a synapse."""
        return (len(self.codebook) - 1).bit_length()

    @cached_property
    def weights(self) -> np.ndarray:
        """Signed weight of each synapse, (N, F)."""
        return self.codebook.astype(np.int64)[self.indices]

    @property
    def output(self) -> TensorType:
        if self.readout == "membrane":
            return TensorType((self.neurons,), self.membrane_bits, True)
        return spike_train(self.steps, self.neurons)

    @cached_property
    def range(self) -> tuple[int, int]:
        """Smallest and largest membrane, were it never clipped."""
        w = self.weights
        return self._range(self.steps, np.minimum(w, 0).sum(1), np.maximum(w, 0).sum(1))

    @property
    def saturates(self) -> bool:
        """Whether some input makes a membrane clip."""
        lo, hi = self.limits
        return self.range[0] < lo or self.range[1] > hi

    def compute(self, x: np.ndarray) -> np.ndarray:
        spikes, largest = [], None
        for fired, v in self.walk(x):
            spikes.append(fired)
            largest = v if largest is None else np.maximum(largest, v)
        if self.readout == "membrane":
            assert largest is not None, "there is at least one step"
            return largest.astype(np.int32)
        return np.stack(spikes, 1)[:, :, None].astype(np.int32)

    def walk(self, x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Spikes and membranes (B, N) at the end of each step."""
        u = np.broadcast_to(self.bias.astype(np.int64), (len(x), self.neurons))
        for t in range(self.steps):
            v = self._integrate(u, x[:, t, 0])
            fired, u = self._fire(v)
            yield fired, v

    def _integrate(self, u: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """Membranes ``u`` (B, N) after the synapses of ``spikes`` (B, F)."""
        lo, hi = self.limits
        if not self.saturates:
            return u + self._sums(spikes, self.weights)
        # Whatever the order, no sum on the way lies beyond those of one sign alone.
        up = self._sums(spikes, np.maximum(self.weights, 0))
        down = self._sums(spikes, np.minimum(self.weights, 0))
        v = u + up + down
        risky = np.flatnonzero(((u + up > hi) | (u + down < lo)).any(1))
        if len(risky):
            v[risky] = self.one_by_one(u[risky], spikes[risky])
        return v

    def one_by_one(self, u: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """What ``_integrate`` means: a synapse at a time, clipped each time."""
        v = u.copy()
        for j in np.flatnonzero(spikes.any(0)):
            v = np.clip(v + spikes[:, j, None] * self.weights[:, j], *self.limits)
        return v

    def _sums(self, spikes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        none = np.zeros(self.neurons, np.int64)
        return exact.matmul(spikes, weights, none, spike_train(1, self.input.channels))


@value
class Leaky(_Neurons):
    """Neurons that are given the same current in every one of ``steps`` steps: direct coding.

    The input is (N,), the weighted sums of a frame; each step adds it, as one synapse would.
    """

    kind: ClassVar[str] = "leaky"
    steps: int = 1

    def __post_init__(self):
        self._check()
        if self.input.shape != (self.neurons,):
            raise ValueError(f"{self.neurons} neurons take as many currents, not {self.input}")
        if self.input.encoding == "bipolar":
            raise ValueError("bipolar inputs are no currents")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    @property
    def output(self) -> TensorType:
        return spike_train(self.steps, self.neurons)

    @cached_property
    def range(self) -> tuple[int, int]:
        """Smallest and largest membrane, were it never clipped."""
        # A current is the same in every step, so what its extremes reach is all there is.
        return self._range(self.steps, np.int64(self.input.lo), np.int64(self.input.hi))  # type: ignore

    @property
    def saturates(self) -> bool:
        """Whether some input makes a membrane clip."""
        lo, hi = self.limits
        return self.range[0] < lo or self.range[1] > hi

    def compute(self, x: np.ndarray) -> np.ndarray:
        return np.stack([fired for fired, _ in self.walk(x)], 1)[:, :, None].astype(np.int32)

    def walk(self, x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Spikes and membranes (B, N) at the end of each step."""
        u = np.broadcast_to(self.bias.astype(np.int64), x.shape)
        for _ in range(self.steps):
            v = np.clip(u + x.astype(np.int64), *self.limits)
            fired, u = self._fire(v)
            yield fired, v
