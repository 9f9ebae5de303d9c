"""Ctrl-C and a full disk half way, to real processes and real file systems where possible."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

HWGEN = [sys.executable, "-c", "from hwgen.cli import main; main(prog_name='hwgen')"]

SAYS = "interrupted; nothing half-made is left behind\n"


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def interrupt(command: list[str], when, **environment) -> tuple[int, str]:
    """Exit code and standard error of ``command``, sent SIGINT as soon as ``when()`` is true."""
    process = subprocess.Popen(
        [*HWGEN, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        for _ in range(6000):
            if when() or process.poll() is not None:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        return process.wait(60), process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_while_it_starts(tmp_path):
    """Before there are commands: modules are being imported."""
    (tmp_path / "click.py").write_text(
        "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\ntime.sleep(60)\n"
    )
    outcome = interrupt(["boards"], (tmp_path / "begun").exists, PYTHONPATH=str(tmp_path))
    assert outcome == (130, SAYS)


def test_build(stranger):
    """Stopped while it writes, the older build stays as it was."""
    (stranger / "out").mkdir()
    subprocess.run(["cp", "-r", "built", "out/x"], check=True)
    before = entries(stranger / "out")
    text = (stranger / "out" / "x" / "manifest.json").read_bytes()

    def writes():
        return any(stranger.glob("out/.x-*/network.json"))

    command = ["build", "nets.py:small", "--bits", "5", "--out", "out/x", "--force"]
    assert interrupt(command, writes) == (130, SAYS)
    assert entries(stranger / "out") == before
    assert (stranger / "out" / "x" / "manifest.json").read_bytes() == text


def test_sim(stranger, tmp_path):
    """Stopped while Verilator works: neither cache nor build holds anything half-made."""
    before = {path: path.stat().st_mtime for path in stranger.rglob("built/**/*")}

    def compiles():
        return any((tmp_path / "cache").glob("sim/building-*/obj/*.cpp"))

    outcome = interrupt(["sim", "built"], compiles, HWGEN_CACHE=str(tmp_path / "cache"))
    assert outcome == (130, SAYS)
    assert entries(tmp_path / "cache") == {"sim"}
    assert {path: path.stat().st_mtime for path in stranger.rglob("built/**/*")} == before


def test_the_exchange_is_undone(run, stranger, monkeypatch):
    """Ctrl-C at the worst moment: the older build has gone aside, the new one is not there yet."""
    before, replace = entries(stranger), os.replace

    def interrupted(source, target):
        if Path(target) == Path("built") and Path(source).name != "build":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    outcome = run("build", "nets.py:small", "--out", "built", "--force")
    assert (outcome.code, outcome.err) == (130, SAYS)
    assert entries(stranger) - before <= {"__pycache__"} | _compiled(stranger)


def _compiled(folder: Path) -> set[str]:
    return {name for name in entries(folder) if "__pycache__" in name}


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for half a build; skips where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(run, small_disk):
    place = small_disk / "x"
    outcome = run("build", "nets.py:small", "--out", place)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"error: cannot write {place}: No space left on device; free some space, "
        "or give another --out\n"
    )
    assert not entries(small_disk)


def test_a_disk_that_fills_up_at_the_end(run, stranger, monkeypatch):
    """The same where nothing may be mounted."""

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", full)
    outcome = run("build", "nets.py:small", "--out", "new")
    assert outcome.code == 2
    assert outcome.err == (
        "error: cannot write new: No space left on device; free some space, or give another --out\n"
    )
    assert not any("new" in path.name for path in stranger.iterdir())


def test_a_full_disk_in_a_simulation(run, small_disk, monkeypatch):
    (small_disk / "filler").write_bytes(bytes(100 << 10))
    monkeypatch.setenv("HWGEN_CACHE", str(small_disk / "cache"))
    outcome = run("sim", "built")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: No space left on device; free some space\n"
