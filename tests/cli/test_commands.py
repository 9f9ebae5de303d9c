"""What each command prints when all goes well, and when a tool is missing or a verdict is bad."""

import json
import sys

import numpy as np
import pytest

from hwgen import doctor
from hwgen.cost.families import FAMILIES
from hwgen.report import record

COMMANDS = ("", "build", "sim", "estimate", "sweep", "calibrate", "boards", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_help(run, snapshot, command):
    outcome = run(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    snapshot(f"{command or 'hwgen'}.txt", outcome.out)


def holds_every_key(report: dict) -> None:
    """Keys that scripts may rely on; what was not measured is null."""
    assert {"bit_exact", "frames", "fifos"} <= report.keys()
    assert report["accuracy"].keys() >= {"float", "integer", "images"}
    for name in ("interval", "latency"):
        assert report["cycles"][name].keys() >= {"estimated", "simulated"}
        assert type(report["cycles"][name]["estimated"]) is int
    for name in ("estimated", "synthesized"):
        assert report["area"][name].keys() >= {"lut", "ff", "dsp", "bram"}
    throughput = report["throughput"]
    assert throughput.keys() >= {"clock_mhz", "clock_source", "frames_per_second"}
    assert 0 < report["utilisation"]["multipliers"] <= 1
    assert isinstance(report["fifos"], dict)


def test_build(run, stranger, snapshot):
    outcome = run("build", "nets.py:small", "--out", "new", "--bits", "4")
    assert (outcome.code, outcome.err) == (0, ""), "progress is for terminals"
    assert outcome.out.startswith("small on Radiona ULX3S with ECP5-85F\nagreement    ")
    assert " % of 8 images, for which integers and floats choose the same\n" in outcome.out
    assert outcome.out.endswith("\nfits\n\nwritten to new; next: hwgen sim new\n")
    assert not [path for path in stranger.iterdir() if path.name.startswith(".")]


def test_build_as_json(run, stranger):
    outcome = run("build", "nets.py:small", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    holds_every_key(report)
    assert report == record.read(stranger / "build" / "small")
    assert report["bit_exact"] is report["frames"] is None
    assert report["cycles"]["interval"]["simulated"] is None
    assert set(report["area"]["synthesized"].values()) == {None}
    accuracy = report["accuracy"]
    assert accuracy["float"] is accuracy["integer"] is None  # there are no labels
    assert 0 <= accuracy["agreement"] <= 100 and accuracy["images"] == 8
    assert report["throughput"]["clock_source"] == "assumed"


def test_labels_that_come_with_the_data(run, stranger):
    with np.load(stranger / "good.npz") as file:
        images = file["images"]
    np.savez(stranger / "labelled.npz", images=images, labels=np.arange(8) % 3)
    outcome = run("estimate", "nets.py:small", "--calibrate", "labelled.npz")
    assert " % as integers, " in outcome.out and " % in float, on 8 images\n" in outcome.out
    np.savez(stranger / "labelled.npz", images=images, labels=np.arange(8))
    outcome = run("estimate", "nets.py:small", "--calibrate", "labelled.npz")
    assert (outcome.code, outcome.err) == (
        2,
        "error: a label is 7, and the network has 3 outputs; number the classes from 0 to 2\n",
    )


def test_force_replaces_a_build_and_nothing_else(run, stranger):
    (stranger / "built" / "old.txt").write_text("from the older build")
    assert run("build", "nets.py:small", "--out", "built", "--force").code == 0
    assert not (stranger / "built" / "old.txt").exists()
    (stranger / "built" / "manifest.json").unlink()
    outcome = run("build", "nets.py:small", "--out", "built", "--force")
    assert outcome.code == 2
    assert outcome.err == (
        "error: built exists and is not a build of hwgen, so it is kept; give another --out\n"
    )
    assert (stranger / "built" / "plan.json").exists()


def test_a_board_file_of_the_users_own(run, stranger):
    from importlib.resources import files

    text = files("hwgen.boards").joinpath("ulx3s.toml").read_text()
    (stranger / "mine.toml").write_text(text.replace("Radiona ULX3S", "My board"))
    assert run("build", "nets.py:small", "--board", "mine.toml", "--out", "new").code == 0
    outcome = run("estimate", "new")
    assert (outcome.code, outcome.err) == (0, "")
    assert "small on My board" in outcome.out


def test_estimate(run):
    tables = [run("estimate", *what) for what in (["built"], ["nets.py:small"])]
    assert tables[0] == tables[1]
    assert tables[0].code == 0
    names = [line.split()[0] for line in tables[0].out.split("\n\n")[0].splitlines()]
    assert [name for name in names if "convert" not in name] == [
        "layer", "0", "0.requantise", "2", "4", "4.requantise"
    ]  # fmt: skip
    report = json.loads(run("estimate", "built", "--json").out)
    holds_every_key(report)
    assert all(row["reason"] for row in report["layers"])
    assert report["area"]["expected_error"] == FAMILIES["ecp5"].expected_error
    assert tables[0].out.count("±") == 2


def test_estimate_says_how_far_off_it_may_be(run):
    """Of a calibrated family, how far off nine of ten estimates are at the most."""
    outcome = run("estimate", "nets.py:small")
    report = json.loads(run("estimate", "nets.py:small", "--json").out)
    expected = FAMILIES["ecp5"].expected_error
    assert report["area"]["expected_error"] == expected
    for name in ("lut", "ff"):
        used = report["area"]["estimated"][name]
        assert f" {used:,} ± {100 * expected[name]:.0f} % " in outcome.out
    assert outcome.out.count("±") == 2, "blocks are exact"


def test_sim(run):
    outcome = run("sim", "built", "--frames", "4")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("no stalls: bit-exact over 4 frames and ")
    assert lines[1].startswith("random stalls: bit-exact over 4 frames and ")
    assert lines[-1] == "all 4 frames ended in the cycle foretold"
    report = json.loads(run("sim", "built", "--json").out)
    holds_every_key(report)
    assert (report["bit_exact"], report["frames"]) == (True, 8)
    for pair in report["cycles"].values():
        assert pair["simulated"] == pair["estimated"]


def test_boards(run):
    names = [row["name"] for row in json.loads(run("boards", "--json").out)]
    assert {"asic", "icebreaker", "ulx3s", "zcu104"} <= set(names)
    listed = run("boards").out.splitlines()
    assert [line.split()[0] for line in listed[1 : len(names) + 1]] == names
    assert "icebreaker leaves out 4 SPRAM blocks" in "".join(listed)


def test_doctor(run, monkeypatch):
    rows = [doctor.Row("make", "builds", "ok"), doctor.Row("iverilog", "checks", "missing", "", "",
            "apt install iverilog", True)]  # fmt: skip
    monkeypatch.setattr(doctor, "examine", lambda: rows)
    outcome = run("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == "iverilog: apt install iverilog"
    rows.append(doctor.Row("perl", "starts Verilator", "missing", remedy="apt install perl"))
    assert run("doctor").code == 1
    assert json.loads(run("doctor", "--json").out)[2]["remedy"] == "apt install perl"


@pytest.mark.parametrize("tool", ["c++", "verilator"])
def test_sim_without_a_tool(run, monkeypatch, tmp_path, tool):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    if tool == "c++":
        monkeypatch.setenv("CXX", "c++")
    monkeypatch.setenv("PATH", str(tmp_path))
    if tool == "verilator":
        monkeypatch.setattr(sys.modules["hwgen.sim.verilator"].importlib.util, "find_spec", _none)
        monkeypatch.setenv("CXX", sys.executable)
    outcome = run("sim", "built")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == f"error: {tool} is not installed; hwgen doctor says how to get it\n"


def _none(name, package=None):
    return None


def test_a_wrong_weight_is_found(run, stranger):
    """Not a mistake of the user's, so exit code 1; the layer is named."""
    from hwgen.manifest import read_manifest, sha256

    memory = stranger / "built" / "rtl" / "n_4_weights.hex"
    words = [f"{int(word, 16) ^ 64:0{len(word)}x}" for word in memory.read_text().split()]
    memory.write_text("\n".join(words) + "\n")
    outcome = run("sim", "built")
    assert outcome.code == 2
    assert outcome.err == (
        "error: built is not what hwgen built: rtl/n_4_weights.hex changed or missing; "
        "build it anew\n"
    )
    folder = stranger / "built"
    old = read_manifest(folder).hashes["rtl/n_4_weights.hex"]
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(old, sha256(memory)))
    outcome = run("sim", "built", "--frames", "2")
    assert outcome.code == 1
    assert outcome.out.startswith("no stalls: NOT bit-exact: ")
    assert outcome.out.splitlines()[1].startswith("  4: frame 0, row 0, column 0, channel ")
