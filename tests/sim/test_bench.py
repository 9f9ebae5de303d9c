"""The generated bench runs on plain cocotb, passes, and fails when the accelerator is broken."""

import ast
import os
import subprocess
import sys

import numpy as np
import pytest

from hwgen.emit.bench import write_bench
from hwgen.sim import verilator as module

FAULTS = [("drop", 5), ("last_missing", 2), ("last_early", 1), ("repeat", 1), ("wrong", 3)]
FAULTS += [("stuck", 20), ("no_reset", 0)]


@pytest.fixture
def bench(small, tmp_path):
    """``bench(sim)`` runs the written bench in a process of its own: ``(status, output)``."""
    write_bench(small.folder, small.manifest, small.network, small.frames(3))
    # Nothing of hwgen may be found: not by path, and not as what is installed here.
    (tmp_path / "hwgen.py").write_text("raise ImportError('the bench imports hwgen')\n")

    def run(sim: str) -> tuple[int, str]:
        command = [sys.executable, "run.py", "--sim", sim]
        command += ["--build-dir", str(module.cache() / f"bench-{sim}")]
        env = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            command, cwd=small.folder / "bench", env=env, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def icarus():
    done = subprocess.run("command -v iverilog", shell=True, capture_output=True)
    if done.returncode:
        pytest.skip("needs Icarus Verilog")
    return "icarus"


def test_icarus_passes(bench, icarus):
    status, output = bench(icarus)
    assert status == 0, output
    assert "4 of 4 tests passed" in output
    assert "latency 38 cycles" in output and "interval 36 cycles" in output


@pytest.mark.parametrize(("fault", "strike"), FAULTS)
def test_icarus_finds_what_is_broken(bench, icarus, small, fault, strike):
    small.plant(fault, strike)
    status, output = bench(icarus)
    assert status == 1, output
    assert " of 4 tests passed" in output


def test_broken_verilog_is_a_failure_without_a_traceback(bench, icarus, small):
    (small.folder / "rtl" / "accelerator.v").write_text("module accelerator(;\n")
    status, output = bench(icarus)
    assert status == 1
    assert "Traceback" not in output


def test_verilator_passes_and_fails(bench, small):
    status, output = bench("verilator")
    assert status == 0, output
    assert "4 of 4 tests passed" in output
    small.plant("wrong", 3)
    status, output = bench("verilator")  # contents of memories only: nothing is compiled again
    assert status == 1, output
    assert "1 wrong values, the first at (0, 1, 0)" in output


def test_bytes_are_the_same_for_the_same_network(small, tmp_path):
    (tmp_path / "again").mkdir()
    for folder in (small.folder, tmp_path / "again"):
        write_bench(folder, small.manifest, small.network, small.frames(3))
    files = sorted(path.name for path in (small.folder / "bench").iterdir())
    assert files == ["README.md", "frames.npz", "packing.py", "run.py", "test_accelerator.py"]
    for name in files:
        first = (small.folder / "bench" / name).read_bytes()
        assert first == (tmp_path / "again" / "bench" / name).read_bytes()


def test_packing_agrees_with_beats(small):
    write_bench(small.folder, small.manifest, small.network, small.frames(3))
    text = (small.folder / "bench" / "packing.py").read_text()
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"dataclasses", "numpy"}
    packing: dict = {"__name__": "packing"}
    exec(text, packing)
    frames = small.frames(3)
    for port, tensor, data in (
        ("INPUTS", frames, small.manifest.inputs[0]),
        ("OUTPUTS", small.network.compute(frames), small.manifest.outputs[0]),
    ):
        form = packing[port][data.name]
        beats = form.pack(tensor)
        values = data.beats.pack(tensor)
        mask = (1 << data.beats.type.bits) - 1
        assert beats[7] == sum(
            (int(value) & mask) << data.beats.type.bits * place
            for place, value in enumerate(values[7])
        )
        assert len(beats) == 3 * form.beats == 3 * data.beats.count
        assert form.width == 8 * data.bytes
        assert np.array_equal(form.unpack(beats), tensor)
