"""The results of a sweep: which are wanted, which the store holds, which are on their way."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import fx

from hwgen import models
from hwgen.board import Board
from hwgen.compress import Settings, quantize
from hwgen.errors import UserError, refuse
from hwgen.frontend import read
from hwgen.model import Model
from hwgen.network.store import to_bytes
from hwgen.report import pareto
from hwgen.sweep import inputs
from hwgen.sweep.points import Point
from hwgen.sweep.store import Store
from hwgen.sweep.table import Sweep, row, with_fronts, write_files
from hwgen.sweep.training import Training
from hwgen.sweep.work import measure, plan_for, workers

__all__ = ["Job", "Progress"]

#: Tasks that may wait for each process: enough to keep it busy while the next integers are made,
#: few enough that their networks take no room.
AHEAD = 3

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Task:
    """One result that is wanted: ``inputs`` are its key, ``board`` is None for an accuracy."""

    kind: str
    point: Point
    board: Board | None
    inputs: Mapping

    @property
    def place(self) -> str | None:
        """The board's name."""
        return self.board.name if self.board else None


class Job:
    """``points`` of ``model``, whose export is ``program``, on the boards ``targets``."""

    def __init__(
        self,
        model: Model,
        program: fx.GraphModule,
        points: tuple[Point, ...],
        targets: tuple[Board, ...],
        fps: float | None,
        calibration: str,
        store: Store,
        progress: Progress,
        training: Training | None = None,
    ):
        self._model, self._program, self._points, self._boards = model, program, points, targets
        self._fps, self._calibration, self._store = fps, calibration, store
        self._progress, self._training = progress, training
        self._trained: dict[Point, fx.GraphModule] = {}
        self._common: dict[str, str | dict] = {
            "program": inputs.of_program(program),
            "calibration": inputs.of_array(np.asarray(model.calibration)),
        }
        if training is not None:
            self._common["training"] = training.key
        self._test = (
            [inputs.of_array(np.asarray(part)) for part in model.test] if model.test else None
        )
        self._known: dict[tuple[Point, str | None], dict] = {}
        self._failed: dict[Point, UserError] = {}
        self._float: float | None = None
        self._waiting: dict[Future, Task] = {}
        self._of = len(points) * (len(targets) + bool(model.test))

    def settings(self, point: Point) -> Settings:
        """How a point is quantised."""
        return Settings(point.weights, point.activations, calibration=self._calibration)  # type: ignore[arg-type]

    def key(self, kind: str, point: Point, board: Board | None = None) -> dict:
        """Everything that a result depends on."""
        tree = self._common | {"kind": kind, "settings": asdict(self.settings(point))}
        if board is None:
            return tree | {"test": self._test, "made_by": inputs.sources("integers")}
        return tree | {
            "board": asdict(board),
            "fps": self._fps,
            "made_by": inputs.sources("plan"),
        }

    def run(self, jobs: int) -> None:
        """Take what the store holds, and make the rest."""
        missing: dict[Point, list[Task]] = {}
        for task in self._tasks():
            value = self._store.get(task.inputs)
            if value is None:
                missing.setdefault(task.point, []).append(task)
            else:
                self._known[task.point, task.place] = value
        self._tell()
        if missing:
            with workers(jobs, self._model.test) as pool:
                for point, tasks in missing.items():
                    self._harvest(AHEAD * jobs)
                    self._send(pool, point, tasks)
                self._measure_float()
                self._harvest(1)
        self._measure_float()
        if self._failed and len(self._failed) == len(self._points):
            refuse(problem for error in self._failed.values() for problem in error.problems)

    def _tasks(self) -> Iterator[Task]:
        for point in self._points:
            if self._model.test:
                yield Task("accuracy", point, None, self.key("accuracy", point))
            for board in self._boards:
                yield Task("plan", point, board, self.key("plan", point, board))

    def _send(self, pool: Executor, point: Point, tasks: list[Task]) -> None:
        try:
            network = to_bytes(read(self._quantised(point)))
        except UserError as error:
            self._failed[point] = error
            self._tell()
            return
        for task in tasks:
            if task.board is None:
                future = pool.submit(measure, network)
            else:
                future = pool.submit(plan_for, network, task.board, self._fps)
            self._waiting[future] = task
        self._harvest(len(self._waiting) + 1)  # store whatever came meanwhile

    def _quantised(self, point: Point) -> fx.GraphModule:
        assert self._model.calibration is not None, "which the support check has seen to"
        made = quantize(self._program, self._model.calibration, self.settings(point))
        if self._training is None:
            return made
        if point not in self._trained:
            self._trained[point] = self._training(
                made,
                self._program,
                lambda _, done, of: self._progress(f"training {point}", done, of),
            )
        return self._trained[point]

    def as_built(self, point: Point) -> tuple[Model, Settings | None]:
        """What ``flow.build`` makes the point's integers of."""
        if self._training is None:
            return self._model, self.settings(point)
        return replace(self._model, source=self._quantised(point)), None

    def _harvest(self, room: int) -> None:
        """Store what is finished; wait until fewer than ``room`` tasks are on their way."""
        while self._waiting:
            enough = len(self._waiting) < room
            done, _ = wait(self._waiting, 0 if enough else None, FIRST_COMPLETED)
            for future in done:
                task = self._waiting.pop(future)
                value, seconds = future.result()
                self._store.put(task.kind, task.inputs, value, seconds)
                self._known[task.point, task.place] = value
                self._tell()
            if enough and not done:
                return

    def _tell(self) -> None:
        lost = len(self._failed) * (len(self._boards) + bool(self._model.test))
        self._progress("accuracies and plans", len(self._known) + lost, self._of)

    def _measure_float(self) -> None:
        if self._float is not None or not self._model.test:
            return
        if not isinstance(self._model.source, torch.nn.Module):
            return
        key = {
            "kind": "float",
            "program": self._common["program"],
            "test": self._test,
            "made_by": inputs.sources("integers"),
        }
        self._float = self._store.get(key)
        if self._float is None:
            start = time.perf_counter()
            self._float = models.accuracy(self._model.source, *self._model.test)
            self._store.put("float", key, self._float, time.perf_counter() - start)

    def plan_of(self, point: Point, board: Board) -> dict:
        """What is known of a point on a board."""
        if point in self._failed:
            return {"fits": False, "lacking": str(self._failed[point])}
        return self._known[point, board.name]

    def write(
        self, folder: Path, more: Mapping[tuple[Point, str], Mapping]
    ) -> tuple[Sweep, list[Path]]:
        """The table as it stands, and its files."""
        rows = [
            row(
                board.name,
                (point.weights, point.activations),
                self._known.get((point, None)),
                self.plan_of(point, board),
                more.get((point, board.name), {}),
            )
            for board in self._boards
            for point in self._points
        ]
        made = Sweep(
            model=self._model.name,
            fps_asked=self._fps,
            calibration=self._calibration,
            images=len(self._model.test[1]) if self._model.test else None,
            accuracy_float=self._float,
            boards=self._boards,
            rows=with_fronts(rows),
            training=asdict(self._training.recipe) if self._training else None,
        )
        plots: dict[str, bytes] = {}
        for board in self._boards:
            plots |= pareto.files(made.model, board, made.on(board), made.accuracy_float, self._fps)
        return made, list(write_files(folder, made, plots))
