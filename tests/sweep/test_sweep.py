"""A sweep from the outside: its table, its files, and what a killed one leaves."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from hwgen.cli.commands import main
from hwgen.sweep.run import STORE, sweep
from hwgen.sweep.table import COLUMNS

WEIGHTS, ACTIVATIONS, BOARDS = "2..3,5", "4,6", "ulx3s,zcu104"
POINTS, ROWS = 6, 12
ASKED = ["--weights", WEIGHTS, "--activations", ACTIVATIONS, "--boards", BOARDS]
NET = ["sweep", "nets.py:tiny", "--test", "test.npz"]


def finished(store: Path) -> int:
    """Results in a store, which may not be there yet."""
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
            (count,) = database.execute("SELECT count(*) FROM results").fetchone()
        return count
    except sqlite3.Error:
        return 0


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_table(whole):
    made, _ = whole
    assert [(row["board"], row["weights"], row["activations"]) for row in made.rows] == [
        (board, w, a) for board in ("ulx3s", "zcu104") for w in (2, 3, 5) for a in (4, 6)
    ]
    assert made.images == 200
    assert made.accuracy_float == pytest.approx(90, abs=10)
    for row in made.rows:
        assert tuple(row) == COLUMNS
        assert row["fits"] and row["lacking"] is None
        assert row["interval_estimated"] <= row["latency_estimated"]
        board = next(board for board in made.boards if board.name == row["board"])
        rate = board.clock_mhz * 1e6 / row["interval_estimated"]
        assert row["frames_per_second"] == pytest.approx(rate, abs=0.01)
        assert 0 < row["lut_estimated"] <= board.lut
        assert row["lut_synthesized"] is None and row["bit_exact"] is None
    # The integers know nothing of the board.
    assert [row["accuracy"] for row in made.on(made.boards[0])] == [
        row["accuracy"] for row in made.on(made.boards[1])
    ]
    best = max(row["accuracy"] for row in made.rows)
    assert all(
        any(r["accuracy"] == best and r[f"pareto_{axis}"] for r in made.rows)
        for axis in ("lut", "dsp", "fps")
    )


def test_files(whole):
    made, files = whole
    folder = files[0].parent
    plots = [f"pareto-{board}.{kind}" for board in ("ulx3s", "zcu104") for kind in ("svg", "png")]
    tables = ["sweep.csv", "sweep.parquet", "sweep.json"]
    assert [file.name for file in files] == [*tables, *plots]
    assert parquet.read_table(folder / "sweep.parquet").to_pylist() == list(made.rows)
    with open(folder / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS
    for line, row in zip(rows, made.rows, strict=True):
        assert tuple(line) == COLUMNS
        assert float(line["accuracy"]) == row["accuracy"]
        assert int(line["lut_estimated"]) == row["lut_estimated"]
        assert line["fits"] == "true" and line["lacking"] == line["bit_exact"] == ""
    assert json.loads((folder / "sweep.json").read_text()) == json.loads(json.dumps(made.to_json()))
    assert (folder / "pareto-ulx3s.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "pareto-zcu104.svg").read_text()


def test_killed_and_resumed(place, whole):
    """SIGKILL in the middle: no process is left, the results are, and the table is the same."""
    out = place / "killed"
    command = "from hwgen.cli import main; main(prog_name='hwgen')"
    process = subprocess.Popen(
        [sys.executable, "-c", command, *NET, *ASKED, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while finished(out / STORE) < 3:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        process.kill()
        process.wait(30)
        for _ in range(1000):
            if not alive(process.pid):
                break
            time.sleep(0.01)
        assert not alive(process.pid), "workers outlive the sweep"
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    kept = finished(out / STORE)
    assert 3 <= kept < ROWS + POINTS
    assert not (out / "sweep.csv").exists()
    told: list[int] = []
    made, files = sweep(
        "nets.py:tiny",
        WEIGHTS,
        ACTIVATIONS,
        BOARDS,
        out=out,
        test="test.npz",
        jobs=1,
        progress=lambda what, done, of: told.append(done),
    )
    assert told[0] == kept and told[-1] == ROWS + POINTS
    assert made == whole[0]
    for one, other in zip(files, whole[1], strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_interrupted(place):
    """Ctrl-C: exit code 130, and a store that goes on."""
    out = place / "interrupted"
    command = "from hwgen.cli import main; main(prog_name='hwgen')"
    process = subprocess.Popen(
        [sys.executable, "-c", command, *NET, *ASKED, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while finished(out / STORE) < 1:
            assert process.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
        _, said = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
    assert process.returncode == 130
    assert said == "interrupted; nothing half-made is left behind\n"
    with sqlite3.connect(out / STORE) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_known_results_are_taken(place, whole):
    """The command line, on the store of a finished sweep: nothing is measured again."""
    before = finished(place / "whole" / STORE)
    done = CliRunner().invoke(main, [*NET, *ASKED, "--out", "whole"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert finished(place / "whole" / STORE) == before
    assert "accuracy on 200 images" in done.stdout and "w5a6" in done.stdout
    assert done.stderr == ""
    done = CliRunner().invoke(main, [*NET, *ASKED, "--out", "whole", "--json"])
    assert json.loads(done.stdout) == json.loads(json.dumps(whole[0].to_json()))


def test_what_does_not_fit_is_a_row(place, tmp_path):
    """A board without room, and a frame rate out of reach, are told, point by point."""
    from importlib.resources import files

    text = files("hwgen.boards").joinpath("ulx3s.toml").read_text()
    start = text.index("count", text.index("[lut]"))
    end = text.index("\n", start)
    (tmp_path / "small.toml").write_text(text[:start] + "count = 100" + text[end:])
    made, written = sweep(
        "nets.py:tiny", "4", "4", ["ulx3s", tmp_path / "small.toml"], 1e9, tmp_path / "o", jobs=1
    )
    fast, small = made.rows
    assert not fast["fits"] and "1e+09 frames/s" in fast["lacking"]
    assert not small["fits"] and "needs" in small["lacking"] and "LUT" in small["lacking"]
    assert fast["accuracy"] is None and fast["lut_estimated"] is None
    assert [file.name for file in written] == ["sweep.csv", "sweep.parquet", "sweep.json"]
