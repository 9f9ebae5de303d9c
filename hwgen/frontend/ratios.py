"""Real ratios as a 16-bit multiplier a channel and one shift: what a requantiser has."""

import numpy as np

__all__ = ["MULTIPLIER_BITS", "multipliers", "shift_for"]

# Contract of the integer network: one 16-bit multiplier a channel, one shift for all of them.
MULTIPLIER_BITS = 16
MAX_SHIFT = 62


def shift_for(largest: float) -> int:
    """The finest shift at which ``largest`` still rounds to a multiplier of 16 bits.

    Raises ValueError if there is none: if it is negative, not finite, or above 65535.
    """
    top = (1 << MULTIPLIER_BITS) - 1
    if not 0 <= largest <= top:
        raise ValueError(f"a ratio of {largest} has no 16-bit multiplier")
    if largest == 0:
        return 0
    shift = int(np.clip(MULTIPLIER_BITS - np.frexp(largest)[1], 0, MAX_SHIFT))
    return shift - 1 if round(largest * 2.0**shift) > top else shift


def multipliers(ratios: np.ndarray) -> tuple[np.ndarray, int]:
    """``(m, shift)`` with ``m / 2^shift`` nearest to each of ``ratios``, ``m`` in [0, 65535].

    The largest ratio has all 16 bits; factors of two that all ``m`` share are taken out again, so
    that equal powers of two come out as ``m = 1``, which needs no multiplier.
    """
    shift = shift_for(float(ratios.max()))
    m = np.round(ratios * 2.0**shift).astype(np.int64)
    m = np.maximum(m, ratios > 0)  # a channel of tiny weights still has its bias
    while shift and not np.any(m & 1) and np.any(m):
        m, shift = m >> 1, shift - 1
    return m.astype(np.int32), shift
