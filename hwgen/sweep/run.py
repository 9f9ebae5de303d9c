"""A sweep: every point's integers are made once, measured once, and planned for every board."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path

import torch
from torch import fx

from hwgen.compress import Settings
from hwgen.emit import check_target
from hwgen.errors import Problem, UserError, refuse, together
from hwgen.frontend.check import problems
from hwgen.frontend.decomposed import is_quantised
from hwgen.frontend.images import check_frames, frames_of
from hwgen.frontend.load import load
from hwgen.frontend.program import entries, leaving
from hwgen.frontend.spiking import is_spiking
from hwgen.model import Data, Model, ModelLike, find
from hwgen.sweep import measured
from hwgen.sweep.job import Job, Progress
from hwgen.sweep.labelled import check_labels, load_test_set
from hwgen.sweep.points import Point, bits, boards, chosen, rate, span
from hwgen.sweep.store import Store
from hwgen.sweep.table import Sweep
from hwgen.sweep.training import Training, training

__all__ = ["JOBS", "STORE", "sweep"]

STORE = "sweep.sqlite"

JOBS = 2


def sweep(
    model: ModelLike,
    weights: str | Iterable[int] = "2..8",
    activations: str | Iterable[int] = "4..8",
    on: str | Iterable[str | Path] = "ulx3s",
    fps: float | None = None,
    out: str | Path | None = None,
    calibrate: Data | None = None,
    test: str | Path | None = None,
    calibration: str = "mse",
    jobs: int = JOBS,
    synth: str | Iterable[str] | None = None,
    sim: str | Iterable[str] | None = None,
    train: int | None = None,
    train_data: str | Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> tuple[Sweep, list[Path]]:
    """Accuracy and plan of ``model`` at every combination of bits, on every board of ``on``.

    Results are kept in ``out`` (``build/sweep/NAME`` by default) as soon as they are there; those
    that are there already, under the same hash of everything they depend on, are taken as they
    are. ``synth`` and ``sim`` name points to be built, and measured by Yosys or simulated by
    Verilator. ``test`` is an ``.npz`` file of images and labels, to be measured on instead of the
    reference network's own. With ``train`` each point is trained that many epochs on its bits, on
    the images and labels of the ``.npz`` file ``train_data``; without, it is quantised as it is.
    Returns what came out and the files that were written.

    Raises UserError, naming all mistakes, before anything is written.
    """
    weight_bits, activation_bits, places, found, labelled, taught, *_ = together(
        lambda: bits("--weights", weights),
        lambda: bits("--activations", activations),
        lambda: boards(on),
        lambda: find(model, calibrate),
        lambda: load_test_set(test) if test is not None else None,
        lambda: training(train, train_data),
        lambda: rate(fps),
        lambda: _check_jobs(jobs),
        lambda: Settings(calibration=calibration),  # type: ignore[arg-type]
    )
    found = replace(found, test=labelled or found.test)
    points, targets = span(weight_bits, activation_bits), tuple(places)
    folder = Path(out) if out is not None else Path("build") / "sweep" / found.name
    synthesised, simulated, _ = together(
        lambda: chosen("--synth", synth, points, targets),
        lambda: chosen("--sim", sim, points, targets),
        lambda: _check_folder(folder),
    )
    builds = {f"{p}-{b.name}": (p, b) for p, b in (*synthesised, *simulated)}
    together(*(lambda name=name: check_target(folder / name, True) for name in builds))
    with _one_torch_thread():
        program = _program(found, taught)
        assert found.calibration is not None, "which has been seen to"
        (images,) = frames_of(list(entries(program)), found.calibration).values()
        found = replace(found, calibration=images.numpy())
        folder.mkdir(parents=True, exist_ok=True)
        with Store(folder / STORE) as store:
            job = Job(found, program, points, targets, fps, calibration, store, progress, taught)
            job.run(jobs)
            more: dict[tuple[Point, str], dict] = {}
            made, files = job.write(folder, more)  # before what takes long, and may go wrong
            for name, (point, board) in builds.items():
                if not job.plan_of(point, board)["fits"]:
                    continue
                more[point, board.name] = measured.measure(
                    partial(job.as_built, point),
                    places[board],
                    fps,
                    folder / name,
                    job.key("plan", point, board),
                    store,
                    synth=(point, board) in synthesised,
                    sim=(point, board) in simulated,
                    progress=progress,
                )
                made, files = job.write(folder, more)
            return made, files


def _check_jobs(jobs: int) -> None:
    if not 1 <= jobs <= 256:
        raise UserError(Problem(None, f"{jobs} jobs are no number of processes", "give 1 to 256"))


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(Problem(None, f"{folder} is no folder", "give another --out"))


def _program(model: Model, taught: Training | None) -> fx.GraphModule:
    """The float network, exported once; UserError with everything that is wrong with it."""
    if is_spiking(model.source):
        remedy = "build it with each number of bits: --weights 1 to 8"
        raise UserError(Problem(None, f"{model.name} is spiking, which is not swept", remedy))
    program = load(model.source, model.calibration)
    if is_quantised(program.graph) or model.calibration is None:
        reason = f"{model.name} is already quantised, so there are no bits to choose"
        raise UserError(Problem(None, reason, "build it as it is, or give the float network"))
    edges = (list(entries(program)), "inputs"), (list(map(str, leaving(program))), "outputs")
    refuse(
        Problem(
            None,
            f"the network has {len(names)} {what} ({', '.join(names)}), and a sweep compares one",
            "estimate it at each number of bits: hwgen estimate MODEL --bits 8",
        )
        for names, what in edges
        if len(names) > 1
    )
    images = [model.calibration, *([] if model.test is None else [model.test[0]])]
    given = [frames_of(list(entries(program)), some) for some in images]
    found = [problem for some in given for problem in check_frames(program, some)]
    shape = leaving(program)[0].meta.get("shape")
    if model.test is not None and shape and None not in shape[1:]:
        found += check_labels(model.test[1], prod(shape[1:]))
    refuse([*found, *problems(program), *(taught.problems(program) if taught else ())])
    return program


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Cores are for the processes; and the order of float sums does not vary with the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
