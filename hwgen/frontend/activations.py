"""Activations that a rounding does: it clips, and multiplies negative sums by another number."""

from dataclasses import dataclass
from math import inf

import numpy as np
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.calls import CLIPS, layer_of, op_of
from hwgen.frontend.program import arguments, tensor_of

__all__ = ["PLAIN", "Activation", "clip_of", "slopes_of"]


def clip_of(node: fx.Node) -> tuple[float, float] | None:
    """The range that an activation clips to; None if its ends are no numbers."""
    op, given = op_of(node), arguments(node)
    if op in ("relu", "relu6"):
        return 0.0, inf if op == "relu" else 6.0
    lo, hi = (
        (given["min_val"], given["max_val"])
        if op == "hardtanh"
        else (given.get("min"), given.get("max"))
    )
    if isinstance(lo, fx.Node) or isinstance(hi, fx.Node):
        return None
    return -inf if lo is None else float(lo), inf if hi is None else float(hi)


def slopes_of(program: fx.GraphModule, node: fx.Node) -> tuple[float, ...]:
    """What ``leaky_relu`` or ``prelu`` multiplies negative numbers by: one, or one a channel."""
    given = arguments(node)
    if op_of(node) == "leaky_relu":
        return (float(given["negative_slope"]),)
    return tuple(tensor_of(program, given["weight"]).double().reshape(-1).tolist())


@dataclass(frozen=True)
class Activation:
    """``clip(x * slope if x < 0 else x)`` in real numbers; no slopes are slopes of one."""

    clip: tuple[float, float] = (-inf, inf)
    slopes: tuple[float, ...] | None = None

    def then(self, program: fx.GraphModule, call: fx.Node) -> "Activation":
        """This, and after it what ``call`` does; UserError if that is not of this form."""
        if op_of(call) in CLIPS:
            ends = clip_of(call)
            assert ends is not None, "the support check has seen to it"
            lo, hi = (min(max(end, ends[0]), ends[1]) for end in self.clip)
            return Activation((lo, hi), self.slopes)
        if self.clip[0] >= 0:
            return self  # nothing is negative
        slopes = slopes_of(program, call)
        if self.slopes is not None:
            # Where the first slope is negative, its results are positive.
            pairs = np.broadcast_arrays(self.slopes, slopes)
            slopes = tuple(np.where(pairs[0] < 0, pairs[0], pairs[0] * pairs[1]).tolist())
        if self.clip == (-inf, inf):
            return Activation(self.clip, slopes)
        own = slopes_of(program, call)
        if len(set(own)) > 1 or own[0] < 0 or (self.slopes and min(self.slopes) < 0):
            reason = "follows an activation that clips negative numbers, and has other slopes"
            remedy = "put the one that clips after it"
            raise UserError(Problem(layer_of(call), reason, remedy))
        lo, hi = (end if end >= 0 else _times(end, own[0]) for end in self.clip)
        return Activation((lo, hi), slopes)


#: None at all.
PLAIN = Activation()


def _times(end: float, slope: float) -> float:
    return end * slope if slope else 0.0
