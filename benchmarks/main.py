"""``make bench``: every reference network on three boards, as fast as each fits.

python -m benchmarks.main                      # go on where an interrupted run stopped
python -m benchmarks.main --fresh              # measure everything again
python -m benchmarks.main --networks digits_mlp --boards ulx3s,zcu104

Writes ``docs/benchmarks/main.json``, which keeps what an earlier run found of the designs left out,
and from it ``docs/benchmarks/main.md``. Synthesis and routing of the large designs take minutes
each.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import table
from benchmarks.command import run
from benchmarks.machine import machine, versions
from benchmarks.measure import Bench, prepare
from benchmarks.steps import Steps
from hwgen import models

BOARDS = ("ulx3s", "pynq_z2", "zcu104")
BITS = 8

RESULT = Path("docs/benchmarks/main.json")
TABLE = Path("docs/benchmarks/main.md")

#: Build directories and the results of single steps.
WORK = Path("build/bench")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.main", description="Measure reference networks on boards"
    )
    parser.add_argument("--networks", default=",".join(models.names()), help="names, with commas")
    parser.add_argument("--boards", default=",".join(BOARDS), help="names, with commas")
    parser.add_argument(
        "--synth",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="synthesise and route, which takes most of the time",
    )
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    options = parser.parse_args()
    steps = Steps(WORK / "steps.json", options.fresh)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as shown:
        task = shown.add_task("starting", total=None)

        def progress(what: str) -> None:
            shown.update(task, description=what)

        def done(what: str) -> None:
            console.print(what, highlight=False)

        for name in options.networks.split(","):
            prepared = prepare(name, BITS, progress)
            for board in options.boards.split(","):
                bench = Bench(board, prepared, WORK, steps, progress, done)
                measured = bench.measure(options.synth)
                keep(name, board, asdict(prepared.made.decisions), measured)
    print(f"wrote {RESULT} and {TABLE}")


def keep(network: str, board: str, accuracy: dict, measured: dict) -> None:
    """Write what was measured of one design beside all others, at once."""
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    if found.get("tools") != versions():
        found = {}  # numbers made by other tools do not stand beside these
    networks = found.get("networks", {})
    entry = networks.get(network, {"boards": {}})
    boards = entry["boards"] | {board: measured}
    ordered = {name: boards[name] for name in sorted(boards, key=_place)}
    networks |= {network: {"accuracy": accuracy, "boards": ordered}}
    found = {
        "command": "python -m benchmarks.main",
        "bits": BITS,
        "machine": machine(),
        "tools": versions(),
        "networks": {name: networks[name] for name in models.names() if name in networks},
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    TABLE.write_text(table.markdown(found))


def _place(board: str) -> tuple[int, str]:
    return (BOARDS.index(board) if board in BOARDS else len(BOARDS), board)


if __name__ == "__main__":
    run(main)
