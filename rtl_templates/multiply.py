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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from itertools import product as pairs_of
from math import ceil

import numpy as np
from amaranth import C, Cat, Mux
from amaranth.hdl import Value

from hwgen.cost.multiply import RULES, split
from hwgen.primitives import Adder, Around, Delay, Logic, Multiplier, Part, Register, SoftProduct
from hwgen.rtl_templates.adders import Term, plus
from hwgen.rtl_templates.pipeline import register

__all__ = ["BLOCK", "SOFT", "Products", "Style", "Weights", "lost", "packed_bits", "styles"]


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


#: Factors, or weights, of one block that are tried.
MOST = 6

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
    products are bits that mean the same, without a carry (``counted``).
    """

    x_bits: int
    x_signed: bool
    w_bits: int
    weights: Weights = Weights.INTEGER
    style: Style = BLOCK
    pixels: int = 1
    lanes: int = 1
    x_bipolar: bool = False

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
    def _blocks(self) -> list[tuple[range, range]]:
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
        wide = (x - 1) * w * self.bits + self.x_bits + (x > 1 or not self.x_signed)
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
            parts.append(Adder(self.x_bits + 1, lent * count))
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

    # Hardware

    def build(self, m, x: Sequence, w: Sequence) -> list[list[Term]]:
        """Every product [pixel][lane] of factors ``x`` and stored weights ``w``, ``latency`` cycles
        later."""
        if self.soft:
            return self._build_soft(m, x, w)
        if self.latency > 1:
            w = [register(m, weight) for weight in w]
        factors: dict[tuple[range, int], Value] = {}
        made: list[list[Term]] = [[(C(0), None)] * self.lanes for _ in x]
        for pixels, lanes in self._blocks:
            apart = len(lanes) * self.bits
            if (pixels, apart) not in factors:
                factors[pixels, apart] = self._pack(m, [x[n] for n in pixels], apart)
            weights = _side_by_side([w[n] for n in lanes], self.bits).as_signed()
            product = register(m, (factors[pixels, apart] * weights)[: len(pixels) * apart])
            for field, (pixel, lane) in enumerate(pairs_of(pixels, lanes)):
                start = field * self.bits
                number = product[start : start + self.bits].as_signed()
                made[pixel][lane] = number, product[start - 1] if start else None
        return made

    def _pack(self, m, x, apart: int):
        """One operand of factors that lie ``apart`` bits apart."""
        if not self.x_signed:
            return _side_by_side(x, apart)
        packed = [x[0]]
        for factor in x[1:]:
            packed.append(factor - packed[-1][-1])  # the lower one borrows if it is negative
        operand = _side_by_side(packed, apart).as_signed()
        return register(m, operand) if self.latency > 1 else operand

    def _build_soft(self, m, x, w):
        if self.counted:
            return [[(~(factor[0] ^ weight[0]), None) for weight in w] for factor in x]
        if self.x_bipolar:
            minus = [~factor[0] for factor in x]
            carries = [register(m, negative) for negative in minus]
            return [
                [(register(m, _complement(weight, negative)), carry) for weight in w]
                for negative, carry in zip(minus, carries, strict=True)
            ]
        made = [[(None, None)] * self.lanes for _ in x]
        carries = [~weight[0] if self.weights is Weights.SIGN else weight[1] for weight in w]
        for stage in range(self.latency):
            last = stage + 1 == self.latency
            carries = [register(m, carry) for carry in carries]
            for pixel, lane in pairs_of(range(self.pixels), range(self.lanes)):
                total = self._add_digits(x[pixel], w[lane], made[pixel][lane][0], stage)
                bits = self.bits if last else self.x_bits + 4 * (stage + 1)
                made[pixel][lane] = register(m, _fit(total, bits)), carries[lane]
            if not last:
                x = [register(m, factor) for factor in x]
                w = [register(m, weight) for weight in w]
        return made

    def _add_digits(self, x, w, total, stage: int):
        """``total``, and what the two digits of ``stage`` add to it."""
        for digit in range(2 * stage, min(2 * stage + 2, self.rows)):
            row, negative = self._row(x, w, digit)
            if digit == 0:
                total = row
            else:
                upper = plus(total[2 * digit :].as_signed(), row, negative)
                total = Cat(total[: 2 * digit], upper).as_signed()
        return total

    def _row(self, x, w, digit: int):
        """A digit times ``x``, less one if the digit is negative; and whether it is."""
        factor = Cat(x, x[-1] if self.x_signed else C(0, 1)).as_signed()
        if self.weights is Weights.SIGN:
            return _complement(factor, ~w[0]), ~w[0]
        if self.weights is Weights.TERNARY:
            return _complement(Mux(w[0], factor, 0), w[1]), w[1]
        below = w[2 * digit - 1] if digit else C(0, 1)
        low, high = w[2 * digit], w[min(2 * digit + 1, self.w_bits - 1)]
        one, two = low ^ below, (high ^ low) & ~(low ^ below)
        double = Cat(C(0, 1), factor).as_signed()
        return _complement(Mux(one, factor, 0) | Mux(two, double, 0), high), high


def lost(products: Products, terms: int, family: str) -> bool:
    """Whether synthesis loses some of the products when ``terms`` of them are summed.

    Yosys' ``ice40_dsp`` (0.70) moves the register of a product into the product's block, and, with
    the adder that reads it, into the block of another product as well, which then adds what nothing
    drives. Products that share a block come with carries, and their adders stay outside.
    """
    return family == "ice40" and terms > 1 and products.single > 0


def styles(products: Products, family: str) -> Iterator[Style]:
    """Styles that are worth considering for ``products`` on ``family``: a DSP block each; packed,
    where that takes fewer blocks; in LUTs. Where there are no blocks, synthesis multiplies."""
    if products.w_bits <= 2 or products.x_bipolar or not RULES[family]:
        yield BLOCK
        return
    single = replace(products, pixels=1, lanes=1, style=BLOCK)
    ways = [
        (ceil(products.pixels / style.pixels) * ceil(products.lanes / style.lanes) * units, style)
        for style, units in _packings(single, family)
        if style.pixels <= products.pixels and style.lanes <= products.lanes
    ]
    if ways and ways[0][1] == BLOCK:
        yield BLOCK
    best = min(ways, key=lambda way: way[0], default=(0, BLOCK))[1]
    if best != BLOCK:
        yield best
    yield SOFT


@cache
def _packings(single: Products, family: str) -> list[tuple[Style, int]]:
    """Every style by which whole products fit into one block, fewest of them first, and how many of
    the family's blocks that counts as."""
    found = []
    for x, w in pairs_of(range(1, MOST + 1), repeat=2):
        style = Style(pixels=x, lanes=w)
        blocks = replace(single, pixels=x, lanes=w, style=style).blocks(family)
        if blocks is not None:
            found.append((style, blocks))
    return sorted(found, key=lambda way: way[0].products)


def packed_bits(weights: np.ndarray, bits: int, style: Style) -> int:
    """Bits of stored weights that share blocks: one more where the least would have to lend."""
    return bits + (style.lanes > 1 and int(weights.min()) == -1 << (bits - 1))


def _side_by_side(numbers, apart: int):
    """``numbers`` with ``apart`` bits from one to the next, each extended as its sign asks."""
    return Cat(*(_fit(number, apart) for number in numbers[:-1]), numbers[-1])


def _fit(number, bits: int):
    """``number`` in ``bits`` bits."""
    if len(number) > bits:
        low = number[:bits]
        return low.as_signed() if number.shape().signed else low
    fill = number[-1] if number.shape().signed else C(0, 1)
    wide = Cat(number, fill.replicate(bits - len(number)))
    return wide.as_signed() if number.shape().signed else wide


def _complement(number, when):
    """``number``, or its complement."""
    return (number ^ when.replicate(len(number)))[: len(number)].as_signed()
