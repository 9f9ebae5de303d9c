"""Into spikes and out of them: rates by a shift register, counts, times of first spikes."""

from functools import cached_property
from typing import ClassVar

import numpy as np

from hwgen.network.spiking import spike_train
from hwgen.network.types import OneInput, TensorType, bits_for
from hwgen.network.values import value

__all__ = ["FirstSpike", "RateCode", "SpikeCount", "lfsr_bits"]

#: Taps of the shift register: x^16 + x^14 + x^13 + x^11 + 1, primitive, so of period 65,535.
POLYNOMIAL = (16, 14, 13, 11)

#: Bits before the first of the sequence, the most recent first: any but zero will do.
SEED = 0xACE1


def lfsr_bits(count: int) -> np.ndarray:
    """The first ``count`` bits of ``a[n] = a[n-16] ^ a[n-14] ^ a[n-13] ^ a[n-11]``.

    ``a[-1-k]`` is bit ``k`` of ``SEED``.
    """
    width = POLYNOMIAL[0]
    bits = np.empty(width + count, np.uint8)
    bits[:width] = [(SEED >> k) & 1 for k in reversed(range(width))]
    # Blocks as long as the nearest tap is far depend on earlier ones alone.
    for start in range(width, width + count, POLYNOMIAL[-1]):
        stop = min(start + POLYNOMIAL[-1], width + count)
        bits[start:stop] = 0
        for tap in POLYNOMIAL:
            bits[start:stop] ^= bits[start - tap : stop - tap]
    return bits[width:]


@value
class RateCode(OneInput):
    """Intensities as rates: input ``f`` spikes in step ``t`` if it is above a pseudo-random level.

    The level of value ``n = t * F + f`` is ``sum(a[n + k] << k)`` over the bits of the input, from
    the sequence of ``lfsr_bits``, which starts anew with every frame. So 0 never spikes, and the
    largest input in all but one of ``2**bits`` cases.
    """

    kind: ClassVar[str] = "rate_code"
    input: TensorType
    steps: int

    def __post_init__(self):
        kind = self.input
        if len(kind.shape) != 1 or kind.signed or kind.zero_point or kind.encoding == "bipolar":
            raise ValueError(f"takes a vector of unsigned intensities, not {self.input}")
        if self.input.bits > 16:
            raise ValueError(f"intensities have 1 to 16 bits, not {self.input.bits}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    @property
    def output(self) -> TensorType:
        return spike_train(self.steps, self.input.channels)

    @cached_property
    def levels(self) -> np.ndarray:
        """What each input is compared with, (T, F)."""
        count, bits = self.steps * self.input.channels, self.input.bits
        sequence = lfsr_bits(count + bits).astype(np.int32)
        levels = sum(sequence[k : k + count] << k for k in range(bits))
        return np.asarray(levels).reshape(self.steps, -1)

    def compute(self, x: np.ndarray) -> np.ndarray:
        return (x[:, None] > self.levels)[:, :, None].astype(np.int32)


class _OfTrain(OneInput):
    """A number for each input of a spike train, 0 to T."""

    def __post_init__(self):
        if self.input.integers != spike_train(self.input.shape[0], self.input.channels):
            raise ValueError(f"takes spikes (T, 1, F) of one bit, not {self.input}")

    @property
    def output(self) -> TensorType:
        return TensorType((self.input.channels,), *bits_for(0, self.input.shape[0]))


@value
class SpikeCount(_OfTrain):
    """How often each input spiked in a frame."""

    kind: ClassVar[str] = "spike_count"
    input: TensorType

    def compute(self, x: np.ndarray) -> np.ndarray:
        return x.sum((1, 2)).astype(np.int32)


@value
class FirstSpike(_OfTrain):
    """How many steps were left when each input first spiked: T if it was in the first, 0 if never.

    The earliest is the largest, as with every other readout.
    """

    kind: ClassVar[str] = "first_spike"
    input: TensorType

    def compute(self, x: np.ndarray) -> np.ndarray:
        left = self.input.shape[0] - np.arange(self.input.shape[0])
        return (x[:, :, 0] * left[:, None]).max(1).astype(np.int32)
