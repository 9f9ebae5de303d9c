"""What came out of a sweep: one row for each point and board, and its files."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hwgen.board import Board
from hwgen.report.pareto import AXES, front

__all__ = ["COLUMNS", "Sweep", "row", "with_fronts", "write_files"]

RESOURCES = ("lut", "ff", "dsp", "bram")

#: Columns of ``sweep.csv`` and ``sweep.parquet``; null, or empty, where there is nothing to say.
COLUMNS = (
    "board",
    "weights",
    "activations",
    "accuracy",
    "fits",
    "interval_estimated",
    "latency_estimated",
    "frames_per_second",
    "utilisation",
    "multipliers",
    *(f"{name}_estimated" for name in RESOURCES),
    *(f"pareto_{name}" for name in AXES),
    *(f"{name}_synthesized" for name in RESOURCES),
    "bit_exact",
    "cycles_exact",
    "frames_simulated",
    "interval_simulated",
    "latency_simulated",
    "lacking",
)

#: Types of the columns of ``sweep.parquet``; all others are whole numbers.
TYPES = {
    **dict.fromkeys(("board", "lacking"), "string"),
    **dict.fromkeys(("accuracy", "frames_per_second", "utilisation"), "float64"),
    **dict.fromkeys(("fits", "bit_exact", "cycles_exact"), "bool"),
    **{f"pareto_{name}": "bool" for name in AXES},
}


@dataclass(frozen=True)
class Sweep:
    """All rows, by board, weights and activations, and what they have in common.

    ``accuracy`` of a row is that of the integer network, in percent, on all ``images`` of the test
    set; None without one. ``accuracy_float`` is that of the model before quantisation.
    """

    model: str
    fps_asked: float | None
    calibration: str
    images: int | None
    accuracy_float: float | None
    boards: tuple[Board, ...]
    rows: tuple[dict, ...]
    training: dict | None = None

    def on(self, board: Board) -> list[dict]:
        """Rows of one board."""
        return [row for row in self.rows if row["board"] == board.name]

    @property
    def verified(self) -> bool:
        """Whether no simulation found anything else than was foretold."""
        return not any(
            row[name] is False for row in self.rows for name in ("bit_exact", "cycles_exact")
        )

    def to_json(self) -> dict:
        """A tree of plain values: the same for equal sweeps."""
        return {
            "model": self.model,
            "fps_asked": self.fps_asked,
            "calibration": self.calibration,
            "training": self.training,
            "images": self.images,
            "accuracy_float": self.accuracy_float,
            "boards": [asdict(board) for board in self.boards],
            "points": list(self.rows),
        }

    def to_csv(self) -> str:
        """``COLUMNS``, a line for each row."""
        text = io.StringIO()
        lines = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        lines.writeheader()
        for one in self.rows:
            lines.writerow({name: _cell(one[name]) for name in COLUMNS})
        return text.getvalue()

    def to_parquet(self) -> bytes:
        """The same as typed columns, for data frames."""
        import pyarrow as pa  # here, since it takes long to load
        import pyarrow.parquet

        schema = pa.schema([(name, TYPES.get(name, "int64")) for name in COLUMNS])
        columns = [{name: one[name] for name in COLUMNS} for one in self.rows]
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(pa.Table.from_pylist(columns, schema), sink)
        return sink.getvalue().to_pybytes()


def _cell(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def row(
    board: str, bits: tuple[int, int], accuracy: Mapping | None, planned: Mapping, more: Mapping
) -> dict:
    """One row; ``more`` holds what was measured. Its fronts are not known yet."""
    found = dict.fromkeys(COLUMNS)
    found |= {
        "board": board,
        "weights": bits[0],
        "activations": bits[1],
        "accuracy": None if accuracy is None else round(accuracy["accuracy"], 4),
        "fits": planned["fits"],
        "lacking": planned["lacking"],
    }
    if planned["fits"]:
        for name in ("interval", "latency", *RESOURCES):
            found[f"{name}_estimated"] = planned[name]
        found["frames_per_second"] = round(planned["frames_per_second"], 2)
        found["utilisation"] = round(planned["utilisation"], 4)
        found["multipliers"] = planned["multipliers"]
    return found | dict(more)


def with_fronts(rows: Iterable[dict]) -> tuple[dict, ...]:
    """The rows, each told which Pareto fronts of its board it is on."""
    rows = list(rows)
    for axis in AXES:
        for board in dict.fromkeys(one["board"] for one in rows):
            on = front([one for one in rows if one["board"] == board], axis)
            for one in rows:
                if one["board"] == board:
                    known = one["accuracy"] is not None and one["fits"]
                    one[f"pareto_{axis}"] = any(one is best for best in on) if known else None
    return tuple(rows)


def write_files(folder: Path, made: Sweep, plots: Mapping[str, bytes]) -> Sequence[Path]:
    """Write ``sweep.csv``, ``.parquet``, ``.json`` and the plots, each whole or not at all."""
    texts = {
        "sweep.csv": made.to_csv().encode(),
        "sweep.parquet": made.to_parquet(),
        "sweep.json": (json.dumps(made.to_json(), indent=1) + "\n").encode(),
        **plots,
    }
    for name, content in texts.items():
        partial = folder / f".{name}.partial"
        try:
            partial.write_bytes(content)
            os.replace(partial, folder / name)
        finally:
            partial.unlink(missing_ok=True)
    return [folder / name for name in texts]
