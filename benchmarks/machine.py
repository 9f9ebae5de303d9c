"""Where and with what a benchmark ran: nothing in it changes from day to day."""

import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

from hwgen import doctor

__all__ = ["machine", "stamp", "versions"]

#: Packages whose version decides what comes out, or how long it takes, beside the tools that
#: ``hwgen doctor`` lists.
PACKAGES = ("hwgen", "amaranth", "numpy", "scipy", "numba", "torch")

TOOLS = ("verilator", "C++ compiler", "Yosys", "nextpnr-ecp5")


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
    """Versions by name of package or tool."""
    found = {name: version(name) for name in PACKAGES}
    rows = {row.tool: row for row in doctor.examine()}
    for tool in TOOLS:
        wheel = " (WebAssembly)" if rows[tool].where.endswith("(WebAssembly)") else ""
        found[tool] = rows[tool].version + wheel
    return found


@cache
def stamp() -> dict[str, dict]:
    """What says where and with what something was measured."""
    return {"machine": machine(), "tools": versions()}
