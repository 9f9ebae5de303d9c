"""One network on one board, measured step by step."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.steps import Steps
from hwgen import flow
from hwgen.board import load_board
from hwgen.compress import Settings
from hwgen.cost import Area
from hwgen.emit import write_build
from hwgen.frontend import quantise_input
from hwgen.manifest import read_manifest
from hwgen.model import Model, find
from hwgen.plan import Plan, plan
from hwgen.report import record
from hwgen.sim.verilator import build_binary
from hwgen.synth import route, synthesise
from hwgen.synth.route import FAMILIES as ROUTED
from hwgen.synth.tools import Overrun, TooLarge

__all__ = ["Bench", "Prepared", "prepare"]

#: Frames simulated, back to back: enough for a steady interval, and for seconds to mean something.
FRAMES = 128

#: Seconds that nextpnr may take.
ROUTING = 3600

#: The router strives for more than the board's clock, to show what there is; seeds are luck, so
#: one is fixed.
TARGET, SEED = 1.25, 1


@dataclass(frozen=True)
class Prepared:
    """A network as integers, which every board shares."""

    model: Model
    made: flow.Integers
    seconds: float


def prepare(network: str, bits: int, progress: Callable[[str], None]) -> Prepared:
    """Quantise ``network`` and measure both accuracies on its whole test set."""
    start = perf_counter()
    model = find(network)
    made = flow.integers(model, Settings(bits, bits), progress)
    return Prepared(model, made, perf_counter() - start)


@dataclass
class Bench:
    """Measures one design; ``progress`` hears what goes on, ``done`` each result."""

    board: str
    prepared: Prepared
    work: Path
    steps: Steps
    progress: Callable[[str], None]
    done: Callable[[str], None]

    @property
    def name(self) -> str:
        """Network and board."""
        return f"{self.prepared.model.name} on {self.board}"

    def measure(self, synth: bool) -> dict:
        """Everything that goes into the table; areas and clocks if ``synth``."""
        folder, planned, seconds = self._build()
        digest = _digest(folder)
        step = {
            "simulator": lambda: self._simulator(folder),
            "simulated": lambda: self._simulate(folder),
        }
        if synth:
            step["synthesised"] = lambda: self._synthesise(folder, planned)
        if synth and planned.board.family in ROUTED:
            step["routed"] = lambda: self._route(folder, planned)
        found = {}
        for name, run in step.items():
            self.progress(f"{self.name}: {name}")
            found[name] = self.steps(f"{self.name} {name}", digest, run)
            self.done(f"{self.name}: {name} done")
        return self._result(planned, seconds, found)

    def _build(self) -> tuple[Path, Plan, dict[str, float]]:
        """Plan and emit, timed. Never stored: these are what all other steps start from."""

        def progress(what: str) -> None:
            self.progress(f"{self.name}: {what}")

        network, model = self.prepared.made.network, self.prepared.model
        start = perf_counter()
        planned = plan(network, load_board(self.board), None, progress)
        planning = perf_counter() - start
        assert model.test is not None, "reference networks come with a test set"
        frames = quantise_input(network, model.test[0][:FRAMES])
        report = record.fresh(model.name, planned, asdict(self.prepared.made.decisions))
        folder = self.work / f"{model.name}-{self.board}"
        start = perf_counter()
        write_build(folder, model.name, network, planned, frames, report, True, progress)
        emitting = perf_counter() - start
        self.done(f"{self.name}: planned in {planning:.1f} s, emitted in {emitting:.1f} s")
        return folder, planned, {"plan": round(planning, 1), "emit": round(emitting, 1)}

    def _simulator(self, folder: Path) -> dict:
        """Seconds to build the simulator, with nothing of it in the cache."""
        with _empty_cache():
            start = perf_counter()
            build_binary(folder)
            return {"seconds": round(perf_counter() - start, 1)}

    def _simulate(self, folder: Path) -> dict:
        def progress(what: str, done: int, of: int) -> None:
            self.progress(f"{self.name}: simulating, {what}, {done} of {of} frames")

        found = flow.simulate(folder, progress=progress)
        return {
            "bit_exact": found.bit_exact,
            "every_frame_on_time": found.cycles_exact,
            "frames": found.free.frames,
            "interval": found.free.interval,
            "latency": found.free.latency,
            "frames_per_second": round(found.free.frames / found.free.seconds, 1),
            "cycles_per_second": round(found.free.cycles / found.free.seconds),
        }

    def _synthesise(self, folder: Path, planned: Plan) -> dict | None:
        start = perf_counter()
        try:
            area = synthesise(
                folder / "rtl",
                "accelerator",
                planned.board.family,
                lambda what: self.progress(f"{self.name}: Yosys, {what}"),
                planned.area.lut,
            )
        except TooLarge:
            return None
        return {"area": asdict(area), "seconds": round(perf_counter() - start, 1)}

    def _route(self, folder: Path, planned: Plan) -> dict | None:
        start = perf_counter()
        try:
            routed = route(
                folder / "rtl",
                "accelerator",
                planned.board.family,
                planned.board.device,
                target_mhz=TARGET * planned.board.clock_mhz,
                seed=SEED,
                progress=lambda what: self.progress(f"{self.name}: nextpnr, {what}"),
                limit=ROUTING,
            )
        except Overrun:
            return None
        found = asdict(routed) | {"clock_mhz": round(routed.clock_mhz, 2)}
        return found | {"seconds": round(perf_counter() - start, 1)}

    def _result(self, planned: Plan, seconds: dict[str, float], found: dict) -> dict:
        board, routed, made = planned.board, found.get("routed"), found.get("synthesised")
        simulated = found["simulated"]
        clock = routed["clock_mhz"] if routed else board.clock_mhz
        seconds = seconds | {
            "quantise_and_accuracy": round(self.prepared.seconds, 1),
            "simulator": found["simulator"]["seconds"],
            "synthesise": made["seconds"] if made else None,
            "route": routed["seconds"] if routed else None,
        }
        return {
            "title": board.title,
            "bit_exact": simulated["bit_exact"],
            "every_frame_on_time": simulated["every_frame_on_time"],
            "cycles": {
                key: {"estimated": getattr(planned, key), "simulated": simulated[key]}
                for key in ("interval", "latency")
            },
            "multipliers": {role: planned.multipliers(role) for role in ("mac", "requantise")},
            "utilisation": round(planned.utilisation, 4),
            "fifos": planned.fifos,
            "area": {
                "board": {name: getattr(board, name) for name in asdict(Area())},
                "estimated": asdict(planned.area),
                "synthesised": made["area"] if made else None,
            },
            "clock": {
                "assumed_mhz": board.clock_mhz,
                "routed": routed,
                "used_mhz": clock,
                "source": "routed" if routed else "assumed",
            },
            "frames_per_second": round(clock * 1e6 / planned.interval, 1),
            "seconds": seconds,
            "simulation": {key: simulated[key] for key in SPEEDS},
        }


SPEEDS = ("frames", "frames_per_second", "cycles_per_second")


def _digest(folder: Path) -> str:
    """Of all that is simulated, synthesised and routed."""
    hashes = sorted(read_manifest(folder).hashes.items())
    wanted = [f"{name} {value}" for name, value in hashes if name.startswith(("rtl/", "plan"))]
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]


@contextmanager
def _empty_cache() -> Iterator[None]:
    before = os.environ.get("HWGEN_CACHE")
    with tempfile.TemporaryDirectory(prefix="hwgen-") as temporary:
        os.environ["HWGEN_CACHE"] = temporary
        try:
            yield
        finally:
            if before is None:
                del os.environ["HWGEN_CACHE"]
            else:
                os.environ["HWGEN_CACHE"] = before
