"""``report.json``: estimates and, once run, measurements, each under its own name.

What was not measured is null. ``area.expected_error`` is what nine of ten estimates stay below,
relative, of LUTs and flip-flops; nothing where the family was not held against Yosys.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import NoneType

from hwgen.cost import Area
from hwgen.cost.energy import SPREAD
from hwgen.cost.families import FAMILIES
from hwgen.plan import Plan

__all__ = ["fresh", "merged", "read", "update", "write"]

NAME = "report.json"

WHOLE, NUMBER = (int,), (int, float)
_AREA = dict.fromkeys(("lut", "ff", "dsp", "bram"), WHOLE)
_MEASURED = {name: (*kinds, NoneType) for name, kinds in _AREA.items()}
_CYCLES = {"estimated": NUMBER, "simulated": (*NUMBER, NoneType)}

#: What may be known of the classes that the network chooses.
DECISIONS = ("float", "integer", "agreement", "images")

#: What every report holds: tables, and the types of their values. More may be there.
SHAPE = {
    "design": (str,),
    "board": (str,),
    "board_title": (str,),
    "bit_exact": (bool, NoneType),
    "frames": (int, NoneType),
    "accuracy": {
        "float": (*NUMBER, NoneType),
        "integer": (*NUMBER, NoneType),
        "images": (int, NoneType),
    },
    "cycles": {"interval": _CYCLES, "latency": _CYCLES},
    "area": {"estimated": _AREA, "synthesized": _MEASURED, "available": _AREA},
    "fits": (bool,),
    "throughput": {"clock_mhz": NUMBER, "clock_source": (str,), "frames_per_second": NUMBER},
    "utilisation": {"multipliers": NUMBER},
    "multipliers": {"mac": WHOLE, "requantise": WHOLE},
    "fifos": {},
}


def fresh(name: str, plan: Plan, accuracy: Mapping[str, float | int | None]) -> dict:
    """The report of a plan that nothing has been measured of yet.

    ``accuracy`` has ``float``, ``integer`` and ``agreement`` in percent, and ``images``; null where
    not measured. Where data decides the cycles, the interval is the mean over ``data``, which has
    the most and the worst as well; the latency is the worst.
    """
    data = plan.data
    told = (
        {
            "frames": data.frames,
            "interval_mean": round(data.mean, 1),
            "interval_most": data.most,
            "interval_worst": plan.interval,
        }
        if data
        else None
    )
    return {
        "design": name,
        "board": plan.board.name,
        "board_title": plan.board.title,
        "bit_exact": None,
        "frames": None,
        "accuracy": {key: accuracy.get(key) for key in DECISIONS},
        "cycles": {
            "interval": {"estimated": round(plan.expected, 1), "simulated": None},
            "latency": {"estimated": plan.latency, "simulated": None},
        },
        "area": {
            "estimated": asdict(plan.area),
            "expected_error": dict(FAMILIES[plan.board.family].expected_error),
            "register_file": asdict(plan.register_file),
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
        "energy": _energy(plan),
        "simulation": None,
        **({"data": told} if told else {}),
    }


def _energy(plan: Plan) -> dict:
    """pJ a frame, of what, within which factor, and the counts that they rest on."""
    return {
        "picojoules": round(plan.energy.total),
        "within_factor": SPREAD,
        **{name: round(part) for name, part in asdict(plan.energy).items()},
        "counts": {name: round(count) for name, count in asdict(plan.work).items()},
    }


def read(folder: Path) -> dict:
    """The report of a build directory; OSError or ValueError if it is missing or damaged."""
    report = json.loads((folder / NAME).read_text())
    if wrong := list(_wrong(report, SHAPE)):
        raise ValueError(f"{', '.join(wrong)} missing or of another type")
    return report


def _wrong(tree, shape, name: str = "") -> Iterator[str]:
    """Names of everything in ``tree`` that is not as ``shape`` wants it."""
    if not isinstance(shape, dict):
        if type(tree) not in shape:
            yield name
    elif not isinstance(tree, dict):
        yield name or "all"
    else:
        for key, inner in shape.items():
            place = f"{name}.{key}" if name else key
            if key in tree:
                yield from _wrong(tree[key], inner, place)
            else:
                yield place


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
