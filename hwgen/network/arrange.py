"""Ops that compute nothing: they put maps side by side, take parts of them, repeat or pad them."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from hwgen.network import exact
from hwgen.network.types import OneInput, TensorType, bits_for
from hwgen.network.values import value

__all__ = ["Concat", "Pad2d", "Slice", "Upsample2d"]


@value
class Concat:
    """Tensors side by side along their channels, each ``((x - its zero) << shift) + zero_point``.

    Where all have the zero point ``zero_point``, and no shift, the integers stay as they are;
    otherwise tensors whose scales differ by powers of two come to one scale, exactly. The first
    decides whether the result is a map or a vector.
    """

    kind: ClassVar[str] = "concat"
    inputs: tuple[TensorType, ...]
    shifts: tuple[int, ...]
    zero_point: int = 0

    def __post_init__(self):
        shapes = [kind.shape for kind in self.inputs]
        if len(shapes) < 2 or len({kind.map_shape[:2] for kind in self.inputs}) > 1:
            raise ValueError(f"cannot put {shapes} side by side")
        if any(kind.encoding == "bipolar" for kind in self.inputs):
            raise ValueError("bipolar inputs cannot be put side by side")
        if len(self.shifts) != len(shapes) or min(self.shifts) < 0 or max(self.shifts) > 24:
            raise ValueError(f"shifts must be one of 0 to 24 for each tensor, not {self.shifts}")

    @property
    def is_plain(self) -> bool:
        """Whether every integer stays as it is."""
        return not any(self.shifts) and all(k.zero_point == self.zero_point for k in self.inputs)

    @property
    def output(self) -> TensorType:
        ends = [
            ((end - kind.zero_point) << shift) + self.zero_point
            for kind, shift in zip(self.inputs, self.shifts, strict=True)
            for end in (kind.lo, kind.hi)
        ]
        shape = (*self.inputs[0].shape[:-1], sum(kind.channels for kind in self.inputs))
        bits, signed = bits_for(min(ends), max(ends))
        return TensorType(shape, bits, signed, zero_point=self.zero_point)

    def compute(self, *x: np.ndarray) -> np.ndarray:
        lead = x[0].shape[:-1]
        parts = [
            ((part.reshape(*lead, -1).astype(np.int64) - kind.zero_point) << shift)
            + self.zero_point
            for part, kind, shift in zip(x, self.inputs, self.shifts, strict=True)
        ]
        return np.concatenate(parts, axis=-1)


@value
class Slice(OneInput):
    """Rows, columns and channels ``start`` to ``stop``, the last ones left out; of a vector, with
    rows and columns (0, 1)."""

    kind: ClassVar[str] = "slice"
    input: TensorType
    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self):
        for low, high, size in zip(self.start, self.stop, self.input.map_shape, strict=True):
            if not 0 <= low < high <= size:
                raise ValueError(f"{self.start} to {self.stop} is no part of {self.input.shape}")

    @property
    def output(self) -> TensorType:
        sizes = tuple(b - a for a, b in zip(self.start, self.stop, strict=True))
        return replace(self.input, shape=sizes if len(self.input.shape) == 3 else sizes[2:])

    def compute(self, x: np.ndarray) -> np.ndarray:
        parts = [slice(*ends) for ends in zip(self.start, self.stop, strict=True)]
        return x[:, *parts] if x.ndim == 4 else x[:, parts[2]]


@value
class Pad2d(OneInput):
    """``value``, an integer within the input's range, at (top, bottom, left, right) of a map."""

    kind: ClassVar[str] = "pad2d"
    input: TensorType
    padding: tuple[int, int, int, int]
    value: int

    def __post_init__(self):
        if len(self.input.shape) != 3 or min(self.padding) < 0:
            raise ValueError(f"cannot pad {self.input.shape} by {self.padding}")
        if self.input.encoding == "bipolar":
            raise ValueError("a bipolar input has no zero to pad with")
        if not self.input.lo <= self.value <= self.input.hi:
            raise ValueError(f"value must be {self.input.lo} to {self.input.hi}, not {self.value}")

    @property
    def output(self) -> TensorType:
        height, width, channels = self.input.shape
        top, bottom, left, right = self.padding
        return replace(self.input, shape=(top + height + bottom, left + width + right, channels))

    def compute(self, x: np.ndarray) -> np.ndarray:
        return exact.pad(x, self.padding, self.value)


@value
class Upsample2d(OneInput):
    """Every pixel ``factor[0]`` times down and ``factor[1]`` times across: the nearest one."""

    kind: ClassVar[str] = "upsample2d"
    input: TensorType
    factor: tuple[int, int]

    def __post_init__(self):
        if len(self.input.shape) != 3 or min(self.factor) < 1:
            raise ValueError(f"cannot repeat {self.input.shape} by {self.factor}")

    @property
    def output(self) -> TensorType:
        height, width, channels = self.input.shape
        down, across = self.factor
        return replace(self.input, shape=(height * down, width * across, channels))

    def compute(self, x: np.ndarray) -> np.ndarray:
        return x.repeat(self.factor[0], axis=1).repeat(self.factor[1], axis=2)
