"""Real ratios between grids as the integers that a requantiser or an addition has for them."""

from collections.abc import Sequence

import numpy as np

from hwgen.errors import Problem, UserError
from hwgen.frontend.activations import Activation
from hwgen.frontend.grids import Grid
from hwgen.frontend.ratios import MULTIPLIER_BITS, multipliers
from hwgen.network import Requantise, TensorType, bits_for

__all__ = [
    "MAX_APART",
    "clipped",
    "factors_of",
    "rounding",
]

# The requantiser's products have 62 bits: 16 of them are the multiplier's.
MAX_SUM_BITS = 62 - MULTIPLIER_BITS
# Operands of an addition further apart do not see each other: of 16 bits, all are below one step.
MAX_APART = 24
# What the finer operand is multiplied by at most; the second is for wide tensors whose scales are
# almost the same, and is enough for all of 16 bits.
LIMITS = 1 << MULTIPLIER_BITS, 1 << 22
# Steps of the finer operand by which the coarser one of an addition may be off.
OFF = 1 / 64


def rounding(
    layer: str, sums: TensorType, steps: Sequence[float], activation: Activation, grid: Grid
) -> Requantise:
    """What rounds sums to ``grid``, and does an activation of them.

    ``steps`` are what one step of the sum is in real numbers, for each channel. Raises UserError,
    with the name of the ``layer`` that makes the sums, where no multiplier is wide enough.
    """
    if sums.bits > MAX_SUM_BITS:
        reason = f"its sums need {sums.bits} bits, and hwgen rounds sums of up to {MAX_SUM_BITS}"
        remedy = "use fewer bits for its weights or its inputs"
        raise UserError(Problem(layer, reason, remedy))
    scale = float(grid.scale[0])
    ratios = np.array(steps) / scale
    if ratios.max() > 65535:
        reason = f"one step of its sums is {ratios.max():g} steps of its output"
        remedy = "use fewer bits for its output: up to 65535 steps can be multiplied"
        raise UserError(Problem(layer, reason, remedy))
    slopes = np.broadcast_to(1.0 if activation.slopes is None else activation.slopes, ratios.shape)
    below = ratios * slopes
    if np.abs(below).max() > 65535:
        reason = f"its slope is {slopes[np.abs(below).argmax()]:g}"
        raise UserError(Problem(layer, reason, "use a smaller one"))
    both, shift = multipliers(np.concatenate([ratios, np.abs(below)]))
    m, negative = np.split(both, 2)
    bits, signed = bits_for(grid.lo, grid.hi)
    sides = None if activation.slopes is None else negative * np.sign(slopes).astype(np.int32)
    ends = clipped(activation.clip, grid)
    return Requantise(sums, m, shift, bits, signed, grid.zero_point, *ends, sides)


def clipped(clip: tuple[float, float], grid: Grid) -> tuple[int, int]:
    """The integers of ``grid`` that ``clip``, in real numbers, leaves."""
    ends = (np.rint(end / float(grid.scale[0])) + grid.zero_point for end in clip)
    lo, hi = (int(np.clip(end, grid.lo, grid.hi)) for end in ends)
    return lo, hi


def factors_of(
    layer: str, scales: Sequence[float], kinds: Sequence[TensorType]
) -> tuple[tuple[int, int], float]:
    """What each operand of an addition is multiplied by, and one step of the sum.

    Steps that differ by a power of two are added exactly. Otherwise the coarser operand's step is
    off by so little that all of its range together is off by at most 1/64 of the finer step, or by
    one part in 2^24, whichever is more.
    Raises UserError, with the name of the addition, if the finer one would be out of sight.
    """
    coarse = int(scales[1] > scales[0])
    ratio = scales[coarse] / scales[1 - coarse]
    if ratio > 1 << MAX_APART:
        reason = f"one step of one tensor is {ratio:g} steps of the other"
        remedy = f"quantise them with scales whose ratio is at most 2^{MAX_APART}"
        raise UserError(Problem(layer, reason, remedy))
    kind = kinds[coarse]
    reach = max(kind.hi - kind.zero_point, kind.zero_point - kind.lo)
    for limit in LIMITS:
        finer = np.arange(1, min(limit, max(1, int((1 << MAX_APART) / ratio))) + 1)
        coarser = np.rint(ratio * finer)
        off = np.abs(coarser / finer - ratio)
        close = reach * off <= OFF
        if close.any():
            break
    # The smallest that do, for the least hardware.
    best = int(np.argmax(close)) if close.any() else int(np.argmin(off))
    factors = int(coarser[best]), int(finer[best])
    step = scales[1 - coarse] / factors[1]
    return (factors if coarse == 0 else factors[::-1]), step
