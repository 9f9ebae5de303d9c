"""``report.json``: estimates and, once run, measurements, each under its own name.

What was not measured is null.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from hwgen.cost import Area
from hwgen.plan import Plan

__all__ = ["fresh", "merged", "read", "update", "write"]

NAME = "report.json"

#: Tables that every report has.
KEYS = {"accuracy", "area", "board_title", "cycles", "design", "fifos", "multipliers"}
KEYS |= {"throughput", "utilisation"}


def fresh(name: str, plan: Plan, accuracy: Mapping[str, float | int | None]) -> dict:
    """The report of a plan that nothing has been measured of yet.

    ``accuracy`` has ``float`` and ``integer`` in percent and ``images``; null where not measured.
    """
    return {
        "design": name,
        "board": plan.board.name,
        "board_title": plan.board.title,
        "bit_exact": None,
        "frames": None,
        "accuracy": {key: accuracy.get(key) for key in ("float", "integer", "images")},
        "cycles": {
            "interval": {"estimated": plan.interval, "simulated": None},
            "latency": {"estimated": plan.latency, "simulated": None},
        },
        "area": {
            "estimated": asdict(plan.area),
            "synthesized": dict.fromkeys(asdict(Area())),
            "available": {name: getattr(plan.board, name) for name in asdict(Area())},
        },
        "fits": plan.area.fits(plan.board),
        "throughput": {
            "clock_mhz": plan.board.clock_mhz,
            "clock_source": "assumed",
            "frames_per_second": plan.frames_per_second,
        },
        "utilisation": {"multipliers": plan.utilisation},
        "multipliers": {role: plan.multipliers(role) for role in ("mac", "requantise")},
        "fifos": plan.fifos,
        "simulation": None,
    }


def read(folder: Path) -> dict:
    """The report of a build directory; OSError or ValueError if it is missing or damaged."""
    report = json.loads((folder / NAME).read_text())
    if not isinstance(report, dict) or not report.keys() >= KEYS:
        raise ValueError("not a report of hwgen")
    return report


def write(folder: Path, report: Mapping) -> None:
    """Write the report of a build directory, whole or not at all."""
    partial = folder / f".{NAME}"
    try:
        partial.write_text(json.dumps(report, indent=1) + "\n")
        os.replace(partial, folder / NAME)
    finally:
        partial.unlink(missing_ok=True)


def update(folder: Path, changes: Mapping) -> dict:
    """Merge ``changes`` into the report, table by table, and write it."""
    report = merged(read(folder), changes)
    write(folder, report)
    return report


def merged(old: Mapping, new: Mapping) -> dict:
    """``old`` with the values of ``new``, table by table."""
    result = dict(old)
    for key, value in new.items():
        deeper = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if deeper else value
    return result
