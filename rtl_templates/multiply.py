"""Products: one component that every engine uses, and the ways in which it can make them.

``Products`` makes every product of ``pixels`` factors with ``lanes`` weights:

- in DSP blocks, one each;
- *packed*: a block makes the products of several factors with several weights, which lie side by
  side in one long product, each in a field as wide as a product;
- *soft*: in LUTs, two bits of the weight at a time (Booth, radix 4). Weights of up to two bits take
  no adder at all.

A field of a packed product is one less than its product if what lies below is negative; a Booth row
is the complement of what it subtracts, one less than its negative. Neither is repaired here: each
product comes as a number and a *carry* bit that is to be added to it, and the adders that sum the
products do that for next to nothing, since an adder has a carry input.

Sources: packing two products in a DSP48E2, AMD WP486 (2017); radix-4 recoding, O. L. MacSorley,
"High-Speed Arithmetic in Binary Computers", Proc. IRE 49 (1961).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product as pairs_of
from math import ceil

import numpy as np

from hwgen.cost.multiply import RULES, split
from hwgen.primitives import Adder, Around, Delay, Logic, Multiplier, Part, Register, SoftProduct

__all__ = ["BLOCK", "SOFT", "Products", "Style", "Weights", "packed_bits"]


@dataclass(frozen=True)
class Style:
    """How products are made: ``soft``, in LUTs; or else in DSP blocks, each of which makes those of
    ``pixels`` factors with ``lanes`` weights."""

    soft: bool = False
    pixels: int = 1
    lanes: int = 1

    def __post_init__(self):
        if min(self.pixels, self.lanes) < 1 or (self.soft and self.products > 1):
            raise ValueError(f"{self!r} is no way to make products")

    @property
    def products(self) -> int:
        """Products of one block."""
        return self.pixels * self.lanes


BLOCK = Style()
SOFT = Style(soft=True)


class Weights(Enum):
    """What weights are: -1 and +1; those and 0; or any integers of their width."""

    SIGN = "sign"
    TERNARY = "ternary"
    INTEGER = "integer"


@dataclass(frozen=True)
class Products:
    """Products of ``pixels`` factors of ``x_bits`` with ``lanes`` signed weights of ``w_bits``.

    Weights of up to two bits are made in LUTs whatever the style, and so is what ``x_bipolar``
    factors do, bits that mean -1 and +1: they negate weights. Where weights are signs as well,
    products are bits that mean the same, without a carry (``counted``). Signed factors that are
    never the least number of their bits (``x_least`` is false) may lend one without getting wider.
    """

    x_bits: int
    x_signed: bool
    w_bits: int
    weights: Weights = Weights.INTEGER
    style: Style = BLOCK
    pixels: int = 1
    lanes: int = 1
    x_bipolar: bool = False
    x_least: bool = True

    def styled(self, style: Style) -> "Products":
        """The same products in another style."""
        return replace(self, style=style)

    @property
    def soft(self) -> bool:
        """Whether they are made in LUTs."""
        return self.style.soft or self.w_bits <= 2 or self.x_bipolar

    @property
    def counted(self) -> bool:
        """Whether products are bits that mean -1 and +1, to be counted: an XNOR each. They are
        there at once; counting takes the cycle."""
        return self.x_bipolar and self.weights is Weights.SIGN

    @property
    def bits(self) -> int:
        """Bits of the number of a product, signed; and of a field."""
        if self.x_bipolar:
            return self.w_bits
        single = self.weights is not Weights.INTEGER
        return self.x_bits + (not self.x_signed if single else self.w_bits)

    @property
    def rows(self) -> int:
        """Booth digits of a weight."""
        return 1 if self.x_bipolar else ceil(self.w_bits / 2)

    @property
    def latency(self) -> int:
        """Cycles from factors and weights to products: soft ones take two digits a cycle; packing
        signed factors, whose lower ones borrow from the upper, takes one more."""
        if self.soft:
            return ceil(self.rows / 2)
        return 2 if self.x_signed and self.style.pixels > 1 else 1

    @property
    def carries(self) -> int:
        """Products that have a carry."""
        if self.counted:
            return 0
        if self.soft:
            return self.pixels * self.lanes
        return self.pixels * self.lanes - sum(self._kinds.values())

    @property
    def groups(self) -> list[tuple[range, range]]:
        """Factors and weights of each block."""
        x, w = self.style.pixels, self.style.lanes
        return [
            (range(p, min(p + x, self.pixels)), range(n, min(n + w, self.lanes)))
            for p, n in pairs_of(range(0, self.pixels, x), range(0, self.lanes, w))
        ]

    @property
    def _kinds(self) -> dict[tuple[int, int], int]:
        """How many blocks there are of how many factors and weights."""
        (x, more_x), (w, more_w) = (
            divmod(self.pixels, self.style.pixels),
            divmod(self.lanes, self.style.lanes),
        )
        found = {
            (self.style.pixels, self.style.lanes): x * w,
            (self.style.pixels, more_w): x,
            (more_x, self.style.lanes): w,
            (more_x, more_w): 1,
        }
        return {kind: count for kind, count in found.items() if min(*kind, count) > 0}

    def blocks(self, family: str) -> int | None:
        """DSP blocks that they take on ``family``; None if some are left to LUTs, or what is to
        share a block is too wide for any."""
        wide, narrow = max(self.operands()), min(self.operands())
        fits = any(wide <= rules.a and narrow <= rules.b for rules in RULES[family])
        if self.style.products > 1 and not fits:
            return None
        found = 0
        for (x, w), count in self._kinds.items():
            used, left = split(family, *self.operands(x, w), x * w * self.bits)
            if left:
                return None
            found += used * count
        return found

    def operands(self, x: int = 0, w: int = 0) -> tuple[int, int]:
        """Bits of the signed operands of a block of ``x`` factors and ``w`` weights, those of the
        style unless given. Weights lie a field apart, factors as far as all weights."""
        x, w = x or self.style.pixels, w or self.style.lanes
        lends = x > 1 and self.x_least
        wide = (x - 1) * w * self.bits + self.x_bits + (lends or not self.x_signed)
        return wide, (w - 1) * self.bits + self.w_bits

    def encode(self, words: np.ndarray) -> np.ndarray:
        """Weights (..., lanes) as they are to be stored, ``w_bits`` each, two's complement.

        Signs become 0 and 1. Of the weights that share a block, each but the first has lent one to
        its lower neighbour if that is negative, so that packing takes no logic.
        """
        if self.weights is Weights.SIGN:
            return (words + 1) // 2
        if self.soft or self.style.lanes == 1:
            return words
        words = np.array(words)
        for lane in range(1, self.lanes):
            if lane % self.style.lanes:
                words[..., lane] -= words[..., lane - 1] < 0
        return words

    @property
    def carried(self) -> dict[str, int]:
        """What ``tree_parts`` is to know of the carries: soft ones are those of weights, or of
        factors, and have waited since those came."""
        if not self.soft:
            return {"shared": 1, "waited": 0}
        return {"shared": self.lanes if self.x_bipolar else self.pixels, "waited": self.latency}

    @property
    def single(self) -> int:
        """Products that have a block of their own."""
        return 0 if self.soft else self._kinds.get((1, 1), 0)

    def primitives(
        self, count: int = 1, sums: Sequence[Part] = (), stored: int | None = None
    ) -> list[Part]:
        """Parts of ``count`` groups of such products, with all their registers and those of the
        factors and weights that come, but without carries (``tree_parts``). ``sums`` are further
        parts, which alone read ``single`` products. Of the bits of all weights, ``stored`` are
        neither constant nor like others; all, unless given."""
        bits = self.w_bits * self.lanes * count
        share = 1.0 if stored is None else stored / bits
        if self.soft:
            return [*self._soft_parts(count, share), *sums]
        # Operands that are one number are registers, those that are several lie side by side.
        x_alone, w_alone = (
            some if each == 1 else int(some % each == 1)
            for some, each in ((self.pixels, self.style.pixels), (self.lanes, self.style.lanes))
        )
        x = x_alone * self.x_bits * count
        w = round(w_alone * self.w_bits * count * share)
        x_packed = (self.pixels - x_alone) * self.x_bits * count
        w_packed = round((self.lanes - w_alone) * self.w_bits * count * share)
        parts: list[Part] = [Register(x_packed + w_packed)]
        before = 0
        if self.latency > 1:  # packed factors are then registers as a whole
            parts.append(Register(w_packed))
            lent = self.pixels - ceil(self.pixels / self.style.pixels)
            parts.append(Adder(self.x_bits + self.x_least, lent * count))
            before, x = x + w, x + x_packed
        signs = {"signed": x + w} if self.x_signed else {"signed": w, "unsigned": x}
        around = Around(**signs, before=before, sums=tuple(sums))
        for kind, blocks in self._kinds.items():
            product = kind[0] * kind[1] * self.bits
            around = replace(around, product=product * blocks * count)
            parts.append(Multiplier(*self.operands(*kind), blocks * count, "mac", product, around))
            around = Around()
        return parts

    def _soft_parts(self, count: int, share: float) -> list[Part]:
        products, factors = self.pixels * self.lanes * count, self.pixels * count
        weight = self.lanes * count * share  # a bit of each
        operands = Register(factors * self.x_bits + round(self.w_bits * weight))
        if self.counted:
            return [operands]  # the rest is part of what counts them
        if self.x_bipolar:
            negated = Logic(self.bits * products)
            return [operands, negated, Register(self.bits * products)]
        factor = self.x_bits + (not self.x_signed)
        parts: list[Part] = [
            SoftProduct(factor, self.w_bits, products),
            Register(self.latency * self.x_bits * factors),
            Register(round(min(self.w_bits, 4) * weight)),
        ]
        # Of what is summed so far, the low bits of each stage but the last only wait.
        for stage in range(self.latency - 1):
            parts += [Register(self.x_bits * products), Delay(4 * products, self.latency - stage)]
            # The digits of the next stage have waited since they came, the bit below them since
            # the first stage.
            digits = min(4, self.w_bits - 4 * (stage + 1))
            parts.append(Delay(round(digits * weight), stage + 2))
            parts.append(Delay(round(weight), stage + 1))
        # An unsigned factor's only row has a sign that is its carry.
        low = 4 * (self.latency - 1) + (self.rows == 1 and not self.x_signed)
        parts.append(Register((self.bits - low) * products))
        return parts


def packed_bits(weights: np.ndarray, bits: int, style: Style) -> int:
    """Bits of stored weights that share blocks: one more where the least would have to lend."""
    return bits + (style.lanes > 1 and int(weights.min()) == -1 << (bits - 1))
