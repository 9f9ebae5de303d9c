"""Builds: shared, whole or not there, and nothing from a stranger runs."""

import subprocess
from dataclasses import replace

import pytest

from hwgen.errors import UserError
from hwgen.manifest import Probe
from hwgen.sim import SimulationError, build_binary, simulate
from hwgen.sim import verilator as module


@pytest.fixture
def verilog(small):
    """Change the Verilog of the build directory."""
    path = small.folder / "rtl" / "accelerator.v"

    def change(old: str, new: str) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def test_same_rtl_is_built_once(small, monkeypatch):
    binary = build_binary(small.folder)

    def never(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(module, "_run", never)
    (small.folder / "rtl" / "scale.hex").write_text("0\n0\n0\n")  # contents are read at run time
    assert build_binary(small.folder) == binary


def test_verilators_own_library_is_compiled_once(small, verilog, monkeypatch):
    build_binary(small.folder)
    verilog("endmodule", "endmodule  // another")
    keep, older = module._keep, []

    def look(built, *places):
        makefile = (built.parent / "Vtop.mk").stat().st_mtime_ns  # older than what it has made
        objects = list(built.parent.glob("verilated*.o"))
        older.append(len(objects) > 1 and all(o.stat().st_mtime_ns < makefile for o in objects))
        keep(built, *places)

    monkeypatch.setattr(module, "_keep", look)
    build_binary(small.folder)
    assert older == [True]


def test_interrupted_build_leaves_nothing(small, verilog, monkeypatch, tmp_path):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))

    def interrupted(command, work, env):
        (work / "obj" / "Vtop").write_text("half a binary")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_binary(small.folder)
    assert list((tmp_path / "cache" / "sim").iterdir()) == []


def test_build_that_stops_while_being_kept_leaves_nothing(small, monkeypatch, tmp_path):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))

    def built(command, work, env):
        (work / "obj" / "Vtop").write_text("a binary")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_run", built)
    monkeypatch.setattr(module.shutil, "copy2", full)
    with pytest.raises(OSError, match="No space"):
        build_binary(small.folder)
    assert list((tmp_path / "cache" / "sim").iterdir()) == []


def test_broken_verilog_says_what_verilator_says(small, verilog):
    verilog("wire rst = ~aresetn;", "wire rst = ~aresetn")
    with pytest.raises(SimulationError, match=r"accelerator\.v.*syntax error"):
        build_binary(small.folder)


@pytest.mark.parametrize(
    "text",
    [
        'initial $system("touch /tmp/x");',
        'integer f = $fopen("/tmp/x", "w");',
        '`include "/etc/passwd"',
        'import "DPI-C" function int system(input string x);',
        "/* verilator public_flat */",
        "initial $c(1);",
    ],
)
def test_verilog_that_reaches_beyond_the_simulation_is_refused(small, verilog, text):
    verilog("wire rst = ~aresetn;", f"wire rst = ~aresetn;\n{text}\n")
    with pytest.raises(UserError, match=r"rtl/accelerator\.v uses"):
        build_binary(small.folder)


def test_escaped_names_are_harmless(small, verilog, monkeypatch):
    verilog("wire rst = ~aresetn;", "wire rst = ~aresetn; wire \\$system = 1; wire \\`x  = 1;")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        build_binary(small.folder)


def test_probe_that_is_no_name_is_refused(small):
    probe = Probe("head", 'x"; }', small.manifest.probes[0].beats)
    manifest = replace(small.manifest, probes=(probe,))
    (small.folder / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(UserError, match="no Verilog identifier"):
        build_binary(small.folder)


def test_oldest_binaries_leave_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    for age, name in enumerate("abcd"):
        (tmp_path / (name * 32)).mkdir()
        subprocess.run(["touch", "-d", f"2020-01-0{9 - age}", str(tmp_path / (name * 32))])
    module._drop_oldest(tmp_path)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["a", "b"]


def test_failing_golden_model_is_not_hidden(small, monkeypatch):
    def broken(*_):
        raise RuntimeError("golden model broke")
        yield b""

    monkeypatch.setattr("hwgen.sim.run.chunks", broken)
    with pytest.raises(RuntimeError, match="golden model broke"):
        simulate(small.folder, small.frames(2))
