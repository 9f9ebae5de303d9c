"""Areas, and the rules by which multipliers become DSP blocks and memories block RAMs."""

import pytest

from hwgen.board import load_board
from hwgen.cost import Area, area, memory, multiply, total
from hwgen.cost.families import FAMILIES
from hwgen.primitives import Adder, Compare, Logic, Memory, Multiplier, Mux, Register

ONE_OF_EACH = [
    Multiplier(8, 8),
    Multiplier(8, 1),
    Adder(3),
    Adder(20),
    Compare(8),
    Compare(8, constant=True),
    Mux(8, 4),
    Register(8),
    Logic(2),
    Memory(1024, 36, "rom", "block"),
    Memory(4096, 36, "ram", "block"),
    Memory(32, 8, "rom", "distributed"),
    Memory(32, 8, "ram", "distributed"),
    Memory(16, 8, "lutram", "distributed"),
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


def test_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family must be one of ecp5, xcup, asic"):
        area([], "ice40")


# What Yosys 0.70 makes of them: synth_ecp5, and synth_xilinx -family xcup.
@pytest.mark.parametrize(
    "a, b, ecp5, xcup",
    [
        (8, 1, 0, 0),
        (2, 2, 1, 0),
        (4, 4, 1, 0),
        (5, 4, 1, 1),
        (18, 18, 1, 1),
        (19, 18, 1, 1),
        (20, 18, 2, 1),
        (27, 18, 2, 1),
        (28, 18, 2, 2),
        (34, 34, 4, 4),
        (40, 10, 3, 2),
    ],
)
def test_dsp_blocks(a, b, ecp5, xcup):
    assert area([Multiplier(a, b)], "ecp5").dsp == ecp5
    assert area([Multiplier(b, a, 3)], "ecp5").dsp == 3 * ecp5
    assert area([Multiplier(a, b)], "xcup").dsp == xcup
    assert area([Multiplier(a, b)], "asic").dsp == 0


def test_a_slice_too_narrow_for_a_block_goes_to_luts():
    assert multiply.split(multiply.ECP5, 19, 18) == (1, ((1, 18),))


@pytest.mark.parametrize(
    "depth, width, writable, ecp5, xcup",
    [
        (1024, 18, False, (1, 1), (1, 1)),
        (512, 36, True, (1, 1), (1, 1)),
        (512, 72, True, (2, 1), (2, 1)),
        (2304, 64, True, (10, 5), (10, 5)),
        (3000, 5, False, (1, 3), (1, 3)),
        (9000, 18, True, (9, 9), (9, 9)),
        (4096, 9, True, (2, 2), (2, 1)),
    ],
)
def test_block_rams(depth, width, writable, ecp5, xcup):
    assert memory.blocks(memory.ECP5, depth, width, writable) == ecp5
    assert memory.blocks(memory.XCUP, depth, width, writable) == xcup


def test_small_memories_take_no_block():
    parts = [Memory(32, 8, "rom", "distributed"), Memory(16, 8, "lutram", "distributed")]
    for family in FAMILIES:
        assert area(parts, family).bram == 0
    assert area([Memory(16, 8, "lutram", "distributed")], "ecp5").lut == 12
