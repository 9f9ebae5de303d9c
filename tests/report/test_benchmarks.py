"""The benchmark's own code: steps are not measured twice, and the table says what the JSON says."""

import importlib
import json
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
RESULTS = HOME / "docs" / "benchmarks"

sys.path.insert(0, str(HOME))


def module(name: str):
    """A module of ``benchmarks/``, which is not installed."""
    return importlib.import_module(f"benchmarks.{name}")


def test_a_step_is_measured_once(tmp_path):
    file, count = tmp_path / "new" / "steps.json", []

    def measure():
        count.append(1)
        return {"cycles": 7, "pair": (1, 2)}

    steps = module("steps").Steps
    first = steps(file)
    expected = {"cycles": 7, "pair": [1, 2]}
    assert first("simulate", "aa", measure) == first("simulate", "aa", measure) == expected
    assert steps(file)("simulate", "aa", measure) == expected and len(count) == 1
    steps(file)("simulate", "bb", measure)
    assert len(count) == 2, "another design is measured anew"
    steps(file, fresh=True)("simulate", "aa", measure)
    assert len(count) == 3


def test_a_step_that_fails_is_not_kept(tmp_path):
    def broken():
        raise RuntimeError("no tool")

    steps = module("steps").Steps(tmp_path / "steps.json")
    with pytest.raises(RuntimeError, match="no tool"):
        steps("route", "aa", broken)
    assert steps("route", "aa", lambda: 1) == 1


def test_rows_keep_the_machine_and_the_tools_that_measured_them(tmp_path, monkeypatch):
    command, file = module("command"), tmp_path / "rows.json"

    def measured_with(version, name):
        here = {"machine": {"processor": "slow"}, "tools": {"verilator": version}}
        monkeypatch.setattr(command, "stamp", lambda: here)
        known = json.loads(file.read_text())["rows"] if file.exists() else {}
        rows = known | {name: command.stamped(file, {"cycles": 7})}
        command.keep(file, "it", {".md": lambda found: command.made_on(found, "rows")}, rows=rows)
        return json.loads(file.read_text())

    measured_with("5.1", "a")
    found = measured_with("5.2", "b")
    assert found["tools"] == {"verilator": "5.1"} and found["rows"]["a"] == {"cycles": 7}
    assert found["rows"]["b"]["tools"] == {"verilator": "5.2"}
    assert file.with_suffix(".md").read_text() == "Verilator 5.1 on slow and 5.2 on slow"
    assert command.measured_here(file, found["rows"]["b"])
    assert not command.measured_here(file, found["rows"]["a"])
    assert measured_with("5.1", "b")["rows"] == {"a": {"cycles": 7}, "b": {"cycles": 7}}


@pytest.mark.parametrize("name", ["winograd", "srbs"])
def test_committed_pages_are_those_of_the_committed_data(name):
    found = json.loads((RESULTS / f"{name}.json").read_text())
    assert module(f"{name}_table").markdown(found) == (RESULTS / f"{name}.md").read_text()


def test_committed_table_is_that_of_the_committed_data():
    found = json.loads((RESULTS / "main.json").read_text())
    assert module("table").markdown(found) == (RESULTS / "main.md").read_text()
    for network in found["networks"].values():
        for board in network["boards"].values():
            assert board["bit_exact"] and board["every_frame_on_time"]
            for pair in board["cycles"].values():
                assert pair["estimated"] == pair["simulated"]


@pytest.mark.parametrize("name", ["winograd", "srbs"])
def test_committed_layers_are_exact_and_as_fast_as_foretold(name):
    rows = json.loads((RESULTS / f"{name}.json").read_text())["layers"]
    assert rows
    for row in rows:
        assert row["bit_exact"] and row["simulated_cycles"] == row["foretold_cycles"], row
        if row["in_channels"] >= 16 and row["multipliers"] >= 256:
            assert row["simulated_cycles"] <= 1.05 * row["ideal_cycles"], row


def test_committed_networks_with_winograd_forced_are_exact():
    rows = json.loads((RESULTS / "winograd.json").read_text())["networks"]
    ways = {(row["network"], row["engine"]) for row in rows}
    assert {name for name, _ in ways} >= {"fashion_cnn", "cifar_resnet8"} and len(ways) == 4
    for row in rows:
        assert row["by_winograd"] == row["eligible"] > 0, row
        assert row["bit_exact"] and row["cycles_exact"], row


def test_committed_comparison_with_nngen_meets_its_bars():
    networks = json.loads((RESULTS / "nngen.json").read_text())["networks"]
    assert len(networks) == 2
    for row in networks.values():
        assert row["bit_exact"] and row["every_frame_on_time"]
        assert row["interval"]["estimated"] == row["interval"]["simulated"]
        assert row["ratios"]["lut_cycles_less"] >= 20 and row["ratios"]["per_dsp_more"] >= 2


def test_whole_sparse_networks_are_exact_and_reach_what_was_aimed_at():
    found = json.loads((RESULTS / "srbs.json").read_text())["networks"]
    aims = module("srbs_table").WHOLE
    assert found.keys() == aims.keys()
    for name, some in found.items():
        assert some["bit_exact"] and some["interval_simulated"] == some["interval_planned"]
        assert some["latency_simulated"] == some["latency_planned"]
        assert some["speedup_over_dense_winograd"] >= aims[name]
        sparse, dense = (
            some[f"{way}multipliers"] * some[f"{way}interval{end}"]
            for way, end in (("", "_simulated"), ("dense_winograd_", ""))
        )
        assert round(dense / sparse, 2) == some["speedup_over_dense_winograd"]


def test_the_readme_says_what_is_on_record():
    text = (HOME / "README.md").read_text().partition("## What it costs")[2]
    networks = json.loads((RESULTS / "srbs.json").read_text())["networks"]
    for row in networks.values():
        assert row["bit_exact"] and row["cycles_exact"]
        assert row["interval_simulated"] == row["interval_planned"]
        assert f"{row['interval_simulated']:,}" in text
        assert f"{row['speedup_over_dense_winograd']:.1f}" in text
    for row in json.loads((RESULTS / "nngen.json").read_text())["networks"].values():
        assert f"{row['ratios']['per_dsp_more']:.1f}" in text
    families = json.loads((RESULTS / "area.json").read_text())["families"].values()
    for end in (min, max):
        assert f"{100 * end(row['lut_median_error'] for row in families):.2g}" in text
        assert f"{100 * end(row['lut_p90_error'] for row in families):.0f}" in text
    assert not any(row["dsp_mismatches"] or row["bram_mismatches"] for row in families)
