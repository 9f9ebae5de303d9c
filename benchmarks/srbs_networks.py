"""Whole networks, sparse against dense: planned for an Alveo U250, emitted, simulated end to end.

python -m benchmarks.srbs_networks                   # go on where an interrupted run stopped
python -m benchmarks.srbs_networks --networks vgg16 --fresh      # measure all of it again

VGG16 on 32x32 images, ResNet-18 on 224x224, with random 8-bit weights (``srbs_builders``), of which
3 and 4 of each 16 are kept. Weights in block RAM only. Left alone, the planner would take more
multipliers, of which the board has plenty, to save some block RAM; for the comparison it may use
``BLOCKS`` DSP blocks, and need not save block RAM, but has to fit. Dense pipelines, whose weights
do not fit, are planned for a board of as much block RAM as they take, and 16/3 and 16/4 times the
cycles, so that multipliers are about as many; their cycles are foretold, not simulated. Writes
``networks`` in ``docs/benchmarks/srbs.json``.
"""

import argparse
import json
import resource
import time
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks import command
from benchmarks.layers import chosen
from benchmarks.srbs import PATTERNS, RESULT, keep
from benchmarks.srbs_builders import Weights, resnet18, vgg16
from hwgen.board import load_board
from hwgen.emit import write_build
from hwgen.network import Network
from hwgen.plan import Plan, plan
from hwgen.report import record
from hwgen.rtl_templates import ConvSpec, SparseSpec
from hwgen.rtl_templates.tiled import TiledSpec
from hwgen.sim import simulate
from hwgen.sim.verilator import build_binary

BOARD = "alveo_u250"

#: By network: what builds it, pixels of a side of its images, cycles a frame that are asked for,
#: and frames that are simulated, back to back: until they come evenly.
NETWORKS = {"vgg16": (vgg16, 32, 12_288, 6), "resnet18": (resnet18, 224, 401_408, 3)}

#: DSP blocks that may be used.
BLOCKS = 5000

#: Frames on which activations fill their range, the first of those that are simulated.
FRAMES = 3

#: What is known when a network's plan, the two dense ones, and its simulation are.
DONE = {
    "seconds_emit",
    "dense_winograd_utilisation",
    "dense_direct_utilisation",
    "bit_exact",
}

#: Build directories.
WORK = Path("build/srbs_networks")

#: Products of direct convolution, 3x3, for each of F(2x2,3x3).
TAPS = Fraction(9, 4)

#: More than any pipeline takes.
UNLIMITED = 1 << 30


class Kept:
    """What is known of one network, written down as soon as it is."""

    def __init__(self, name: str, fresh: bool):
        self.name = name
        written = self._written()
        known = written.get(name, {})
        # What is missing does not stand beside what was measured elsewhere, or with other tools.
        if fresh or not (known.keys() >= DONE or command.measured_here(RESULT, known)):
            keep(networks={other: some for other, some in written.items() if other != name})
            known = {}
        self.known = known or command.stamped(RESULT, {})

    def put(self, **parts) -> None:
        """Add ``parts``, and how much memory was in use so far."""
        users = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
        most = max(resource.getrusage(who).ru_maxrss for who in users) / 1e6
        most = max(round(most, 2), self.known.get("peak_memory_gb", 0))
        self.known |= parts | {"peak_memory_gb": most}
        print(parts, flush=True)
        written = self._written()
        keep(networks=written | {self.name: written.get(self.name, {}) | self.known})

    @staticmethod
    def _written() -> dict:
        return json.loads(RESULT.read_text()).get("networks", {}) if RESULT.exists() else {}


def measure(name: str, fresh: bool) -> None:
    """Everything about one network."""
    build, size, cycles, count = NETWORKS[name]
    simulating = np.random.default_rng(5).integers(0, 256, (count, size, size, 3))
    frames = simulating[:FRAMES]
    kept, pattern = Kept(name, fresh), PATTERNS[name]
    if "seconds_emit" not in kept.known:
        emitted(kept, build(Weights(pattern, True), frames), frames, cycles)
    # Dense, with so many times the cycles, the multipliers are about as many.
    more = Fraction(pattern.length, pattern.kept)
    if "dense_winograd_utilisation" not in kept.known:
        dense = build(Weights(None, True), frames)
        beside(kept, "winograd", dense, "winograd-f2", int(cycles * more))
    if "dense_direct_utilisation" not in kept.known:
        dense = build(Weights(None, False), frames)
        beside(kept, "direct", dense, "direct", int(cycles * more * TAPS))
    if "bit_exact" not in kept.known:
        simulated(kept, simulating)


