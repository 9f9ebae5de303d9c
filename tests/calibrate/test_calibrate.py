"""Calibration: what is fitted to what, how good it is on record, and that nothing is done twice."""

import json
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from hwgen.calibrate import measure as measuring
from hwgen.calibrate import run
from hwgen.calibrate.chain import Chain
from hwgen.calibrate.corpus import KINDS, corpus, unseen
from hwgen.calibrate.fit import fit
from hwgen.calibrate.measure import design, measure
from hwgen.calibrate.page import markdown
from hwgen.calibrate.prior import prior
from hwgen.cost import Area, area, features
from hwgen.cost.families import FAMILIES as SHAPES
from hwgen.cost.model import of_features
from hwgen.errors import UserError
from hwgen.plan.text import PLUMBING
from hwgen.rtl_templates import ENGINES

RECORD = Path(__file__).parents[2] / run.AREA
STORED = json.loads(RECORD.read_text())


def test_the_corpus_has_all_plumbing_and_every_engine():
    """A network may be made of anything in these tables."""
    known = {kind.__name__ for some in ENGINES.values() for kind in some} | PLUMBING.keys()
    found = set()
    for _, _, spec in corpus("ecp5", 1):
        links = (spec.before, spec.after) if isinstance(spec, Chain) else (spec,)
        found |= {type(link).__name__ for link in links}
    assert found == known


@pytest.mark.parametrize("family", ["ice40", "xcup"])
def test_the_corpus_has_every_kind_and_stays_the_same(family):
    some = list(corpus(family, 1))
    assert Counter(kind for _, kind, _ in some) == dict.fromkeys(KINDS, 1)
    assert len({name for name, _, _ in some}) == len(some)
    more = [name for name, _, _ in corpus(family, 2)]
    assert {name for name, _, _ in some} < set(more)
    for _, _, spec in some:
        assert area(spec.primitives(), family).lut > 10


def test_fit_finds_constants_that_reproduce_what_was_measured():
    rng = np.random.default_rng(1)
    true = {"adder": 1.0, "mux": 0.5, "cell": 6.0, "product": 1.4}
    designs = [Counter({name: int(rng.integers(1, 200)) for name in true}) for _ in range(40)]
    measured = [of_features(found, true, {}) for found in designs]
    found = fit(designs, measured, "lut", "ecp5")
    assert all(abs(found[name] - value) < 0.05 for name, value in true.items())
    looks = prior("ecp5", "lut")
    assert found["cell"] == looks["cell"] == 6.0  # from the data sheet, so not fitted
    assert found["rom"] == looks["rom"]  # of what does not occur, nothing is learnt


def test_a_fit_does_not_depend_on_the_one_before(monkeypatch):
    some = [features(spec.primitives(), "gowin") for _, _, spec in corpus("gowin", 1)]
    measured = [of_features(found, SHAPES["gowin"].lut, SHAPES["gowin"].ff) for found in some]
    first = fit(some, measured, "lut", "gowin")
    changed = replace(SHAPES["gowin"], lut=first)
    monkeypatch.setitem(SHAPES, "gowin", changed)
    assert fit(some, measured, "lut", "gowin") == first


def test_what_is_tested_with_is_not_what_is_fitted_to():
    drawn = [
        {_key(spec) for _, _, spec in some}
        for some in (corpus("xc7", 2), unseen("xc7", 30, 1), unseen("xc7", 30, 2))
    ]
    again = {_key(spec) for _, _, spec in corpus("xc7", 2)}
    assert drawn[0] == again, "equal specs have equal keys"
    assert len(drawn[1]) == len(drawn[2]) == 30
    for one, other in combinations(drawn, 2):
        assert not one & other


