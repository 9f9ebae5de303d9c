"""What a tensor of the integer network is: shape, width, sign, and what its integers stand for."""

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["OneInput", "TensorType", "bits_for", "range_of", "signed_bits"]


def range_of(bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest integer of ``bits`` bits."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def bits_for(lo: int, hi: int) -> tuple[int, bool]:
    """Narrowest ``(bits, signed)`` that holds every integer of ``[lo, hi]``; at least one bit."""
    if lo >= 0:
        return max(1, hi.bit_length()), False
    return max((~lo).bit_length(), max(hi, 0).bit_length()) + 1, True


def signed_bits(lo: int, hi: int) -> int:
    """Two's complement bits of every integer of ``[lo, hi]``."""
    bits, signed = bits_for(int(lo), int(hi))
    return bits + (not signed)


@dataclass(frozen=True)
class TensorType:
    """The integers of one tensor, and, as metadata, the real numbers they stand for.

    ``real = scale * (integer - zero_point)``. ``scale`` is a float, or one float a channel; nothing
    that computes ever reads it.

    ``shape`` is ``(H, W, C)`` or ``(F,)``; the number of frames is never part of it.
    ``encoding`` is ``"int"``, or ``"bipolar"`` for one bit that means -1 or +1.
    """

    shape: tuple[int, ...]
    bits: int
    signed: bool
    encoding: Literal["int", "bipolar"] = "int"
    scale: float | tuple[float, ...] = 1.0
    zero_point: int = 0

    def __post_init__(self):
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise ValueError(f"shape must be (H, W, C) or (F,), all at least 1, not {self.shape}")
        if not 1 <= self.bits <= 64:
            raise ValueError(f"bits must be 1 to 64, not {self.bits}")
        if self.encoding == "bipolar" and self.bits != 1:
            raise ValueError(f"a bipolar tensor has 1 bit, not {self.bits}")
        if not self.lo <= self.zero_point <= self.hi:
            raise ValueError(f"zero_point must be {self.lo} to {self.hi}, not {self.zero_point}")

    @property
    def lo(self) -> int:
        """Smallest integer in range."""
        return -1 if self.encoding == "bipolar" else range_of(self.bits, self.signed)[0]

    @property
    def hi(self) -> int:
        """Largest integer in range."""
        return 1 if self.encoding == "bipolar" else range_of(self.bits, self.signed)[1]

    def coded(self, integers):
        """How a stream carries ``integers``, a number or an array: bipolar ones as 0 and 1."""
        return (integers + 1) // 2 if self.encoding == "bipolar" else integers

    def decoded(self, codes):
        """The integers that a stream carries as ``codes``: the inverse of ``coded``."""
        return 2 * codes - 1 if self.encoding == "bipolar" else codes

    @property
    def channels(self) -> int:
        """Length of the innermost axis."""
        return self.shape[-1]

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """``(H, W, C)``; a vector is a map of one pixel."""
        return (1, 1, self.shape[0]) if len(self.shape) == 1 else self.shape  # type: ignore

    @property
    def integers(self) -> "TensorType":
        """The same type without its scale: all that computing depends on."""
        return replace(self, scale=1.0)

    def __str__(self):
        sign = "bipolar" if self.encoding == "bipolar" else f"{'s' if self.signed else 'u'}"
        return f"{'x'.join(map(str, self.shape))} {sign}{self.bits}"


class OneInput:
    """What ops with a single ``input`` share."""

    input: TensorType

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        """Types of the inputs."""
        return (self.input,)
