"""``make bench``: one network on each board, everything measured that open tools can measure.

python -m benchmarks.main           # go on where an interrupted run stopped
python -m benchmarks.main --fresh   # measure everything again

Writes ``docs/benchmarks/main.json`` and, from it, ``docs/benchmarks/main.md``. The full route of
the ECP5 takes some minutes.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import table
from benchmarks.machine import machine, versions
from benchmarks.measure import Bench, prepare
from benchmarks.steps import Steps
from hwgen.errors import UserError

NETWORK = "fashion_cnn"
BOARDS = ("ulx3s", "zcu104")
BITS = 8

RESULT = Path("docs/benchmarks/main.json")
TABLE = Path("docs/benchmarks/main.md")

#: Build directories and the results of single steps.
WORK = Path("build/bench")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.main",
        description=f"Measure {NETWORK} on {' and '.join(BOARDS)}",
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

        prepared = prepare(NETWORK, BITS, progress)
        found = {
            "command": "python -m benchmarks.main",
            "network": NETWORK,
            "bits": BITS,
            "machine": machine(),
            "tools": versions(),
            "boards": {},
        }
        for board in BOARDS:
            found["boards"][board] = Bench(board, prepared, WORK, steps, progress, done).measure()
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    TABLE.write_text(table.markdown(found))
    print(f"wrote {RESULT} and {TABLE}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
