"""Estimates against the synthesis results on record: no tool runs."""

from pathlib import Path

import pytest

from hwgen.cost import Area
from hwgen.cost.families import FAMILIES
from hwgen.synth import calibrate

RECORD = Path(__file__).parents[2] / calibrate.RESULT


@pytest.fixture(scope="module")
def errors():
    return calibrate.summarise(calibrate.compare(calibrate.stored(RECORD)))


@pytest.mark.parametrize("family", ["ecp5", "xcup", "asic"])
def test_estimates_are_near(errors, family):
    found = errors[family]
    assert found["specs"] == len(dict(calibrate.corpus()))
    assert found["lut_median"] < 0.15 and found["ff_median"] < 0.15


@pytest.mark.parametrize("family", ["ecp5", "xcup", "asic"])
def test_blocks_are_exact(errors, family):
    assert (errors[family]["dsp_wrong"], errors[family]["bram_wrong"]) == (0, 0)


def test_fit_finds_constants_that_reproduce_what_was_measured():
    specs = [spec for name, spec in calibrate.corpus() if name.startswith(("max", "fifo"))]
    truth = [calibrate.area(spec.primitives(), "ecp5") for spec in specs]
    found = calibrate.fit(specs, truth, "ecp5", "lut")
    present = FAMILIES["ecp5"].lut
    assert all(abs(found[name] - present[name]) < 0.05 for name in ("adder", "mux", "cell"))


def test_a_record_without_a_file_is_empty(tmp_path):
    assert calibrate.stored(tmp_path / "none.json") == {}
    rows = calibrate.compare({("ecp5", "fifo 4, 2 deep"): Area(70, 6), ("ecp5", "gone"): Area()})
    assert [row["spec"] for row in rows] == ["fifo 4, 2 deep"]
    calibrate.write(rows, tmp_path / "area.json")
    assert calibrate.stored(tmp_path / "area.json") == {("ecp5", "fifo 4, 2 deep"): Area(70, 6)}
