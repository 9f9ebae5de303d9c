"""Ctrl-C and a full disk half way, to real processes and real file systems where possible."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hwgen.cli.interrupt import at_once

HWGEN = [sys.executable, "-c", "from hwgen.cli import main; main(prog_name='hwgen')"]

SAYS = "interrupted; nothing half-made is left behind\n"


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def interrupt(command: list[str], when, handler=signal.SIG_DFL, **environment) -> tuple[int, str]:
    """Exit code and standard error of ``command``, sent SIGINT as soon as ``when()`` is true.

    ``handler`` of SIGINT is what it starts with, whatever the tests themselves were started with.
    """
    process = subprocess.Popen(
        [*HWGEN, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
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
    begun = _slow_import(tmp_path, 60)
    assert interrupt(["boards"], begun, PYTHONPATH=str(tmp_path)) == (130, SAYS)


def test_an_ignored_one_stays_ignored(tmp_path):
    """As in what a shell's script runs in the background: it goes on to its own end."""
    begun = _slow_import(tmp_path, 1)
    code, said = interrupt(["boards"], begun, signal.SIG_IGN, PYTHONPATH=str(tmp_path))
    assert code == 7 and "SystemExit" not in said and SAYS not in said


def _slow_import(folder: Path, seconds: int):
    """Modules take ``seconds`` to load, and then end the process with 7; whether they began to."""
    (folder / "click.py").write_text(
        "import pathlib, sys, time\n"
        "pathlib.Path(__file__).with_name('begun').touch()\n"
        f"time.sleep({seconds})\n"
        "sys.exit(7)\n"
    )
    return (folder / "begun").exists


@pytest.mark.parametrize("before", [signal.SIG_IGN, None])
def test_what_is_no_handler_of_ours_stays(before, monkeypatch):
    """None is a handler that Python has not set, and could not put back."""
    put = []
    monkeypatch.setattr(signal, "getsignal", lambda number: before)
    monkeypatch.setattr(signal, "signal", lambda *given: put.append(given))
    with at_once():
        pass
    assert not put


def test_not_in_the_main_thread():
    """Where Python would refuse to set a handler."""

    def loads():
        with at_once():
            return "loaded"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(loads).result() == "loaded"


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


def test_while_the_page_is_written(run, stranger, monkeypatch):
    """It is the last file of a build, and part of it."""
    before = entries(stranger)

    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("hwgen.flow.write_page", interrupted)
    outcome = run("build", "nets.py:small", "--out", "new")
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
