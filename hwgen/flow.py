"""The pipeline: one readable function for each command."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hwgen.board import load_board
from hwgen.compress import Settings
from hwgen.emit import check_target, write_build, write_ip
from hwgen.errors import Problem, UserError, together
from hwgen.frontend import (
    first_of,
    load_calibration,
    load_events,
    quantise_input,
)
from hwgen.integers import Integers, Progress, integers, silent
from hwgen.manifest import Manifest, read_manifest
from hwgen.model import Data, Model, ModelLike, find
from hwgen.network import Network, StoreError, load_network
from hwgen.plan import Engines, Plan, PlanError, check_names, plan, plan_from_json
from hwgen.plan.rate import decided, play_stages, solo
from hwgen.report import record
from hwgen.report.page import write_page
from hwgen.sim import Result, build_binary, check_stall
from hwgen.sim import simulate as run_simulation
from hwgen.synth import synthesise

__all__ = ["Integers", "Simulated", "build", "estimate", "integers", "load_build", "simulate"]

#: Frames that a build keeps for its simulations, and the most bytes that they may take.
FRAMES, FRAME_BYTES = 128, 16 << 20

#: How often source and sink are idle in the run that tests values under back-pressure.
STALL = 0.3


#: Files of a build directory that must be what hwgen wrote, besides the Verilog.
HELD = ("network.json", "network.safetensors", "plan.json", "frames.npz")


def build(
    model: ModelLike,
    board: str | Path = "ulx3s",
    out: str | Path | None = None,
    calibrate: Data | None = None,
    settings: Settings | None = None,
    fps: float | None = None,
    engine: Engines = "auto",
    max_port_width: int | None = None,
    ip: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> dict:
    """Network to build directory ``out`` (``build/NAME`` by default); returns its report.

    ``engine`` asks for one of ``plan.NAMES`` for all layers that can have it, or by layer name.
    ``max_port_width`` limits ``tdata`` of every AXI4-Stream port, in bits. ``ip`` adds a Tcl script
    that packages the accelerator for Vivado, which is not run.

    Raises UserError, before anything is written.
    """
    target, found, _, _, _ = together(
        lambda: load_board(board),
        lambda: find(model, calibrate),
        lambda: _check_rate(fps),
        lambda: check_names(engine),
        lambda: check_target(Path(out), force) if out is not None else None,
    )
    folder = Path(out) if out is not None else Path("build") / found.name
    check_target(folder, force)
    made = integers(found, settings, progress)
    frames = _frames(found, made)
    planned = plan(made.network, target, fps, progress, engine, max_port_width, frames)
    report = record.fresh(found.name, planned, asdict(made.decisions)) | made.report

    def finish(partial: Path, manifest: Manifest) -> None:
        if ip:
            write_ip(partial, manifest)
        write_page(partial)

    write_build(folder, found.name, made.network, planned, frames, report, force, progress, finish)
    return report


def _check_rate(fps: float | None) -> None:
    if fps is not None and not (fps > 0 and math.isfinite(fps)):
        raise UserError(Problem(None, f"{fps:g} frames/s are no rate", "give a number above 0"))


def _frames(model: Model, made: Integers) -> dict[str, np.ndarray]:
    """Real inputs for simulations: from the test set, or else the calibration data."""
    images = model.test[0] if model.test else made.frames
    size = sum(prod(node.type.shape) for node in made.network.inputs)
    count = min(FRAMES, max(2, FRAME_BYTES // size))
    return quantise_input(made.network, first_of(images, count))


def load_build(folder: str | Path) -> tuple[Network, Plan]:
    """Network and plan of a build directory; UserError if it is none, or is not what was built."""
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        what = f"{folder} is no build directory" if folder.exists() else f"there is no {folder}"
        raise UserError(Problem(None, what, "give a folder that hwgen build wrote"))
    try:
        manifest = read_manifest(folder)
        held = {*HELD, *(f"rtl/{source}" for source in manifest.sources)}
        changed = sorted({*manifest.changed(folder), *(held - set(manifest.hashes))})
        if changed:
            reason = f"{folder} is not what hwgen built: {', '.join(changed)} changed or missing"
            raise UserError(Problem(None, reason, "build it anew"))
        network = load_network(folder)
        return network, plan_from_json((folder / "plan.json").read_text(), network)
    except (StoreError, PlanError, ValueError, OSError) as error:
        raise UserError(Problem(None, str(error), "build it anew")) from error


def _read_report(folder: Path) -> dict:
    try:
        return record.read(folder)
    except (ValueError, OSError) as error:
        reason = f"{folder / record.NAME} is missing or damaged: {error}"
        raise UserError(Problem(None, reason, "build it anew")) from error


@dataclass(frozen=True)
class Simulated:
    """What the simulations of a build showed: one without stalls, one with.

    ``cycles_exact``: every frame ended in the very cycle that the token game foretold.
    """

    free: Result
    stalled: Result
    cycles_exact: bool
    report: dict

    @property
    def bit_exact(self) -> bool:
        """Outputs and every layer's stream are what the golden model says, in both runs."""
        return self.free.bit_exact and self.stalled.bit_exact


