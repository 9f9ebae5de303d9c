"""Where and with what a benchmark ran: nothing in it changes from day to day."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hwgen.sim.verilator import environment
from hwgen.synth import tools

__all__ = ["machine", "versions"]

#: Distributions whose version decides what comes out, or how long it takes.
PACKAGES = ("hwgen", "amaranth", "numpy", "scipy", "numba", "torch")


def machine() -> dict[str, str | int]:
    """Cores, processor, and Python."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        "processor": model,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Tools by name, as they say it themselves."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["yosys"] = _said([*tools.yosys(), "-V"])
    found["nextpnr-ecp5"] = _said([*tools.nextpnr_ecp5(), "--version"])
    found["verilator"] = _said(["verilator", "--version"])
    return found


def _said(command: list[str]) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip('"') if lines else "unknown"
