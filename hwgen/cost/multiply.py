"""Which multipliers become DSP blocks: the rules of Yosys' ``mul2dsp``; and which parts around them
those blocks take in.

A product too wide for one block is cut into slices; slices too narrow for a block become LUTs, or
go to the next smaller kind of block. The numbers of each family are those that its ``synth_``
command hands to ``mul2dsp.v``.
"""

from dataclasses import dataclass
from functools import cache

from hwgen.primitives import Accumulator, Around, Mux, Part, Register

__all__ = ["RULES", "Rules", "outside", "split"]


@dataclass(frozen=True)
class Rules:
    """One kind of block; widths in bits. ``a`` is the wider operand.

    A cut slice is ``a_partial`` bits wide, of which ``headroom`` is a zero sign bit where blocks
    are signed only. Products of fewer than ``y_min`` bits, and factors of fewer than ``a_least``
    and ``b_least``, are not for this block. It counts as ``units`` of the family's DSP blocks.
    """

    a: int
    b: int
    a_partial: int
    headroom: int = 0
    y_min: int = 0
    a_least: int = 2
    b_least: int = 2
    units: int = 1


#: By family, the larger kinds of block first.
RULES = {
    # SB_MAC16: each factor signed or unsigned (synth_ice40 -dsp).
    "ice40": (Rules(16, 16, a_partial=16, y_min=11),),
    # MULT18X18D: signed or unsigned (synth_lattice.cc, dsp_rules_ecp5).
    "ecp5": (Rules(18, 18, a_partial=18),),
    # MULT36X36, MULT18X18, MULT9X9, counted in 9 x 9 (synth_gowin.cc; Gowin UG287: a macro is
    # four 9 x 9 or two 18 x 18, and 36 x 36 takes two macros).
    "gowin": (
        Rules(36, 36, a_partial=36, a_least=22, b_least=22, units=8),
        Rules(18, 18, a_partial=18, a_least=10, b_least=4, units=2),
        Rules(9, 9, a_partial=9, a_least=4, b_least=4),
    ),
    # DSP48E1 and DSP48E2: signed only; slices of 18 bits suit the 17-bit cascade shift
    # (synth_xilinx.cc).
    "xc7": (Rules(25, 18, a_partial=18, headroom=1, y_min=9),),
    "xcup": (Rules(27, 18, a_partial=18, headroom=1, y_min=9),),
    "asic": (),
}

#: Widths of a product that is left to LUTs.
Left = tuple[int, int]


@cache
def split(family: str, a: int, b: int, product: int | None = None) -> tuple[int, tuple[Left, ...]]:
    """DSP blocks of a signed product of ``a`` by ``b`` bits, and the widths of products left to
    LUTs. ``product`` bits of it are used, all unless given."""
    used, left = 0, [(a, b, product or a + b)]
    for rules in RULES[family]:
        smaller: list[tuple[int, int, int]] = []
        for a, b, y in left:
            count, rest = _split(rules, max(a, b), min(a, b), y)
            used += count * rules.units
            smaller += rest
        left = smaller
    return used, tuple((max(a, b), min(a, b)) for a, b, _ in left)


@cache
def _split(rules: Rules, a: int, b: int, y: int) -> tuple[int, tuple[tuple[int, int, int], ...]]:
    if a < rules.a_least or b < rules.b_least or y < rules.y_min:
        return 0, ((a, b, y),)
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


def outside(around: Around | None, family: str = "", whole: bool = False) -> list[Part]:
    """What blocks do not take in of the parts ``around`` products, which are ``whole`` in one; all
    of them where there are no such blocks.

    Yosys' ``xilinx_dsp`` knows the registers and the adder of a DSP48E1, not of a DSP48E2. Whether
    or not blocks share an operand, they take in its register, and one before that; the register of
    a product; and what alone reads it, an adder with the register of the sum, also if that is added
    to. ``ice40_dsp`` takes a zero sign bit for a part of the operand, so that only registers of
    signed operands are taken in; with unused high bits of a product, no accumulator is, and what an
    accumulator starts from is chosen outside.
    """
    if around is None:
        return []
    operands, before = around.signed + around.unsigned, around.before
    product, sums, rounding = around.product, around.sums, around.rounding
    if family == "xc7" and whole:
        return []
    if family == "ice40":
        operands -= around.signed
        if whole:
            product, rounding = 0, ()
            if not around.unsigned:
                totals = [part for part in sums if isinstance(part, Accumulator)]
                sums = tuple(Mux(part.width, 2, part.count) for part in totals)
    return [Register(operands + before + product), *sums, *rounding]
