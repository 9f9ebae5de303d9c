"""Products in every style: all operands at small widths, corners and random ones above."""

from collections import Counter
from itertools import product as pairs_of

import numpy as np
import pytest
from amaranth import Elaboratable, Module, Signal, signed
from amaranth.sim import Simulator

from hwgen.network import Conv2d, TensorType
from hwgen.network.types import range_of
from hwgen.rtl_templates import ConvSpec, WinogradSpec
from hwgen.rtl_templates.multiply import (
    BLOCK,
    SOFT,
    Products,
    Style,
    Weights,
    packed_bits,
)
from hwgen.rtl_templates.pipeline import split
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.styles import styles


class Alone(Elaboratable):
    """Products by themselves, each summed with its carry."""

    def __init__(self, products):
        self.products = products
        shape = signed(products.x_bits) if products.x_signed else products.x_bits
        self.x = [Signal(shape, name=f"x{n}") for n in range(products.pixels)]
        self.w = Signal(
            products.lanes * (1 if products.weights is Weights.SIGN else products.w_bits)
        )
        self.y = [
            Signal(signed(products.bits + 1)) for _ in range(products.pixels * products.lanes)
        ]

    def elaborate(self, platform):
        m = Module()
        made = multiplied(
            m,
            self.products,
            self.x,
            split(self.w, self.products.lanes, len(self.w) // self.products.lanes, True),
        )
        terms = [term for row in made for term in row]
        for y, (number, carry) in zip(self.y, terms, strict=True):
            m.d.comb += y.eq(number if carry is None else number + carry)
        assert sum(carry is not None for _, carry in terms) == self.products.carries
        return m


def check(products, x, w):
    """``x`` (cases, pixels) by ``w`` (cases, lanes), one case a cycle."""
    dut = Alone(products)
    width = len(dut.w) // products.lanes
    stored = products.encode(w) & ((1 << width) - 1)
    words = (stored.astype(object) << (np.arange(products.lanes) * width)).sum(1)
    expected = (x[:, :, None] * w[:, None, :]).reshape(len(x), -1)
    found = []

    async def bench(ctx):
        for n in range(len(x) + products.latency):
            if n < len(x):
                for signal, value in zip(dut.x, x[n], strict=True):
                    ctx.set(signal, int(value))
                ctx.set(dut.w, int(words[n]))
            await ctx.tick()
            found.append([ctx.get(y) for y in dut.y])

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert (np.array(found)[products.latency - 1 :][: len(x)] == expected).all()


def factors(products):
    """The least and the greatest one."""
    lo, hi = range_of(products.x_bits, products.x_signed)
    return lo + (products.x_signed and not products.x_least), hi


def everything(products):
    """Every pair of operands."""
    lo, hi = factors(products)
    xs = list(pairs_of(range(lo, hi + 1), repeat=products.pixels))
    bottom = -(1 << (products.w_bits - 1))
    kinds = {Weights.SIGN: (-1, 1), Weights.TERNARY: (-1, 0, 1)}
    least = bottom + (not products.soft and products.style.lanes > 1)
    values = kinds.get(products.weights, range(least, -bottom))
    ws = list(pairs_of(values, repeat=products.lanes))
    both = list(pairs_of(xs, ws))
    return np.array([x for x, _ in both]), np.array([w for _, w in both])


def corners(products, count=300):
    """Operands at the ends of their ranges, and random ones."""
    rng = np.random.default_rng(3)
    made = []
    low = -(1 << (products.w_bits - 1)) + (products.style.lanes > 1)
    for (lo, hi), places in (
        (factors(products), products.pixels),
        ((low, (1 << (products.w_bits - 1)) - 1), products.lanes),
    ):
        ends = rng.choice([lo, lo + 1, -1 if lo < 0 else 0, 0, 1, hi - 1, hi], (count, places))
        made.append(np.concatenate([ends, rng.integers(lo, hi + 1, (count, places))]))
    return made


SMALL = [
    *(Products(x, sign, w, style=style) for x in (1, 2, 3) for sign in (False, True)
      for w in (2, 3, 4, 5) for style in (BLOCK, SOFT)),
    *(Products(3, sign, 2, Weights.TERNARY, lanes=2) for sign in (False, True)),
    *(Products(3, sign, 1, Weights.SIGN, pixels=2) for sign in (False, True)),
    *(Products(2, sign, 3, style=Style(pixels=x, lanes=w), pixels=x, lanes=w)
      for sign in (False, True) for x, w in ((1, 2), (2, 1), (2, 2), (1, 3), (3, 1))),
    Products(3, True, 3, style=Style(pixels=2), pixels=3),
    *(Products(x, True, 3, style=Style(pixels=2, lanes=w), pixels=3, lanes=w, x_least=False)
      for x, w in ((2, 1), (3, 1), (2, 2))),
    Products(3, False, 3, style=Style(lanes=2), lanes=3),
]  # fmt: skip


@pytest.mark.parametrize("products", SMALL, ids=str)
def test_every_product(products):
    check(products, *everything(products))


LARGE = [
    Products(8, False, 8, style=Style(lanes=2), lanes=2),
    Products(8, True, 8, style=Style(pixels=2), pixels=2),
    Products(4, False, 4, style=Style(pixels=2, lanes=2), pixels=3, lanes=3),
    Products(10, True, 7, style=Style(pixels=2), pixels=2, x_least=False),
    Products(9, True, 8, style=Style(pixels=2), pixels=2),
    *(Products(x, sign, w, style=SOFT, pixels=2, lanes=2)
      for x, w in ((8, 8), (16, 16), (5, 11), (12, 3)) for sign in (False, True)),
]  # fmt: skip


@pytest.mark.parametrize("products", LARGE, ids=str)
def test_corners(products):
    check(products, *corners(products))


@pytest.mark.parametrize(
    "family, x, w, most",
    [
        ("xcup", 8, 8, 2),
        ("xc7", 8, 8, 2),
        ("ecp5", 8, 8, 1),
        ("xcup", 4, 4, 4),
        ("xc7", 4, 4, 4),
        ("ecp5", 4, 4, 2),
        ("ecp5", 3, 3, 4),
        ("xcup", 3, 3, 6),
        ("xcup", 16, 16, 1),
        ("ice40", 4, 4, 2),
        ("ice40", 3, 3, 4),
        ("gowin", 8, 8, 1),  # 9 x 9 is a block of its own
    ],
)
def test_as_many_as_fit(family, x, w, most):
    found = list(styles(Products(x, False, w, pixels=8, lanes=8), family))
    assert found[-1] == SOFT
    assert max(style.products for style in found) == most


def test_no_block_where_none_is_needed():
    assert list(styles(Products(8, False, 2, Weights.TERNARY), "ecp5")) == [BLOCK]
    assert Products(8, False, 2, Weights.TERNARY).soft
    assert list(styles(Products(8, False, 8), "asic")) == [BLOCK]
    assert list(styles(Products(4, False, 4), "xcup")) == [SOFT]


def test_the_least_weight_takes_another_bit_to_share_a_block():
    style = Style(lanes=2)
    assert packed_bits(np.array([-7, 7]), 4, style) == 4
    assert packed_bits(np.array([-8, 7]), 4, style) == 5
    assert packed_bits(np.array([-8, 7]), 4, SOFT) == 4


def test_nonsense_is_refused():
    for wrong in ({"pixels": 0}, {"soft": True, "lanes": 2}):
        with pytest.raises(ValueError, match="no way to make products"):
            Style(**wrong)


@pytest.mark.parametrize("kind", [ConvSpec, WinogradSpec])
def test_an_ice40_sums_no_products_that_synthesis_would_lose(kind):
    """Yosys' ice40_dsp takes the register of one product into two blocks, and drives one."""
    rng = np.random.default_rng(1)
    source, bias = TensorType((8, 8, 4), 8, False), np.arange(12)
    op = Conv2d(source, rng.integers(-7, 8, (12, 3, 3, 4)), bias, 4, padding=(1, 1, 1, 1))

    def single(family):
        """Of foldings that sum, how many have products with a block of their own, and not."""
        summed = [spec for spec in kind.foldings(op, family) if spec.in_lanes > 1]
        products = (getattr(s, "tap_products", None) or {(): s.products} for s in summed)
        return Counter(any(p.single for p in found.values()) for found in products)

    assert single("ice40")[False] > 0 and single("ice40")[True] == 0
    assert single("xc7")[True] > 0
