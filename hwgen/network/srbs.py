"""Sub-row-balanced sparsity, SRBS(S, n): a pattern of weights that keeps an array of banks busy.

At each tap, an output channel's weights over all input channels are a *row*; ``S`` consecutive ones
are a *sub-row* (the last is filled up with zeros). At most ``n`` weights of every sub-row are not
zero. So ``n`` entries of fixed length hold a sub-row, without pointers or counts, and banks that
each read one entry a cycle all finish together.

Weights are (rows of taps, columns of taps, K, C): the pattern is one of integers of any op, or of a
mask. Source of the idea: T. Yang et al., "A Winograd-Based CNN Accelerator with a Fine-Grained
Regular Sparsity Pattern", FPL 2020; definition and encoding are derived.
"""

from dataclasses import dataclass

import numpy as np

from hwgen.network.ops import Conv2d, Linear, Op
from hwgen.network.values import kept
from hwgen.network.winograd import WIDEST
from hwgen.network.winograd_conv import WinogradConv2d

__all__ = [
    "LENGTHS",
    "SubRows",
    "check",
    "decode",
    "encode",
    "entries",
    "obstacle",
    "pattern_of",
    "patterns",
    "tap_weights",
]

#: Lengths of sub-rows that the pattern of an op's weights is looked for in.
LENGTHS = (4, 8, 16, 32)