def planned(network: Network, cycles: int, engine: str) -> Plan:
    """The plan of a frame in ``cycles``, with ``engine`` wherever it can be had."""
    board = replace(load_board(BOARD), dsp=BLOCKS, bram=UNLIMITED)
    # Half a cycle more, so that rounding takes none.
    rate = board.clock_mhz * 1e6 / (cycles + 0.5)
    return plan(network, board, rate, engines={"default": engine})


def emitted(kept: Kept, network: Network, frames: np.ndarray, cycles: int) -> None:
    """Plan the sparse network, and write its build directory."""
    board, pattern = load_board(BOARD), PATTERNS[kept.name]
    began = time.perf_counter()
    made = planned(network, cycles, "srbs")
    assert made.area.fits(board), made.area.excess(board)
    kept.put(
        S=pattern.length,
        n=pattern.kept,
        board=BOARD,
        dsp_allowed=BLOCKS,
        interval_asked=cycles,
        interval_planned=made.interval,
        latency_planned=made.latency,
        multipliers=made.multipliers("mac"),
        utilisation=utilisation(made),
        sparse_engines=sum(isinstance(s.spec, SparseSpec) for s in made.stages),
        area=asdict(made.area),
        seconds_plan=_since(began),
    )
    began = time.perf_counter()
    report = record.fresh(kept.name, made, {})
    write_build(WORK / kept.name, kept.name, network, made, frames, report, True)
    kept.put(seconds_emit=_since(began))


def beside(kept: Kept, way: str, network: Network, engine: str, cycles: int) -> None:
    """Plan a dense network, and compare it."""
    dense = planned(network, cycles, engine)
    sparse = kept.known["multipliers"] * kept.known["interval_planned"]
    kept.put(
        **{
            f"dense_{way}_interval": dense.interval,
            f"dense_{way}_multipliers": dense.multipliers("mac"),
            f"dense_{way}_utilisation": utilisation(dense),
            f"dense_{way}_bram": dense.area.bram,
            f"speedup_over_dense_{way}": round(
                dense.multipliers("mac") * dense.interval / sparse, 2
            ),
        }
    )


def utilisation(made: Plan) -> float:
    """Part of the multipliers' cycles that have a product; edge tiles count whole, and of sparse
    weights those that the pattern keeps."""
    specs = [stage.spec for stage in made.stages]
    tiled = sum(spec.multiplications for spec in specs if isinstance(spec, TiledSpec))
    others = sum(spec.op.macs for spec in specs if isinstance(spec, ConvSpec))
    return round((tiled + others) / (made.multipliers("mac") * made.interval), 4)


def simulated(kept: Kept, frames: np.ndarray) -> None:
    """Simulate the whole network."""
    folder = WORK / kept.name
    began = time.perf_counter()
    build_binary(folder)
    if "seconds_build" not in kept.known:  # or it may come from the cache
        kept.put(seconds_build=_since(began))
    began = time.perf_counter()
    result = simulate(folder, frames)
    kept.put(
        frames=len(frames),
        interval_simulated=result.interval,
        latency_simulated=result.latency,
        cycles_exact=(result.latency, result.interval)
        == (kept.known["latency_planned"], kept.known["interval_planned"]),
        bit_exact=result.bit_exact,
        seconds_simulate=_since(began),
    )


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 1)


def main() -> None:
    """Measure what is not known yet."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.srbs_networks", description="Whole networks, sparse and dense"
    )
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--networks", help="These only: vgg16,resnet18.")
    options = parser.parse_args()
    for name in chosen(options.networks, NETWORKS):
        measure(name, options.fresh)
    print(f"{RESULT} is up to date")


if __name__ == "__main__":
    command.run(main)
