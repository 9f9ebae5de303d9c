"""Whole networks, sparse against dense: planned for an Alveo U250, emitted, simulated end to end.

python -m benchmarks.srbs_networks                  # go on where an interrupted run stopped
python -m benchmarks.srbs_networks --fresh          # measure everything again

VGG16 on 32x32 images with random 8-bit weights; layers of 64 input channels or more have them in
Winograd's domain, F(2x2,3x3), and keep 3 of each 16. Weights in block RAM only. Left alone, the
planner would take more multipliers, of which the board has plenty, to save some block RAM; for the
comparison it may use ``BLOCKS`` DSP blocks, and need not save block RAM, but has to fit. The dense
pipelines are planned for a board without limits, as their weights do not fit, at a rate that takes
about as many multipliers. Writes ``networks`` in ``docs/benchmarks/srbs.json``.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks.srbs import PATTERNS, RESULT, keep, pruned
from benchmarks.vgg16 import LAYERS
from hwgen.board import Board, load_board
from hwgen.emit import write_build
from hwgen.errors import UserError
from hwgen.network import (
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    Op,
    Requantise,
    TensorType,
    WinogradConv2d,
)
from hwgen.network.srbs import SubRows
from hwgen.plan import plan
from hwgen.report import record
from hwgen.rtl_templates import SparseSpec
from hwgen.sim import simulate
from hwgen.sim.verilator import build_binary

BOARD = "alveo_u250"

#: Frames a second that are asked for.
RATE = 20_000

#: DSP blocks that may be used.
BLOCKS = 2500

#: Input channels from which on layers are sparse.
CHANNELS = 64

#: Frames simulated, back to back.
FRAMES = 3

#: Build directories.
WORK = Path("build/srbs_networks")

#: More than any pipeline takes.
UNLIMITED = 1 << 30

#: Makes a convolution of an input type and a number of channels.
Layer = Callable[[TensorType, int], Op]


def convolution(pattern: SubRows | None, domain: bool) -> Layer:
    """3x3 convolutions with random weights: of ``pattern`` or dense, in Winograd's domain or not;
    those of few input channels as they ever are."""
    rng = np.random.default_rng(0)
    same, zeros = (1, 1, 1, 1), np.zeros((4, 4), np.int64)

    def make(kind: TensorType, channels: int) -> Op:
        bias = rng.integers(-9999, 9999, channels)
        few = kind.channels < CHANNELS
        if few or not domain:
            kept = None if few else pattern
            weights = _weights(rng, (channels, 3, 3, kind.channels), kept)
            return Conv2d(kind, weights, bias, 8, padding=same)
        weights = _weights(rng, (4, 4, channels, kind.channels), pattern)
        return WinogradConv2d(kind, weights, bias, 8, 2, zeros, zeros, padding=same)

    return make


def _weights(rng, shape: tuple[int, ...], pattern: SubRows | None) -> np.ndarray:
    if pattern is None:
        return rng.integers(-127, 128, shape).astype(np.int8)
    return pruned(rng, shape, pattern, 8)


def vgg16(layer: Layer, frames: np.ndarray) -> Network:
    """VGG16 with one dense layer, whose activations fill their range on ``frames``."""
    kind = TensorType(frames.shape[1:], 8, False)
    nodes, x = [Node("input", Input(kind), (), kind)], frames

    def add(name: str, op: Op) -> TensorType:
        nonlocal x
        nodes.append(Node(name, op, (nodes[-1].name,), op.output))
        x = op.compute(x)
        return op.output

    def requantised(name: str, op: Op) -> TensorType:
        sums = add(name, op)
        scale = np.random.default_rng(len(nodes)).integers(30000, 60000, sums.channels)
        # Of sums above zero, one in twenty clips.
        top = np.quantile(x[x > 0], 0.95) if (x > 0).any() else 1
        shift = max(1, int(np.log2(top * 45000 / 255)))
        return add(f"{name}.requantise", Requantise(sums, scale, shift, 8, False, 0, 0, 255))

    for number, channels in enumerate(LAYERS, 1):
        if channels is None:
            kind = add(f"pool{number}", MaxPool2d(kind, (2, 2), (2, 2)))
        else:
            kind = requantised(f"conv{number}", layer(kind, channels))
    weights = np.random.default_rng(1).integers(-127, 128, (10, *kind.shape)).astype(np.int8)
    requantised("fc", Linear(kind, weights, np.zeros(10, np.int64), 8))
    return Network(tuple(nodes), (nodes[-1].name,))


def without_limits(board: Board) -> Board:
    """``board`` with as much of everything as anybody may want."""
    return replace(board, lut=UNLIMITED, ff=UNLIMITED, dsp=UNLIMITED, bram=UNLIMITED)


class Kept:
    """What is known of one network, written down as soon as it is."""

    def __init__(self, name: str, fresh: bool):
        self.name = name
        self.known = {} if fresh else self._written().get(name, {})

    def put(self, **parts) -> None:
        self.known |= parts
        print(parts, flush=True)
        keep(networks=self._written() | {self.name: self.known})

    @staticmethod
    def _written() -> dict:
        return json.loads(RESULT.read_text()).get("networks", {}) if RESULT.exists() else {}


def measure(name: str, fresh: bool) -> None:
    """Everything about one network."""
    kept, frames = Kept(name, fresh), np.random.default_rng(5).integers(0, 256, (FRAMES, 32, 32, 3))
    if "seconds_emit" not in kept.known:
        emitted(kept, frames)
    for way, domain, engine in (("winograd", True, "winograd-f2"), ("direct", False, "direct")):
        if f"speedup_over_dense_{way}" not in kept.known:
            beside(kept, way, vgg16(convolution(None, domain), frames), engine)
    if "bit_exact" not in kept.known:
        simulated(kept, frames)


def emitted(kept: Kept, frames: np.ndarray) -> None:
    """Plan the sparse network, and write its build directory."""
    board, pattern = load_board(BOARD), PATTERNS[kept.name]
    network = vgg16(convolution(pattern, True), frames)
    began = time.perf_counter()
    engines = {"default": "srbs"}
    planned = plan(network, replace(board, dsp=BLOCKS, bram=UNLIMITED), RATE, engines=engines)
    assert planned.area.fits(board), planned.area.excess(board)
    kept.put(
        S=pattern.length,
        n=pattern.kept,
        board=BOARD,
        dsp_allowed=BLOCKS,
        frames_per_second_asked=RATE,
        interval_planned=planned.interval,
        multipliers=planned.multipliers("mac"),
        sparse_engines=sum(isinstance(s.spec, SparseSpec) for s in planned.stages),
        area=asdict(planned.area),
        seconds_plan=_since(began),
    )
    began = time.perf_counter()
    report = record.fresh(kept.name, planned, {})
    write_build(WORK / kept.name, kept.name, network, planned, frames, report, True)
    kept.put(seconds_emit=_since(began))


def beside(kept: Kept, way: str, network: Network, engine: str) -> None:
    """Plan a dense network, and compare it."""
    rate = RATE / (5 if way == "winograd" else 11)
    dense = plan(network, without_limits(load_board(BOARD)), rate, engines={"default": engine})
    sparse = kept.known["multipliers"] * kept.known["interval_planned"]
    kept.put(
        **{
            f"dense_{way}_interval": dense.interval,
            f"dense_{way}_multipliers": dense.multipliers("mac"),
            f"speedup_over_dense_{way}": round(
                dense.multipliers("mac") * dense.interval / sparse, 2
            ),
        }
    )


def simulated(kept: Kept, frames: np.ndarray) -> None:
    """Simulate the whole network."""
    folder = WORK / kept.name
    began = time.perf_counter()
    build_binary(folder)
    kept.put(seconds_build=_since(began))
    began = time.perf_counter()
    result = simulate(folder, frames)
    most = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)
    )
    kept.put(
        interval_simulated=result.interval,
        latency_simulated=result.latency,
        cycles_exact=result.interval == kept.known["interval_planned"],
        bit_exact=result.bit_exact,
        seconds_simulate=_since(began),
        peak_memory_gb=round(most / 1e6, 2),
    )


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.srbs_networks", description="Whole networks, sparse and dense"
    )
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    measure("vgg16", parser.parse_args().fresh)
    print(f"{RESULT} is up to date")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
