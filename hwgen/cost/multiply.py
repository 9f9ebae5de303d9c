"""Which multipliers become DSP blocks: the rules of Yosys' ``mul2dsp``.

A product too wide for one block is cut into slices; slices too narrow for a block become LUTs. The
numbers of each family are those that ``synth_ecp5`` and ``synth_xilinx`` hand to ``mul2dsp.v``.
"""

from dataclasses import dataclass
from functools import cache

__all__ = ["ECP5", "XCUP", "Rules", "split"]


@dataclass(frozen=True)
class Rules:
    """Widths in bits. ``a`` is the wider operand. A cut slice is ``partial`` bits wide, of which
    ``headroom`` is a zero sign bit where blocks are signed only. Products of fewer than ``y_min``
    bits, and factors of fewer than ``least``, stay in LUTs."""

    a: int
    b: int
    a_partial: int
    headroom: int
    y_min: int
    least: int = 2


#: MULT18X18D: signed or unsigned (synth_lattice.cc, dsp_rules_ecp5).
ECP5 = Rules(18, 18, a_partial=18, headroom=0, y_min=0)
#: DSP48E2: signed only; slices of 18 bits suit its 17-bit cascade shift (synth_xilinx.cc).
XCUP = Rules(27, 18, a_partial=18, headroom=1, y_min=9)


def split(
    rules: Rules, a: int, b: int, product: int | None = None
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """DSP blocks of a signed product of ``a`` by ``b`` bits, and the widths of products left to
    LUTs. ``product`` bits of it are used, all unless given."""
    return _split(rules, max(a, b), min(a, b), product or a + b)


@cache
def _split(rules: Rules, a: int, b: int, y: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    if min(a, b) < rules.least or y < rules.y_min:
        return 0, ((a, b),)
    if a > rules.a:
        step = rules.a_partial - rules.headroom
        count = (a - rules.a + step - 1) // step
        last = a - count * step
        slices = [_split(rules, rules.a_partial, b, min(y, b + rules.a_partial))] * count
        slices.append(_split(rules, last, b, b + last))
    elif b > rules.b:
        step = rules.b - rules.headroom
        count = (b - rules.b + step - 1) // step
        last = b - count * step
        slices = [_split(rules, a, rules.b, min(y, a + rules.b))] * count
        slices.append(_split(rules, a, last, a + last))
    else:
        return 1, ()
    return sum(dsp for dsp, _ in slices), tuple(left for _, soft in slices for left in soft)