@dataclass(frozen=True, order=True)
class SubRows:
    """SRBS(S, n): of ``length`` (S, a power of two) consecutive input channels ``kept`` (n) at most
    have a weight that is not zero."""

    length: int
    kept: int

    def __post_init__(self):
        if self.length < 2 or self.length & (self.length - 1):
            raise ValueError(
                f"sub-rows must have a power of two of channels, 2 or more, not {self.length}"
            )
        if not 1 <= self.kept <= self.length:
            raise ValueError(f"{self.kept} weights cannot be kept of a sub-row of {self.length}")

    @property
    def index_bits(self) -> int:
        """Bits of a place within a sub-row."""
        return (self.length - 1).bit_length()

    @property
    def sparsity(self) -> float:
        """Part of the weights that is zero, at least."""
        return 1 - self.kept / self.length

    def count(self, channels: int) -> int:
        """Sub-rows of a row of ``channels``."""
        return -(-channels // self.length)

    def __str__(self):
        return f"SRBS({self.length}, {self.kept})"


def tap_weights(op: Conv2d | Linear | WinogradConv2d) -> np.ndarray:
    """The weights of ``op`` by tap, (rows of taps, columns of taps, K, C): taps of the tile for
    Winograd, of the kernel for a convolution. A fully connected layer has one tap, and all its
    inputs, in stream order (H, W, C), are channels.

    A convolution in several groups has none: ValueError.
    """
    if isinstance(op, WinogradConv2d):
        return op.weights
    if isinstance(op, Linear):
        return op.weights.reshape(1, 1, len(op.weights), -1)
    if op.groups > 1:
        raise ValueError(f"it has {op.groups} groups, not 1")
    return np.moveaxis(op.weights, 0, 2)


@kept
def pattern_of(op: Conv2d | Linear | WinogradConv2d) -> SubRows | None:
    """The pattern of ``LENGTHS`` that leaves out most of the weights of ``op``, of several the
    shortest; None where there is none."""
    found = patterns(tap_weights(op))
    return min(found, key=lambda p: (p.kept / p.length, p.length), default=None)


def obstacle(op: Op) -> str | None:
    """Why no array of banks can compute ``op``; None if one can."""
    if not isinstance(op, Conv2d | Linear | WinogradConv2d):
        return "it has no weights"
    if op.input.encoding == "bipolar":
        return "its input is single bits: there is nothing to multiply"
    if isinstance(op, Conv2d) and op.groups > 1:
        return f"it has {op.groups} groups, not 1"
    if isinstance(op, Conv2d) and op.dilation != (1, 1):
        return f"its dilation is {op.dilation}, not 1"
    if op.output.bits > WIDEST:
        return f"its sums have {op.output.bits} bits, more than {WIDEST}"
    if pattern_of(op) is None:
        return "its weights are dense: no sub-row of 4 to 32 input channels has a zero everywhere"
    return None


@kept
def entries(
    op: Conv2d | Linear | WinogradConv2d, pattern: SubRows
) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the weights of ``op``, as ``encode`` makes them."""
    return encode(tap_weights(op), pattern)


def check(weights: np.ndarray, pattern: SubRows) -> None:
    """ValueError, naming the first sub-row of ``weights`` (or of a mask) that keeps too many."""
    counts = _counts(weights, pattern.length)
    wrong = np.argwhere(counts > pattern.kept)
    if len(wrong):
        raise ValueError(
            f"{_place(wrong[0], pattern)} has {counts[tuple(wrong[0])]} weights that are not zero;"
            f" {pattern} allows {pattern.kept} of {pattern.length}"
        )


def patterns(weights: np.ndarray, lengths: tuple[int, ...] = LENGTHS) -> tuple[SubRows, ...]:
    """For each of ``lengths`` up to the input channels, the least pattern that ``weights`` obey,
    where it leaves anything out."""
    channels = weights.shape[3]
    found = [
        SubRows(length, max(1, int(_counts(weights, length).max())))
        for length in lengths
        if length <= channels
    ]
    return tuple(pattern for pattern in found if pattern.kept < pattern.length)


def encode(weights: np.ndarray, pattern: SubRows) -> tuple[np.ndarray, np.ndarray]:
    """Places within their sub-row, and values, of what ``weights`` keep: two arrays of shape
    (rows of taps, columns of taps, K, sub-rows, n).

    Places ascend; slots that are left over come last, at place 0 with value 0. ValueError if
    ``weights`` do not obey ``pattern``.
    """
    check(weights, pattern)
    parts = _parted(weights, pattern.length)
    # A stable sort: the kept ones first, in their order.
    places = np.argsort(parts == 0, axis=-1, kind="stable")[..., : pattern.kept]
    values = np.take_along_axis(parts, places, axis=-1)
    return np.where(values == 0, 0, places), values


def decode(places: np.ndarray, values: np.ndarray, pattern: SubRows, channels: int) -> np.ndarray:
    """Weights (rows of taps, columns of taps, K, ``channels``) from what ``encode`` makes.

    ValueError, naming the sub-row, where places are not within it, or do not ascend, or are beyond
    the channels.
    """
    used = values != 0
    over = (places < 0) | (places >= pattern.length)
    starts = np.arange(pattern.count(channels))[:, None] * pattern.length
    over |= used & (starts + places >= channels)
    before = np.where(used, places, -1)[..., :-1]
    still = used[..., 1:] & ((places[..., 1:] <= before) | ~used[..., :-1])
    for wrong, what in ((over, "a place outside of it"), (still, "places that do not ascend")):
        if wrong.any():
            raise ValueError(f"{_place(np.argwhere(wrong)[0], pattern)} has {what}")
    parts = np.zeros((*values.shape[:-1], pattern.length), values.dtype)
    # What is left over would overwrite place 0: it is added.
    for slot in range(values.shape[-1]):
        here = places[..., slot : slot + 1]
        now = np.take_along_axis(parts, here, axis=-1) + values[..., slot : slot + 1]
        np.put_along_axis(parts, here, now, axis=-1)
    return parts.reshape(*values.shape[:3], -1)[..., :channels]


def _parted(weights: np.ndarray, length: int) -> np.ndarray:
    """``weights`` with the channels cut into sub-rows, (..., sub-rows, length)."""
    spare = -weights.shape[3] % length
    padded = np.pad(weights, ((0, 0), (0, 0), (0, 0), (0, spare)))
    return padded.reshape(*padded.shape[:3], -1, length)


def _counts(weights: np.ndarray, length: int) -> np.ndarray:
    return np.count_nonzero(_parted(weights, length), axis=-1)


def _place(at: np.ndarray, pattern: SubRows) -> str:
    row, column, output, part = map(int, at[:4])
    first = part * pattern.length
    return (
        f"tap ({row}, {column}), output channel {output}, sub-row {part} (input channels "
        f"{first} to {first + pattern.length - 1})"
    )
