"""The table of a sweep on the terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hwgen.board import Board
from hwgen.report.pareto import AXES
from hwgen.show import out, plain, table
from hwgen.sweep.table import RESOURCES, Sweep

__all__ = ["swept"]

#: Words for what a point does not reach.
NONE = "-"


def swept(made: Sweep, files: Sequence[Path]) -> None:
    """After ``hwgen sweep``: best accuracy first, what does not fit last."""
    if made.images is None:
        out.print(
            f"[bold]{plain(made.model)}[/]: without a test set (--test FILE) there is no accuracy, "
            "and there are no plots"
        )
    else:
        whole = "" if made.accuracy_float is None else f"; {made.accuracy_float:.2f} % in float"
        taught = made.training and f", each point trained {made.training['epochs']} epochs"
        images = f"accuracy on {made.images:,} images{whole}{taught or ''}"
        out.print(f"[bold]{plain(made.model)}[/]: {images}")
    for board in made.boards:
        out.print()
        _board(made, board)
    out.print(f"\nwritten to [bold]{plain(str(files[0].parent))}[/]: ", end="")
    out.print(plain(", ".join(file.name for file in files)), soft_wrap=True)


def _board(made: Sweep, board: Board) -> None:
    rows = sorted(made.on(board), key=_order)
    fitting = [row for row in rows if row["fits"]]
    columns = ["point", "accuracy", "interval", "latency", "frames/s", "busy"]
    columns += [name.upper() for name in RESOURCES]
    asked = f"at least {made.fps_asked:,g} frames/s" if made.fps_asked else "as fast as fits"
    made_table = table(*columns, "Pareto", title=f"{board.title}, {asked}")
    for row in fitting:
        numbers = [f"{row[f'{name}_estimated']:,}" for name in RESOURCES]
        cells = [
            f"w{row['weights']}a{row['activations']}",
            _accuracy(row),
            f"{row['interval_estimated']:,}",
            f"{row['latency_estimated']:,}",
            f"{row['frames_per_second']:,.0f}",
            f"{100 * row['utilisation']:.0f} %",
            *numbers,
        ]
        fronts = [name for axis, (_, _, name) in AXES.items() if row[f"pareto_{axis}"]]
        made_table.add_row(*cells, ", ".join(fronts), style="bold" if fronts else None)
    if fitting:
        out.print(made_table)
    else:
        out.print(f"{plain(board.title)}, {asked}: nothing fits")
    for row in rows:
        name = f"w{row['weights']}a{row['activations']}"
        for found in _measured(row):
            out.print(f"{name}: {found}", soft_wrap=True)
        if not row["fits"]:
            accuracy = f"{_accuracy(row)} %, " if row["accuracy"] is not None else ""
            out.print(f"{name}: {accuracy}[red]{plain(row['lacking'])}[/]", soft_wrap=True)


def _order(row: dict) -> tuple:
    accuracy = -1.0 if row["accuracy"] is None else row["accuracy"]
    return -accuracy, row["weights"], row["activations"]


def _accuracy(row: dict) -> str:
    return NONE if row["accuracy"] is None else f"{row['accuracy']:.2f}"


def _measured(row: dict) -> Iterator[str]:
    """What Yosys and Verilator say of a chosen point."""
    if row["lut_synthesized"] is not None:
        seen = (f"{row[f'{name}_synthesized']:,} {name.upper()}" for name in RESOURCES)
        yield f"Yosys finds {', '.join(seen)}"
    if row["bit_exact"] is not None:
        exact = "[green]bit-exact[/]" if row["bit_exact"] else "[bold red]NOT bit-exact[/]"
        late = "" if row["cycles_exact"] else ", [bold red]NOT in the cycles foretold[/]"
        yield f"simulated with {row['frames_simulated']} frames: {exact}{late}"