def simulate(
    folder: str | Path,
    frames: int | None = None,
    images: Data | None = None,
    stall: float = STALL,
    seed: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Simulated:
    """Run the Verilog of a build with real frames, back to back, and compare everything.

    ``images`` are float inputs, or an ``.npz`` file of them; by default, those that came with the
    build. The report of the build is brought up to date. Raises UserError, and SimulationError
    when the simulator is missing or broke.
    """
    folder = Path(folder)
    check_stall(stall)
    network, planned = load_build(folder)
    _read_report(folder)
    given = {name: array[:frames] for name, array in _given_frames(folder, network, images).items()}
    count = len(next(iter(given.values())))
    progress("Verilator", 0, 1)
    build_binary(folder)  # both runs find it in the cache
    progress("Verilator", 1, 1)
    results = []
    for what, rate in (("no stalls", 0.0), ("random stalls", stall)):
        progress(what, 0, count)
        results.append(
            run_simulation(
                folder,
                given,
                stall=(rate, rate),
                seed=seed,
                progress=lambda done, of, cycles, what=what: progress(what, done, of),
            )
        )
    free, stalled = results
    data = decided(planned.stages, network, given)
    foretold = play_stages(planned.stages, count, data=data).ends
    first = free.first_input_cycle or 0
    ends = tuple(cycle - first for cycle in free.last_output_cycles)
    interval: float | None = free.interval
    if planned.data and len(ends) > 1:
        interval = round((ends[-1] - ends[0]) / (len(ends) - 1), 1)
    changes = {
        "bit_exact": free.bit_exact and stalled.bit_exact,
        "frames": count,
        "cycles": {
            "interval": {"simulated": interval},
            "latency": {"simulated": free.latency},
        },
        "simulation": {
            "cycles": free.cycles + stalled.cycles,
            "seconds": round(free.seconds + stalled.seconds, 3),
            "stall_rate": stall,
            "every_frame_on_time": ends == foretold,
        },
    }
    report = record.update(folder, changes)
    write_page(folder)
    return Simulated(free, stalled, ends == foretold, report)


def _given_frames(folder: Path, network: Network, images: Data | None) -> dict[str, np.ndarray]:
    if isinstance(images, str | Path) and (events := load_events(images, network)) is not None:
        return quantise_input(network, events)
    if images is not None:
        given = load_calibration(images) if isinstance(images, str | Path) else images
        return quantise_input(network, given)
    try:
        with np.load(folder / "frames.npz", allow_pickle=False) as stored:
            return {port.carries: stored[port.name] for port in read_manifest(folder).inputs}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = f"{folder / 'frames.npz'} is missing or damaged: {error}"
        raise UserError(Problem(None, reason, "build it anew")) from error


def estimate(
    model: ModelLike,
    board: str | Path = "ulx3s",
    calibrate: Data | None = None,
    settings: Settings | None = None,
    fps: float | None = None,
    engine: Engines = "auto",
    max_port_width: int | None = None,
    synth: bool = False,
    progress: Progress = silent,
) -> dict:
    """What a build will cost, layer by layer, without writing one; or what an existing one does.

    ``model`` may be a build directory, which then says all the rest. With ``synth`` Yosys measures
    the area of the Verilog. Returns the report, with ``layers`` added. Raises UserError.
    """
    folder = Path(model) if isinstance(model, str | Path) else None
    if folder is not None and folder.is_dir():
        _, planned = load_build(folder)
        report = _read_report(folder)
        if synth:
            report = record.update(folder, _synthesised(folder, planned, progress))
            write_page(folder)
        return report | {"layers": layers(planned)}
    target, found, _, _ = together(
        lambda: load_board(board),
        lambda: find(model, calibrate),
        lambda: _check_rate(fps),
        lambda: check_names(engine),
    )
    made = integers(found, settings, progress)
    frames = _frames(found, made)
    planned = plan(made.network, target, fps, progress, engine, max_port_width, frames)
    report = record.fresh(found.name, planned, asdict(made.decisions)) | made.report
    if synth:
        with tempfile.TemporaryDirectory(prefix="hwgen-") as temporary:
            place = Path(temporary) / "build"
            frames = {n: some[:2] for n, some in frames.items()}
            write_build(place, found.name, made.network, planned, frames, report, False, progress)
            report = record.merged(report, _synthesised(place, planned, progress))
    return report | {"layers": layers(planned)}


def _synthesised(folder: Path, planned: Plan, progress: Progress) -> dict:
    progress("Yosys")
    family, luts = planned.board.family, planned.area.lut
    measured = synthesise(folder / "rtl", "accelerator", family, luts=luts)
    return {"area": {"synthesized": asdict(measured)}}


def layers(planned: Plan) -> list[dict]:
    """One row a stage: cycles by itself, multipliers, area, and why it is as it is."""
    rows = []
    for stage in planned.stages:
        rows.append(
            {
                "name": stage.name,
                "layer": stage.node,
                "engine": type(stage.spec).__name__.removesuffix("Spec"),
                "interval": stage.interval,
                "latency": solo(stage).latency,
                "multipliers": getattr(stage.spec, "multipliers", 0),
                **asdict(stage.area),
                "reason": stage.reason,
            }
        )
    return rows
