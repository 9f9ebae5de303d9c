"""Areas, and the rules by which multipliers become DSP blocks and memories block RAMs."""

import pytest

from hwgen.board import load_board
from hwgen.cost import Area, area, memory, multiply, total
from hwgen.cost.families import FAMILIES
from hwgen.primitives import (
    Accumulator,
    Adder,
    Around,
    Clip,
    Compare,
    Delay,
    Hold,
    Logic,
    Memory,
    Multiplier,
    Mux,
    Register,
)

ONE_OF_EACH = [
    Multiplier(8, 8),
    Multiplier(8, 1),
    Adder(3),
    Adder(20),
    Accumulator(12),
    Clip(12, 8, 2),
    Hold(8),
    Compare(8),
    Compare(8, constant=True),
    Mux(8, 4),
    Register(8),
    Delay(8, 3),
    Logic(2),
    Memory(1024, 36, "rom"),
    Memory(4096, 36, "ram"),
    Memory(32, 8, "rom"),
    Memory(32, 8, "ram"),
    Memory(16, 8, "lutram"),
]


def test_areas_add_and_compare_with_a_board():
    board = load_board("ulx3s")
    used = total([Area(1000, 10, 1, 2), Area(1, 2, 3, 4)])
    assert used == Area(1001, 12, 4, 6)
    assert used.fits(board) and not used.excess(board)
    large = used + Area(dsp=200)
    assert not large.fits(board)
    assert large.excess(board) == {"dsp": 204 - 156}
    assert large.share(board)["dsp"] == 204 / 156


def test_flip_flops_of_an_ice40_need_logic_cells_too():
    """nextpnr places the first, a digits_mlp, in 5,139 of 5,280 cells."""
    board = load_board("icebreaker")
    assert Area(3534, 2825).fits(board)
    assert Area(4000, 2825).excess(board) == {"lut": 4000 + 1695 - 5280}
    assert Area(4000, 2825).fits(load_board("ulx3s"))


def test_a_board_without_a_resource():
    asic = load_board("asic")
    assert Area().share(asic)["dsp"] == 0
    assert Area(dsp=1).share(asic)["dsp"] == float("inf")
    assert not Area(dsp=1).fits(asic)


@pytest.mark.parametrize("family", FAMILIES)
def test_area_is_a_sum_over_parts(family):
    apart = total(area([part], family) for part in ONE_OF_EACH)
    together = area(ONE_OF_EACH, family)
    assert (together.dsp, together.bram) == (apart.dsp, apart.bram)
    assert abs(together.lut - apart.lut) <= len(ONE_OF_EACH)
    assert together.lut > 0 and together.ff >= 8


def test_delays_are_shift_registers_where_luts_can_be():
    """As Yosys has them: from three flip-flops in a row on, up to 32 in a LUT."""
    for family in ("xc7", "xcup"):
        assert area([Delay(8, 2)], family) == area([Register(16)], family)
        assert area([Delay(8, 3)], family) == Area(lut=8)
        assert area([Delay(8, 33)], family) == Area(lut=16)
    assert area([Delay(8, 3)], "ecp5") == area([Register(24)], "ecp5")


def test_a_dsp48e1_takes_in_what_is_around_a_product():
    """Yosys uses the registers and the adder of a DSP48E1, but not those of a DSP48E2."""
    sums = (Accumulator(20, 2), Register(40))
    around = Around(signed=16, unsigned=18, before=18, product=32, sums=sums)
    parts = [Multiplier(9, 8, 2, product=16, around=around)]
    assert area(parts, "xc7") == Area(dsp=2)
    apart = [Multiplier(9, 8, 2, product=16), Register(16 + 18 + 18 + 32), *sums]
    assert area(parts, "xcup") == area(apart, "xcup")
    soft = [Multiplier(3, 2, 2, around=Around(unsigned=10))]  # too small for a block
    assert area(soft, "xc7").ff == area([Register(10)], "xc7").ff


def test_an_sb_mac16_takes_in_registers_of_signed_operands():
    rounding = (Adder(12, constant=True),)
    around = Around(signed=16, unsigned=14, before=16, product=22, rounding=rounding)
    whole = area([Multiplier(16, 15, product=30, around=around)], "ice40")
    assert whole == Area(ff=area([Register(14 + 16)], "ice40").ff, dsp=1)
    sliced = area([Multiplier(17, 15, product=31, around=around)], "ice40")
    outside = [Register(14 + 16 + 22), *rounding]
    assert sliced.ff == area(outside, "ice40").ff
    assert sliced.lut > area(outside, "ice40").lut  # the slice that is left to LUTs


