"""From wide sums to single bits that mean -1 and +1: all the rounding that a binarised net has."""

from typing import ClassVar

import numpy as np

from hwgen.network.types import OneInput, TensorType
from hwgen.network.values import value

__all__ = ["Threshold"]


@value
class Threshold(OneInput):
    """+1 where ``x`` is at least its channel's threshold, -1 elsewhere; bipolar.

    A batch norm or bias before the sign is part of the threshold. Thresholds lie within the range
    of the input, or one above it: that channel is always -1.
    """

    kind: ClassVar[str] = "threshold"
    input: TensorType
    thresholds: np.ndarray

    def __post_init__(self):
        if self.input.encoding == "bipolar":
            raise ValueError("a bipolar input is its own sign")
        if self.thresholds.shape != (self.input.channels,):
            raise ValueError(f"one threshold a channel: {self.input.channels}")
        lo, hi = self.input.lo, self.input.hi + 1
        if self.thresholds.min() < lo or self.thresholds.max() > hi:
            raise ValueError(f"thresholds must lie in [{lo}, {hi}]")

    @property
    def output(self) -> TensorType:
        return TensorType(self.input.shape, 1, False, "bipolar")

    def compute(self, x: np.ndarray) -> np.ndarray:
        return np.where(x >= self.thresholds, 1, -1).astype(np.int32)
