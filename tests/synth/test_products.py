"""Products by Yosys: as many DSP blocks as the estimate says, whatever the style."""

import pytest
from amaranth import Elaboratable, Module, Signal, signed
from amaranth.back import verilog

from hwgen.cost import area
from hwgen.rtl_templates.multiply import Products, Weights
from hwgen.rtl_templates.pipeline import split
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.styles import styles
from hwgen.synth.yosys import synthesise

SHAPES = (
    Products(8, False, 8, pixels=2, lanes=3),
    Products(8, True, 8, pixels=2, lanes=1),
    Products(4, False, 4, pixels=2, lanes=3),
    Products(3, False, 3, pixels=2, lanes=2),
    Products(5, True, 4, pixels=3, lanes=1),
    Products(10, True, 7, pixels=2, x_least=False),
    Products(16, False, 16),
    Products(8, False, 2, Weights.TERNARY, lanes=2),
)


class Every(Elaboratable):
    """Several groups of products side by side, each with inputs of its own."""

    def __init__(self, cases):
        self.cases = cases
        self.x = [
            [Signal(signed(p.x_bits) if p.x_signed else p.x_bits) for _ in range(p.pixels)]
            for p in cases
        ]
        self.w = [Signal(p.lanes * p.w_bits) for p in cases]
        self.y = [[Signal(signed(p.bits + 1)) for _ in range(p.pixels * p.lanes)] for p in cases]

    @property
    def ports(self):
        return [*(s for some in (*self.x, *self.y) for s in some), *self.w]

    def elaborate(self, platform):
        m = Module()
        for products, x, w, y in zip(self.cases, self.x, self.w, self.y, strict=True):
            made = multiplied(m, products, x, split(w, products.lanes, products.w_bits, True))
            for signal, (number, carry) in zip(y, (t for row in made for t in row), strict=True):
                m.d.comb += signal.eq(number if carry is None else number + carry)
        return m


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40", "xc7", "xcup"])
def test_blocks_are_as_many_as_the_estimate_says(family, tmp_path):
    cases = [p.styled(style) for p in SHAPES for style in styles(p, family)]
    blocks = [area(p.primitives(), family).dsp for p in cases]
    assert {p.style.products for p in cases if blocks} > {1}
    assert all((n == 0) == p.soft for p, n in zip(cases, blocks, strict=True))
    dut = Every(cases)
    (tmp_path / "top.v").write_text(
        verilog.convert(dut, ports=dut.ports, name="top", strip_internal_attrs=True)
    )
    assert synthesise(tmp_path, "top", family).dsp == sum(blocks)
