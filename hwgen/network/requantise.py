"""Requantisation: the one op that rounds."""

from typing import ClassVar

import numpy as np

from hwgen.network.types import OneInput, TensorType, bits_for, range_of
from hwgen.network.values import value

__all__ = ["Requantise"]


@value
class Requantise(OneInput):
    """``clip(floor(((x - its zero) * m + 2^(shift-1)) / 2^shift) + zero_point, lo, hi)``.

    ``m`` is ``multiplier``, one a channel, or, where ``x`` lies below its zero point, ``negative``
    if that is given: a leaky ReLU. With ``shift`` 0 nothing is divided and nothing rounded. A ReLU
    is the clip at ``zero_point``. Multipliers lie in [0, 65535], negative ones in [-65535, 65535].
    """

    kind: ClassVar[str] = "requantise"
    input: TensorType
    multiplier: np.ndarray
    shift: int
    bits: int
    signed: bool
    zero_point: int
    lo: int
    hi: int
    negative: np.ndarray | None = None

    def __post_init__(self):
        for given, least in ((self.multiplier, 0), (self.negative, -0xFFFF)):
            if given is None:
                continue
            if given.shape != (self.input.channels,):
                raise ValueError(f"one multiplier a channel: {self.input.channels}")
            if given.min() < least or given.max() > 0xFFFF:
                raise ValueError(f"multipliers must lie in [{least}, 65535]")
        if self.input.encoding == "bipolar":
            raise ValueError("a bipolar input has one bit, and cannot be requantised")
        if not 0 <= self.shift <= 62:
            raise ValueError(f"shift must be 0 to 62, not {self.shift}")
        if self.centred[0] + 16 > 62:
            raise ValueError(f"accumulators of {self.input.bits} bits are too wide to requantise")
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits must be 1 to 16, not {self.bits}")
        lo, hi = range_of(self.bits, self.signed)
        if not lo <= self.lo <= self.hi <= hi:
            raise ValueError(f"[{self.lo}, {self.hi}] is no range of {self.bits}-bit integers")

    @property
    def output(self) -> TensorType:
        return TensorType(self.input.shape, self.bits, self.signed, "int", 1.0, self.zero_point)

    @property
    def centred(self) -> tuple[int, bool]:
        """Bits and sign of the input less its zero point."""
        source = self.input
        return bits_for(source.lo - source.zero_point, source.hi - source.zero_point)

    @property
    def is_shift(self) -> bool:
        """True when no multiplier is needed."""
        return self.negative is None and bool(np.all(self.multiplier == 1))

    def compute(self, x: np.ndarray) -> np.ndarray:
        y = x.astype(np.int64) - self.input.zero_point
        plain = self.negative is None
        y *= self.multiplier if plain else np.where(y < 0, self.negative, self.multiplier)  # type: ignore
        if self.shift:
            y += 1 << (self.shift - 1)
            y >>= self.shift
        y += self.zero_point
        return np.clip(y, self.lo, self.hi, out=y).astype(np.int32)
