"""Beside NNgen: its two networks with random 8-bit weights, counted for UltraScale+ by Yosys.

python -m benchmarks.nngen                      # `make bench-nngen`
python -m benchmarks.nngen --networks 32x32x3   # and keep what is known of the other

Writes `docs/benchmarks/nngen.json`.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.command import keep, run, stamped
from benchmarks.layers import chosen
from benchmarks.networks import plain
from hwgen import flow
from hwgen.board import load_board
from hwgen.emit import write_build
from hwgen.plan import plan
from hwgen.report import record
from hwgen.synth import synthesise

BOARD = "zcu104"
RESULT = Path(__file__).parent.parent / "docs" / "benchmarks" / "nngen.json"

#: Bars: a part of NNgen's LUT x cycles, and a multiple of its multiply-adds per cycle and DSP.
LUT_CYCLES, PER_DSP = 1 / 20, 2

#: Frames simulated, back to back.
FRAMES = 6

NOTE = (
    "Random weights; frames back to back at the steady interval. How each layer makes "
    "its products, a block each, several in a block, or in LUTs (soft), is under products: "
    "read the multiply-adds per DSP beside the LUTs. NNgen keeps weights in external memory, "
    "hwgen in block RAM."
)


@dataclass(frozen=True)
class Case:
    """A network, the cycles a frame that hwgen is asked for, and what NNgen 1.3.4 made of it
    (run by this project, Yosys 0.70 for UltraScale+; block RAMs of 18 kbit)."""

    shape: tuple[int, int, int]
    layers: tuple[int | None, ...]
    cycles: int
    nngen: dict[str, int]


CASES = {
    "28x28x1": Case(
        (28, 28, 1),
        (8, None, 16, None),
        3528,
        {"cycles": 55_345, "lut": 15_270, "dsp": 13, "bram": 77},
    ),
    "32x32x3": Case(
        (32, 32, 3),
        (32, 32, None, 64, 64, None),
        49_152,
        {"cycles": 2_839_905, "lut": 15_339, "dsp": 13, "bram": 85},
    ),
}


def measure(case: Case) -> dict:
    """Plan, emit, simulate and synthesise one network."""
    network, board = plain(case.shape, case.layers), load_board(BOARD)
    planned = plan(network, board, board.clock_mhz * 1e6 / case.cycles)
    frames = np.random.default_rng(1).integers(0, 256, (FRAMES, *case.shape))
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder) / "build"
        write_build(build, "nngen", network, planned, frames, record.fresh("nngen", planned, {}))
        simulated = flow.simulate(build)
        area = synthesise(build / "rtl", "accelerator", board.family)
    theirs, macs = case.nngen, planned.multiply_adds
    cycles = simulated.free.interval
    styles = {
        stage.name: asdict(stage.spec.style)
        for stage in planned.stages
        if hasattr(stage.spec, "style")
    }
    ratios = {
        "lut_cycles_less": theirs["lut"] * theirs["cycles"] / (area.lut * cycles),
        "per_dsp_more": (macs / cycles / max(1, area.dsp))
        / (macs / theirs["cycles"] / theirs["dsp"]),
        "faster": theirs["cycles"] / cycles,
    }
    return {
        "multiply_adds": macs,
        "asked_cycles": case.cycles,
        "interval": {"estimated": planned.interval, "simulated": cycles},
        "bit_exact": simulated.bit_exact,
        "every_frame_on_time": simulated.cycles_exact,
        "area": {"estimated": asdict(planned.area), "synthesised": asdict(area)},
        "products": styles,
        "multiply_adds_per_cycle_and_dsp": round(macs / cycles / max(1, area.dsp), 3),
        "nngen": theirs
        | {"multiply_adds_per_cycle_and_dsp": round(macs / theirs["cycles"] / theirs["dsp"], 3)},
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
        "meets_both_bars": ratios["lut_cycles_less"] * LUT_CYCLES >= 1
        and ratios["per_dsp_more"] >= PER_DSP,
    }


def main() -> None:
    """Measure networks, and write them down as they come."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nngen", description="The networks of NNgen's comparison"
    )
    parser.add_argument("--networks", default=",".join(CASES), help="by default both")
    asked = chosen(parser.parse_args().networks, CASES)
    known = json.loads(RESULT.read_text())["networks"] if RESULT.exists() else {}
    for name in asked:
        known[name] = stamped(RESULT, measure(CASES[name]))
        ordered = {one: known[one] for one in CASES if one in known}
        keep(RESULT, "python -m benchmarks.nngen", {}, note=NOTE, networks=ordered)
        print(name, json.dumps(known[name], indent=1), flush=True)


if __name__ == "__main__":
    run(main)
