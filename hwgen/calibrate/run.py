"""``hwgen calibrate``: synthesise a corpus, fit constants to it, test them on another."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np

from hwgen.board import FAMILIES as KNOWN
from hwgen.board import load_board
from hwgen.calibrate.corpus import corpus, unseen
from hwgen.calibrate.fit import fit
from hwgen.calibrate.measure import Design, design, measure
from hwgen.calibrate.networks import networks
from hwgen.cost import Area, features
from hwgen.cost.families import CONSTANTS, FAMILIES
from hwgen.cost.model import of_features
from hwgen.errors import Problem, UserError, together
from hwgen.model import find
from hwgen.rtl_templates import Spec
from hwgen.synth import tools

__all__ = ["AREA", "BOARDS", "calibrate", "constants_file", "summary"]

#: Where the comparison is kept, in a checkout.
AREA = Path("docs/benchmarks/area.json")

#: The board of each family whose plans of the reference networks are compared.
BOARDS = {
    "ice40": "icebreaker",
    "ecp5": "ulx3s",
    "gowin": "tang_nano_9k",
    "xc7": "arty_a7_100t",
    "xcup": "zcu104",
    "asic": "asic",
}

RESOURCES = ("lut", "ff", "dsp", "bram")

#: Called with what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Case:
    """A design, and how much it has of what a family has constants for."""

    name: str
    design: Design
    features: Mapping[str, float]


def constants_file() -> Path:
    """The file of fitted constants, of the hwgen that runs."""
    return Path(str(files("hwgen.cost").joinpath(CONSTANTS)))


def calibrate(
    families: Sequence[str] = KNOWN,
    each: int = 2,
    count: int = 40,
    seed: int = 1,
    models: Sequence[str] | None = None,
    refit: bool = True,
    out: Path = AREA,
    jobs: int | None = None,
    progress: Progress = lambda what, done, of: None,
) -> dict:
    """Compare estimates with Yosys for ``families``, and write the constants that fit.

    ``each`` specs of every kind are fitted to. What ``out`` compares are ``count`` others, drawn by
    ``seed``, and the reference networks ``models`` (all, unless given) on a board of the family.
    ``refit=False`` leaves the constants alone. ``jobs`` specs are synthesised at a time, as many as
    there are processors unless given, and networks one at a time. Returns what ``out`` then holds.
    Raises ToolError when synthesis fails; before that, UserError for unknown models, and where
    ``out`` is something else.
    """
    jobs = jobs or os.cpu_count() or 1
    stored, *_ = together(lambda: _read(out), *(partial(find, name) for name in models or ()))
    known = stored.get("families", {})
    for family in families:
        seen = _cases(family, list(corpus(family, each)), progress)
        others = _cases(family, list(unseen(family, count, seed)), progress)
        measured = measure(
            {case.name: case.design for case in seen + others},
            jobs,
            partial(progress, f"{family}: synthesis"),
        )
        constants = {r: dict(getattr(FAMILIES[family], r)) for r in ("lut", "ff")}
        if refit:
            found = [case.features for case in seen], [measured[case.name] for case in seen]
            constants = {resource: fit(*found, resource, family) for resource in constants}
        with _using(family, constants):
            whole = _networks(family, models, progress)
        measured |= measure(
            {case.name: case.design for case in whole}, 1, partial(progress, f"{family}: networks")
        )
        result = {
            **summary(_rows(others + whole, measured, constants)),
            "fitted_to": summary(_rows(seen, measured, constants)),
            "board": BOARDS[family],
            "seed": seed,
        }
        known[family] = result
        versions = {
            "hwgen": version("hwgen"),
            "amaranth": version("amaranth"),
            "yosys": tools.yosys_version(),
        }
        command = " ".join(
            ["hwgen calibrate", f"--each {each}", f"--unseen {count}", f"--seed {seed}"]
            + [f"--model {model}" for model in models or ()]
        )
        head = {"command": command, "versions": versions}
        ordered = {name: known[name] for name in KNOWN if name in known}
        stored = {**head, "families": ordered}
        _write(out, stored, '{"spec"')  # an interrupted run keeps what it has
        if refit:
            _store(family, constants, result, head)
    return stored


@contextmanager
def _using(family: str, constants: Mapping[str, Mapping[str, float]]) -> Iterator[None]:
    """Estimates, and so plans, are made with ``constants``."""
    before = FAMILIES[family]
    FAMILIES[family] = replace(before, lut=constants["lut"], ff=constants["ff"])
    try:
        yield
    finally:
        FAMILIES[family] = before


def _cases(family: str, some: Sequence[tuple[str, str, Spec]], progress: Progress) -> list[Case]:
    cases = []
    for done, (name, _, spec) in enumerate(some):
        progress(f"{family}: designs", done, len(some))
        found = features(spec.primitives(), family)
        cases.append(Case(name, design(spec, family), found))
    progress(f"{family}: designs", len(some), len(some))
    return cases


def _networks(family: str, models: Sequence[str] | None, progress: Progress) -> list[Case]:
    board = load_board(BOARDS[family])
    return [
        Case(name, made, features(parts, family))
        for name, made, parts in networks(board, models, partial(progress, f"{family}: plans"))
    ]


def _rows(
    cases: Sequence[Case], measured: Mapping[str, Area], constants: Mapping[str, Mapping]
) -> list[dict]:
    return [
        {
            "spec": case.name,
            "estimated": asdict(of_features(case.features, constants["lut"], constants["ff"])),
            "synthesized": asdict(measured[case.name]),
        }
        for case in cases
    ]


def summary(rows: Sequence[Mapping]) -> dict:
    """Errors over ``rows``: relative for LUT and FF, counted for DSP blocks and block RAMs."""
    found: dict = {"specs": len(rows)}
    for resource in ("lut", "ff"):
        off = [
            abs(row["estimated"][resource] / max(1, row["synthesized"][resource]) - 1)
            for row in rows
        ]
        found[f"{resource}_median_error"] = round(float(np.median(off)), 4)
        found[f"{resource}_p90_error"] = round(float(np.quantile(off, 0.9)), 4)
    for resource in ("dsp", "bram"):
        found[f"{resource}_mismatches"] = sum(
            row["estimated"][resource] != row["synthesized"][resource] for row in rows
        )
    return found | {"rows": list(rows)}


def _store(family: str, constants: Mapping, result: Mapping, head: Mapping) -> None:
    """Put the constants of a family, and how far off they are, into the package's file."""
    file = constants_file()
    tree = json.loads(file.read_text())
    expected = {r: result[f"{r}_p90_error"] for r in ("lut", "ff")}
    tree["families"][family] = {**constants, "expected_error": expected, **head}
    _write(file, tree)


def _read(out: Path) -> dict:
    try:
        stored = json.loads(out.read_text()) if out.exists() else {}
        if isinstance(stored, dict) and isinstance(stored.get("families", {}), dict):
            return stored
    except ValueError:
        pass
    reason = f"{out} holds no comparison, so it is kept"
    raise UserError(Problem(None, reason, "give another --out"))


def _write(file: Path, tree: Mapping, row: str | None = None) -> None:
    """``tree`` as JSON: indented, or with a line for each ``row``. An interrupt leaves the file
    as it was."""
    text = json.dumps(tree, indent=None if row else 1) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(text.replace(row, f"\n{row}") if row else text)
    os.replace(partial, file)
