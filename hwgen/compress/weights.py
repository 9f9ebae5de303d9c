"""Scales of weights: first by their own values, then by what the requantiser can multiply by."""

import numpy as np

from hwgen.compress.observers import UnsignedGrid
from hwgen.frontend.ratios import shift_for

__all__ = ["initial_scales", "settle_scales"]

# Requantise takes accumulators of 46 bits; a bias below 2^44 leaves room for the sum beside it.
BIAS_BITS = 44


def initial_scales(weights: np.ndarray, bits: int) -> np.ndarray:
    """One scale for each output channel of ``weights`` (K, ...), float64, all above zero.

    One bit: the mean magnitude (XNOR-Net, arXiv:1603.05279). More: of 41 scales from the largest
    magnitude's down, the one with the least square error, which for two bits makes the weights
    ternary. A channel of zeros has the scale of the coarsest one.
    """
    flat = weights.reshape(len(weights), -1)
    if bits == 1:
        scales = np.abs(flat).mean(1)
    else:
        top = (1 << (bits - 1)) - 1
        whole = np.abs(flat).max(1) / top
        best, scales = np.full(len(flat), np.inf), whole.copy()
        for share in np.linspace(1.0, 0.2, 41):
            tried = np.where(whole > 0, whole * share, 1.0)
            near = np.clip(np.rint(flat / tried[:, None]), -top, top) * tried[:, None]
            error = np.square(near - flat).sum(1)
            better = error < best
            best[better], scales[better] = error[better], tried[better]
        scales = np.where(whole > 0, scales, 0.0)
    largest = scales.max()
    return np.where(scales > 0, scales, largest if largest > 0 else 1.0)


def settle_scales(
    scales: np.ndarray,
    bias: np.ndarray,
    source: UnsignedGrid,
    to: UnsignedGrid,
    bits: int,
    window: int,
) -> tuple[np.ndarray, int]:
    """Scales with which the network computes in integers exactly what it does in floats.

    ``source.scale * scale / to.scale`` becomes ``m / 2^s``, the multiple that the requantiser has:
    a change of at most one part in 2^16 in the coarsest channel. Where a channel's ``bias`` is so
    large beside its weights that it would widen the accumulator (a channel that batch norm has
    all but switched off), the weights get coarser steps: they would not be seen in its output.
    ``window`` is the number of weights in a channel. Also returns a bound of the integer bias.
    """
    # What the sum can reach, and beside it what the output's finer grid can still tell apart.
    spare = 2 + max(0, to.hi.bit_length() - bits)
    reach = window * source.hi << (bits - 1)
    limit = min(reach << spare, 1 << (BIAS_BITS - 1))
    if bits == 1:
        # Steps of -1 and +1 cannot get coarser without getting larger; only where they vanish.
        limit = max(limit, 1 << 31)
    least = np.abs(bias) / (source.scale * limit)
    ratios = np.maximum(scales, least) * source.scale / to.scale
    ratios = np.minimum(ratios, 65535.0)
    shift = shift_for(float(ratios.max()))
    m = np.clip(np.rint(ratios * 2.0**shift), 1, 65535)
    return m * 2.0**-shift * to.scale / source.scale, 2 * limit
