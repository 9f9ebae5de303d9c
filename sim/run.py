"""Simulate a build directory against its own golden model, every stream and every beat."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwgen.errors import Problem, UserError, refuse
from hwgen.manifest import Manifest, read_manifest
from hwgen.network import Frames, Network, load_network
from hwgen.sim.golden import Wire, chunks, decode, wires_of
from hwgen.sim.locate import locate, locate_deadlock
from hwgen.sim.result import Result
from hwgen.sim.verilator import SimulationError, build_binary

__all__ = ["check_stall", "simulate"]

#: The largest share of cycles in which sources and sinks may be idle.
MOST_STALL = 0.95

#: Cycles of waveform kept before and after the first mistake.
WINDOW = (300, 60)

#: Called with frames that came out whole, frames asked for, and cycles so far.
Progress = Callable[[int, int, int], None]


def simulate(
    build: Path,
    frames: Frames,
    *,
    stall: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    reset_after: int = 0,
    patience: int | None = None,
    trace: bool = True,
    progress: Progress | None = None,
) -> Result:
    """Run ``frames``, (N, *shape) of each input, integers, through the accelerator in ``build``.

    ``stall`` is how often each source and each sink is idle, 0 to 0.95; with 0 sources always offer
    and sinks always take. ``reset_after`` resets the accelerator after so many cycles and starts
    over with the first frame. ``patience`` cycles in which nothing moves are a deadlock (by
    default, longer than any layer can compute in silence). With ``trace``, a mistake is run again
    and ``build/sim/mismatch.vcd`` shows the cycles around it.

    Raises UserError if directory and frames do not fit, SimulationError if the simulator broke.
    """
    check_stall(*stall)
    build = Path(build).resolve()
    try:
        manifest, network = read_manifest(build), load_network(build)
        wires = wires_of(manifest, network)
    except ValueError as error:
        raise UserError(Problem(None, str(error), "emit the accelerator anew")) from error
    given = _checked(network, frames)
    count = len(next(iter(given.values())))
    if patience is None:
        patience = int(_silence(network) / (1 - max(stall)) ** 2)
    options = [*map(repr, map(float, stall)), str(seed), str(patience), str(reset_after)]
    run = _Run(build, network, wires, given, len(manifest.outputs), options)
    report, outputs = run(build_binary(build), progress)
    mismatches = locate(report["mismatches"], wires)
    deadlock = None
    if report["end"] == "deadlock":
        deadlock = locate_deadlock(report, network, wires, manifest, count)
    asserted = None
    if report["end"] == "assertion":
        asserted = "\n".join([report["stopped_at"], *report["log"]])
    exact = report["end"] == "complete" and not report["wrong_beats"]

    waveform = None
    if trace and not exact:
        if mismatches:
            middle = mismatches[0].cycle
        else:
            middle = deadlock.cycle if deadlock else report["cycles"]
        waveform = build / "sim" / "mismatch.vcd"
        waveform.parent.mkdir(exist_ok=True)
        window = (max(0, middle - WINDOW[0]), middle + WINDOW[1])
        run(build_binary(build, trace=True), None, window, waveform)

    first, lasts = report["first_input"], tuple(report["last_outputs"])
    calm = not any(stall)
    return Result(
        bit_exact=exact,
        frames=len(lasts),
        mismatches=mismatches,
        wrong_beats=report["wrong_beats"],
        deadlock=deadlock,
        assertion=asserted,
        first_input_cycle=first if first >= 0 else None,
        last_output_cycles=lasts,
        latency=lasts[0] - first if calm and lasts else None,
        interval=lasts[-1] - lasts[-2] if calm and len(lasts) > 1 else None,
        cycles=report["cycles"],
        seconds=report["seconds"],
        outputs=_frames(manifest, wires, outputs, len(lasts)),
        trace=str(waveform) if waveform else None,
    )


def _checked(network: Network, frames: Frames) -> dict[str, np.ndarray]:
    """Integers of each input; UserError if they do not fit."""
    try:
        given = network.given(frames)
    except ValueError as error:
        raise UserError(Problem(None, str(error), "give one array for each input")) from error
    problems = []
    for node in network.inputs:
        if not len(given[node.name]):
            problems.append(Problem(node.name, "there are no frames", "give at least one"))
            continue
        try:
            node.op.compute(given[node.name])
        except ValueError as error:
            problems.append(Problem(node.name, str(error), "quantise frames as the input"))
    refuse(problems)
    return given


def _silence(network: Network) -> int:
    """Cycles a frame that the slowest layer may take on its own: one operation a cycle, twice."""
    slowest = max(
        max(getattr(node.op, "operations", getattr(node.op, "macs", 0)), np.prod(node.type.shape))
        for node in network
    )
    return 10_000 + 2 * int(slowest)


def _frames(
    manifest: Manifest, wires: tuple[Wire, ...], outputs: list[bytes], count: int
) -> dict[str, np.ndarray]:
    """What came out, (count, *shape), by the names of the outputs."""
    found = {}
    last = wires[-len(outputs) :]
    for port, wire, data in zip(manifest.outputs, last, outputs, strict=True):
        beats = np.frombuffer(data, np.uint8).reshape(-1, wire.stride)[: count * wire.beats.count]
        found[port.carries] = wire.beats.unpack(decode(wire, beats)).astype(np.int64)
    return found


def check_stall(*rates: float) -> None:
    """UserError unless sources and sinks may be idle as often as ``rates`` say."""
    refuse(
        Problem(None, f"{rate:g} is no share of idle cycles", f"give a stall of 0 to {MOST_STALL}")
        for rate in rates
        if not 0 <= rate <= MOST_STALL
    )


class _Run:
    """One set of data and stalls, for the fast binary and again for the one that traces."""

    def __init__(self, build, network, wires, frames, outputs, options):
        self.rtl = build / "rtl"  # memories are loaded from here, by relative paths
        self.golden = network, wires, frames
        self.outputs, self.options = outputs, options

    def __call__(
        self,
        binary: Path,
        progress: Progress | None,
        window: tuple[int, int] = (0, 2**64 - 1),
        waveform: Path | None = None,
    ) -> tuple[dict, list[bytes]]:
        """``(report, beats of each output)``; a waveform replaces the old one when complete."""
        with tempfile.TemporaryDirectory(prefix="hwgen-") as temporary:
            work = Path(temporary)
            command = [str(binary), str(work / "report.json"), str(work / "outputs")]
            command += [*self.options, *map(str, window), str(work / "trace.vcd")]
            with (work / "log").open("w+b") as log:
                self._drive(command, log, progress)
                log.seek(0)
                said = log.read().decode(errors="replace").splitlines()
            report = json.loads((work / "report.json").read_bytes())
            report["log"] = said[:20]
            if waveform:
                partial = waveform.with_suffix(".part")
                partial.write_bytes((work / "trace.vcd").read_bytes())
                partial.replace(waveform)
            return report, [(work / f"outputs{n}").read_bytes() for n in range(self.outputs)]

    def _drive(self, command: list[str], log, progress: Progress | None) -> None:
        total = len(next(iter(self.golden[2].values())))
        process = subprocess.Popen(
            command,
            cwd=self.rtl,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.PIPE,
        )
        failures: list[Exception] = []
        feeder = threading.Thread(target=self._feed, args=(process.stdin, failures), daemon=True)
        feeder.start()
        told = []
        try:
            for line in process.stderr:  # type: ignore[union-attr]
                words = line.decode(errors="replace").split()
                if words[:1] != ["progress"]:
                    told.append(" ".join(words))
                elif progress:
                    progress(int(words[1]), total, int(words[2]))
            process.wait()
        finally:
            process.kill()
            process.wait()
            feeder.join()
            process.stderr.close()  # type: ignore[union-attr]
        if failures:
            raise failures[0]
        if process.returncode:
            log.seek(0)
            told += log.read().decode(errors="replace").splitlines()[-10:]
            raise SimulationError(
                f"the simulation broke (status {process.returncode}):\n" + "\n".join(told[-20:])
            )

    def _feed(self, pipe, failures: list[Exception]) -> None:
        """Golden model and simulation run at the same time; the pipe holds back the faster one."""
        try:
            with pipe:
                for data in chunks(*self.golden):
                    pipe.write(data)
        except BrokenPipeError:
            pass  # the driver saw enough
        except Exception as error:
            failures.append(error)