def _key(value):
    """Equal for equal specs, whatever arrays they hold."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if is_dataclass(value):
        return type(value), tuple(_key(getattr(value, one.name)) for one in fields(value))
    return value


def test_a_design_is_synthesised_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path))
    spec = next(spec for _, kind, spec in corpus("ecp5", 2) if kind == "fork")
    made, calls, said = {"fork": design(spec, "ecp5")}, [], []

    def count(folder, top, family):
        calls.append(sorted(file.name for file in folder.iterdir()))
        return {"LUT4": 7, "TRELLIS_FF": 3}

    monkeypatch.setattr(measuring.yosys, "count_cells", count)
    for _ in range(2):
        found = measure(made, 1, lambda done, of: said.append((done, of)))
        assert found == {"fork": Area(7, 3)}
    assert len(calls) == 1 and "top.v" in calls[0]
    assert said == [(0, 1), (1, 1), (1, 1)]
    assert design(spec, "gowin").place != made["fork"].place


def test_what_was_measured_is_compared_and_fitted(tmp_path, monkeypatch):
    """With a synthesis that agrees with other constants, those are found."""
    wanted = {name: 2 * value for name, value in SHAPES["ecp5"].lut.items()}
    wanted["cell"] = SHAPES["ecp5"].lut["cell"]

    def measured(designs, jobs, progress):
        some = [*corpus("ecp5", 2), *unseen("ecp5", 40, 1)]
        specs = {name: spec for name, _, spec in some}
        found = {name: features(specs[name].primitives(), "ecp5") for name in designs}
        return {name: of_features(f, wanted, SHAPES["ecp5"].ff) for name, f in found.items()}

    monkeypatch.setattr(run, "measure", measured)
    monkeypatch.setattr(run, "design", lambda spec, family: None)
    monkeypatch.setattr(run, "networks", lambda *arguments: [])
    constants = tmp_path / "constants.json"
    constants.write_text('{"families": {}}')
    monkeypatch.setattr(run, "constants_file", lambda: constants)
    out = tmp_path / "area.json"
    found = run.calibrate(["ecp5"], 2, 40, out=out)["families"]["ecp5"]
    assert found == json.loads(out.read_text())["families"]["ecp5"]
    assert found["specs"] == 40 and found["fitted_to"]["specs"] == 2 * len(KINDS)
    names = [{row["spec"] for row in half["rows"]} for half in (found, found["fitted_to"])]
    assert not names[0] & names[1]
    assert found["lut_p90_error"] < 0.05 and found["dsp_mismatches"] == 0
    stored = json.loads(constants.read_text())["families"]["ecp5"]
    assert stored["expected_error"]["lut"] == found["lut_p90_error"]
    assert run.calibrate(["ecp5"], 2, 40, out=out, refit=False)["families"]["ecp5"] != found


def test_mistakes_are_told_before_anything_is_synthesised(tmp_path, monkeypatch):
    """A model that nobody knows is not passed over, like one too large, and a file is kept."""

    def reached(*arguments):
        raise AssertionError("a mistake got through")

    monkeypatch.setattr(run, "measure", reached)
    out = tmp_path / "notes.txt"
    out.write_text("mine")
    with pytest.raises(UserError) as told:
        run.calibrate(["ecp5"], models=["nope", "digits_mlp"], out=out)
    first, second = told.value.problems
    assert str(first) == f"{out} holds no comparison, so it is kept; give another --out"
    assert second.reason == "there is no network 'nope'"
    assert out.read_text() == "mine"


def test_the_error_that_is_shown_is_the_one_on_record():
    """After an estimate, "± N %"; nothing for a family that is not on record."""
    for family, shape in SHAPES.items():
        found = STORED["families"].get(family)
        expected = {r: found[f"{r}_p90_error"] for r in ("lut", "ff")} if found else {}
        assert shape.expected_error == expected


@pytest.mark.parametrize("family", STORED["families"])
def test_estimates_on_record_are_near(family):
    found = STORED["families"][family]
    assert found["specs"] >= 30
    assert (found["dsp_mismatches"], found["bram_mismatches"]) == (0, 0)
    assert found["ff_median_error"] <= 0.05
    assert found["lut_median_error"] <= 0.10 and found["lut_p90_error"] <= 0.20
    assert {k: found[k] for k in run.summary(found["rows"])} == run.summary(found["rows"])


def test_the_page_says_what_the_record_says():
    text = markdown(STORED, "area.png")
    assert text == RECORD.with_suffix(".md").read_text()
    assert STORED["command"] in text
