"""Chosen points, built: area from Yosys, and the simulation of the Verilog."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hwgen import flow
from hwgen.compress import Settings
from hwgen.model import Model
from hwgen.sweep import inputs
from hwgen.sweep.store import Store, digest

__all__ = ["measure"]

Progress = Callable[[str, int, int], None]

RESOURCES = ("lut", "ff", "dsp", "bram")


def measure(
    made: Callable[[], tuple[Model, Settings | None]],
    board: str,
    fps: float | None,
    folder: Path,
    key: Mapping,
    store: Store,
    synth: bool,
    sim: bool,
    progress: Progress,
) -> dict:
    """Build what is ``made`` into ``folder`` for ``board`` (name or file) and measure it; columns
    of the table.

    ``key`` is what its plan depends on. What the store holds under it is taken as it is, as long
    as the build is there too. Raises ToolError.
    """
    key = {**key, "made_by": inputs.sources("measured")}
    place = {"kind": "build", "folder": folder.name}
    # Another frame rate, say, may have been built here since.
    current = (folder / "manifest.json").is_file() and store.get(place) == digest(key)
    if not current:
        start = time.perf_counter()
        progress(f"{folder.name} build", 0, 1)
        model, settings = made()
        flow.build(model, board, folder, settings=settings, fps=fps, force=True)
        progress(f"{folder.name} build", 1, 1)
        store.put("build", place, digest(key), time.perf_counter() - start)
    found: dict = {}
    for kind, wanted, step in (("synth", synth, _synthesise), ("sim", sim, _simulate)):
        if wanted:
            own = {**key, "kind": kind}
            value = store.get(own) if current else None
            if value is None:
                start = time.perf_counter()
                value = step(folder, progress)
                store.put(kind, own, value, time.perf_counter() - start)
            found |= value
    return found


def _synthesise(folder: Path, progress: Progress) -> dict:
    what = f"{folder.name} Yosys"
    progress(what, 0, 1)
    report = flow.estimate(folder, synth=True)
    progress(what, 1, 1)
    area = report["area"]["synthesized"]
    return {f"{name}_synthesized": area[name] for name in RESOURCES}


def _simulate(folder: Path, progress: Progress) -> dict:
    result = flow.simulate(
        folder, progress=lambda what, done, of: progress(f"{folder.name} {what}", done, of)
    )
    cycles = result.report["cycles"]
    return {
        "bit_exact": result.bit_exact,
        "cycles_exact": result.cycles_exact,
        "frames_simulated": result.report["frames"],
        "interval_simulated": cycles["interval"]["simulated"],
        "latency_simulated": cycles["latency"]["simulated"],
    }
