"""Contract of the stream in Python: how a tensor becomes beats.

A map travels row by row, pixel by pixel, channels innermost. A beat carries ``pixels x lanes``
values, lane 0 of the first pixel in the least significant bits. ``pixels`` divides the width;
when ``lanes`` does not divide the channels, the last fold of each pixel is padded with zeros.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.network.types import TensorType

__all__ = ["Beats", "from_bytes", "to_bytes", "useful_lanes"]


def useful_lanes(channels: int) -> list[int]:
    """Numbers of lanes, 1 to ``channels``, that no smaller number equals in folds."""
    return sorted({-(-channels // folds) for folds in range(1, channels + 1)})


@dataclass(frozen=True)
class Beats:
    """One tensor as a stream of beats."""

    type: TensorType
    lanes: int = 1
    pixels: int = 1

    def __post_init__(self):
        if not 1 <= self.lanes <= self.type.channels:
            raise ValueError(f"lanes must be 1 to {self.type.channels}, not {self.lanes}")
        if self.pixels < 1 or self.type.map_shape[1] % self.pixels:
            raise ValueError(
                f"pixels must divide the width {self.type.map_shape[1]}, not be {self.pixels}"
            )

    @cached_property
    def folds(self) -> int:
        """Beats a pixel group."""
        return -(-self.type.channels // self.lanes)

    @cached_property
    def groups(self) -> int:
        """Pixel groups a row."""
        return self.type.map_shape[1] // self.pixels

    @cached_property
    def count(self) -> int:
        """Beats a frame."""
        return self.type.map_shape[0] * self.groups * self.folds

    @cached_property
    def values(self) -> int:
        """Values a beat."""
        return self.pixels * self.lanes

    @cached_property
    def width(self) -> int:
        """Bits a beat."""
        return self.values * self.type.bits

    def pack(self, frames: np.ndarray) -> np.ndarray:
        """Codes of each beat, (N * count, pixels * lanes), for ``frames`` (N, *shape): the values,
        or, of bipolar ones, 0 and 1."""
        height, width, channels = self.type.map_shape
        maps = self.type.coded(np.asarray(frames)).reshape(-1, height, width, channels)
        spare = self.folds * self.lanes - channels
        if spare:
            maps = np.pad(maps, ((0, 0), (0, 0), (0, 0), (0, spare)))
        grouped = maps.reshape(len(maps), height, self.groups, self.pixels, self.folds, self.lanes)
        return np.ascontiguousarray(grouped.swapaxes(3, 4)).reshape(-1, self.values)

    def unpack(self, beats: np.ndarray) -> np.ndarray:
        """Frames (N, *shape) from the codes of their beats; the inverse of ``pack``."""
        height, width, channels = self.type.map_shape
        grouped = np.asarray(beats).reshape(
            -1, height, self.groups, self.folds, self.pixels, self.lanes
        )
        maps = grouped.swapaxes(3, 4).reshape(-1, height, width, self.folds * self.lanes)
        values = self.type.decoded(maps[..., :channels])
        return np.ascontiguousarray(values).reshape(-1, *self.type.shape)

    def place(self, beat: int, value: int) -> tuple[int, int, int, int]:
        """``(frame, row, column, channel)`` of one value of one beat."""
        frame, beat = divmod(beat, self.count)
        row, beat = divmod(beat, self.groups * self.folds)
        group, fold = divmod(beat, self.folds)
        pixel, lane = divmod(value, self.lanes)
        return frame, row, group * self.pixels + pixel, fold * self.lanes + lane

    def __str__(self):
        return f"{self.type} as {self.count} beats of {self.pixels} x {self.lanes}"


def to_bytes(values: np.ndarray, bits: int, stride: int) -> np.ndarray:
    """Beats as little-endian bytes, (beats, ``stride``), two's complement, first value lowest."""
    lanes = values.shape[1]
    raw = np.ascontiguousarray(values, dtype="<i8").view(np.uint8).reshape(len(values), lanes, 8)
    planes = np.unpackbits(raw, axis=2, count=bits, bitorder="little")
    packed = np.packbits(planes.reshape(len(values), lanes * bits), axis=1, bitorder="little")
    return np.pad(packed, ((0, 0), (0, stride - packed.shape[1])))


def from_bytes(data: np.ndarray, bits: int, signed: bool, count: int) -> np.ndarray:
    """``count`` values a beat from its bytes (beats, stride); the inverse of ``to_bytes``."""
    planes = np.unpackbits(data, axis=1, count=bits * count, bitorder="little")
    planes = planes.reshape(len(data), count, bits)
    weights = np.int64(1) << np.arange(bits, dtype=np.int64)
    if signed:
        weights[-1] = -weights[-1]
    return planes.astype(np.int64) @ weights