def test_an_sb_mac16_adds_up_products_of_signed_factors():
    """Only what an accumulator starts from is chosen outside."""
    sums = (Accumulator(20, 2), Register(40))
    signed = Around(signed=32, product=36, sums=sums)
    whole = area([Multiplier(9, 9, 2, product=18, around=signed)], "ice40")
    assert whole == area([Mux(20, 2, 2)], "ice40") + Area(dsp=2)
    unsigned = Around(signed=18, unsigned=16, product=36, sums=sums)
    assert area([Multiplier(9, 9, 2, around=unsigned)], "ice40").ff > 40


def test_sums_of_several_terms_cost_a_row_of_full_adders_each():
    for family in FAMILIES:
        two, three, four = (area([Adder(20, 5, terms=n)], family).lut for n in (2, 3, 4))
        assert four - three > three - two > 0


def test_copies_of_a_memory_in_flip_flops_share_them():
    """Each word that is read takes LUTs to choose it, but not flip-flops of its own."""
    one, two = Memory(32, 8, "bank"), Memory(32, 8, "bank", 2)
    for family in ("ice40", "asic"):
        assert area([two], family).ff == area([one], family).ff
        assert area([two], family).lut > area([one], family).lut
    for family in ("ecp5", "gowin", "xc7", "xcup"):
        assert area([two], family) == area([one, one], family)


def test_a_constant_costs_a_gate_multiplier_its_ones_only():
    every, few = (area([Multiplier(16, 12, ones=ones)], "asic").lut for ones in (None, 3))
    assert few == pytest.approx(every / 4, rel=0.01)


def test_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family must be one of ice40, ecp5, gowin, xc7, xcup"):
        area([], "nexus")


# What Yosys 0.70 makes of them: the synth_ command of each family, as synth/yosys.py calls it.
@pytest.mark.parametrize(
    "a, b, ice40, ecp5, gowin, xc7, xcup",
    [
        (8, 1, 0, 0, 0, 0, 0),
        (2, 2, 0, 1, 0, 0, 0),
        (4, 4, 0, 1, 1, 0, 0),
        (5, 4, 0, 1, 1, 1, 1),
        (9, 9, 1, 1, 1, 1, 1),
        (18, 3, 1, 1, 0, 1, 1),
        (18, 18, 3, 1, 2, 1, 1),
        (19, 18, 3, 1, 2, 1, 1),
        (22, 4, 1, 2, 3, 1, 1),
        (22, 22, 4, 4, 8, 2, 2),
        (30, 17, 2, 2, 4, 2, 2),
        (36, 36, 8, 4, 8, 6, 6),
        (40, 10, 3, 3, 5, 2, 2),
    ],
)
def test_dsp_blocks(a, b, ice40, ecp5, gowin, xc7, xcup):
    expected = {"ice40": ice40, "ecp5": ecp5, "gowin": gowin, "xc7": xc7, "xcup": xcup, "asic": 0}
    for family, count in expected.items():
        assert area([Multiplier(a, b)], family).dsp == count
        assert area([Multiplier(b, a, 3)], family).dsp == 3 * count


def test_a_slice_too_narrow_for_a_block_goes_to_luts():
    assert multiply.split("ecp5", 19, 18) == (1, ((18, 1),))


@pytest.mark.parametrize(
    "depth, width, writable, ice40, ecp5, xcup",
    [
        (1024, 18, False, (5, 1), (1, 1), (1, 1)),
        (512, 36, True, (5, 1), (1, 1), (1, 1)),
        (512, 72, True, (9, 1), (2, 1), (2, 1)),
        (2304, 64, True, (36, 9), (10, 5), (10, 5)),
        (3000, 5, False, (4, 3), (1, 3), (1, 3)),
        (9000, 18, True, (41, 9), (9, 9), (9, 9)),
        (4096, 9, True, (9, 2), (2, 2), (2, 1)),
        (64, 20, True, (2, 1), (1, 1), (1, 1)),
    ],
)
def test_block_rams(depth, width, writable, ice40, ecp5, xcup):
    assert memory.blocks("ice40", depth, width, writable) == ice40
    assert memory.blocks("ecp5", depth, width, writable) == ecp5
    assert memory.blocks("xcup", depth, width, writable) == xcup


def test_small_memories_take_no_block():
    parts = [Memory(32, 8, "rom"), Memory(16, 8, "lutram")]
    for family in FAMILIES:
        assert area(parts, family).bram == 0
    assert area([Memory(16, 8, "lutram")], "ecp5").lut == 12


def test_memories_of_an_ice40_are_flip_flops_or_blocks():
    ff = area([Memory(16, 8, "lutram")], "ice40").ff
    assert ff == pytest.approx(128, rel=0.05)  # bits of the memory, by a constant that is fitted
    assert area([Memory(32, 8, "ram")], "ice40").bram == 1
    assert area([Memory(8, 8, "ram")], "ice40").bram == 0
    assert area([Memory(32, 8, "ram")], "ecp5").bram == 0
