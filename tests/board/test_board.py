"""Board files: what comes with hwgen, and what a user may get wrong in one."""

import pytest

from hwgen.board import FAMILIES, board_names, load_board
from hwgen.errors import UserError

OWN = """
title = "Mine"
family = "ecp5"
device = "LFE5U-25F-6BG256C"
initialised = ["block"]
lut = { count = 24288, source = "data sheet" }
ff = { count = 24288, source = "data sheet" }
dsp = { count = 28, source = "data sheet" }
bram = { count = 56, source = "data sheet" }
clock = { mhz = 50, source = "assumed" }
"""


def test_names():
    assert board_names() == [
        "alveo_u250",
        "arty_a7_100t",
        "asic",
        "icebreaker",
        "kv260",
        "pynq_z2",
        "tang_nano_9k",
        "ulx3s",
        "zcu102",
        "zcu104",
    ]
    assert {load_board(name).family for name in board_names()} == set(FAMILIES)


@pytest.mark.parametrize("name", board_names())
def test_every_number_has_a_source(name):
    board = load_board(name)
    assert board.name == name and board.family in FAMILIES
    more = ["lutram"] * (board.lutram is not None)
    assert [field for field, _ in board.sources] == ["lut", "ff", "dsp", "bram", *more, "clock"]
    assert all(text for _, text in board.sources)


def test_numbers():
    ulx3s, zcu104 = load_board("ulx3s"), load_board("zcu104")
    assert (ulx3s.lut, ulx3s.ff, ulx3s.dsp, ulx3s.bram) == (83640, 83640, 156, 208)
    assert (zcu104.lut, zcu104.ff, zcu104.dsp, zcu104.bram) == (230400, 460800, 1728, 624)
    icebreaker = load_board("icebreaker")
    assert (icebreaker.lut, icebreaker.dsp, icebreaker.bram) == (5280, 8, 30)
    assert "SPRAM" in icebreaker.left_out[0] and "UltraRAM" in zcu104.left_out[0]
    assert "assumed" in dict(ulx3s.sources)["clock"]


def test_unknown_board_names_the_nearest():
    with pytest.raises(
        UserError, match=r"there is no board 'zcu14'; did you mean zcu104 or zcu102\?"
    ):
        load_board("zcu14")
    with pytest.raises(UserError, match=r"alveo_u250 or .* or zcu104"):
        load_board("nothing like it")


def test_own_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    board = load_board(path)
    assert (board.name, board.dsp, board.clock_mhz) == ("mine", 28, 50.0)
    assert board.lutram is None and load_board("tang_nano_9k").lutram == 270
    path.write_text(OWN + 'lutram = { count = 99, source = "counted" }\n')
    assert load_board(path).lutram == 99
    path.write_text(OWN)
    assert load_board(str(path)) == board


def test_every_mistake_is_named(tmp_path):
    path = tmp_path / "bad.toml"
    bad = "left_out = 3\n" + OWN.replace("24288", "-1", 1).replace('"ecp5"', '"ecp6"').replace(
        "mhz = 50, ", ""
    )
    path.write_text(bad.replace('title = "Mine"', "colour = 3"))
    with pytest.raises(UserError) as error:
        load_board(path)
    assert [str(problem).replace(str(path), "FILE") for problem in error.value.problems] == [
        "FILE: title is missing; give a text",
        "FILE: family is wrong; one of ice40, ecp5, gowin, xc7, xcup, asic",
        "FILE: left_out is wrong; a list of texts",
        "FILE: lut.count is wrong; a whole number, 0 or more",
        "FILE: clock.mhz is missing; a number of MHz above 0",
        "FILE: colour is unknown; remove it; known fields are bram, clock, device, dsp, family, "
        "ff, initialised, left_out, lut, lutram, title",
    ]


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_board(tmp_path / "none.toml")
    (tmp_path / "text.toml").write_text("no toml = at all")
    with pytest.raises(UserError, match="is not TOML"):
        load_board(tmp_path / "text.toml")


def test_case_does_not_matter():
    assert load_board("ULX3S") == load_board("ulx3s")
