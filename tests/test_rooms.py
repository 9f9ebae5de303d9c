"""Imports go down, from room to room, and never in a circle (docs/architecture.md)."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import hwgen

#: Floors from the ground up; a folder of several modules is one room.
FLOORS = (
    {
        "errors",
        "beats",
        "board",
        "cache",
        "game",
        "game_loop",
        "manifest",
        "network",
        "primitives",
        "registers",
        "schedule",
    },
    {"cost", "nn", "rtl_templates"},
    {"doctor", "frontend", "plan", "sim", "synth"},
    {"compress", "emit", "report"},
    {"flow", "integers", "model", "models"},
    {"calibrate", "cli", "show", "sweep"},
)

#: Folders beside the package that are rooms of it.
BESIDE = ("rtl_templates", "sim", "models")

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

ROOT = Path(hwgen.__file__).parent


def sources() -> dict[str, Path]:
    """Every module of hwgen by its full name."""
    places = {"hwgen": ROOT} | {f"hwgen.{name}": ROOT.parent / name for name in BESIDE}
    found = {}
    for package, folder in places.items():
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = file
    return found


SOURCES = sources()


def imports(module: str) -> set[str]:
    """Modules of hwgen that ``module`` imports, in functions as well."""
    file = SOURCES[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join((*above, base)).rstrip(".")
            found |= {
                name if (name := f"{base}.{alias.name}") in SOURCES else base
                for alias in node.names
            }
    return {name for name in found if name.split(".")[0] == "hwgen"} - {module}


def room(module: str) -> str:
    return module.split(".")[1]


USES = {name: imports(name) for name in SOURCES}
INSIDE = {name: {used for used in uses if used != "hwgen"} for name, uses in USES.items()}
del INSIDE["hwgen"]  # loads what it offers when it is asked for


def test_every_room_has_a_floor():
    assert {room(name) for name in INSIDE} - {"boards"} <= FLOOR.keys()


def test_imports_exist():
    missing = {(name, used) for name, uses in USES.items() for used in uses - SOURCES.keys()}
    assert not missing


def test_imports_go_down():
    upwards = [
        f"{name} imports {used}"
        for name, uses in INSIDE.items()
        for used in uses
        if room(used) != room(name) and FLOOR[room(used)] > FLOOR[room(name)]
    ]
    assert not upwards


def no_circle(graph: dict[str, set[str]]) -> str:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


def test_no_circles_between_rooms():
    rooms: dict[str, set[str]] = {}
    for name, uses in INSIDE.items():
        rooms.setdefault(room(name), set()).update({room(used) for used in uses} - {room(name)})
    assert not no_circle(rooms)


def test_no_circles_between_modules():
    # A package's own modules import each other, not the package.
    assert not no_circle(INSIDE)
