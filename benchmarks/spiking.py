"""The spiking core in numbers: growth with its neurons, and mnist_snn on two families.

`python -m benchmarks.spiking` (`make bench-spiking`) writes `docs/benchmarks/spiking.json`;
`python -m benchmarks.spiking growth`, `... networks` and `... curves` renew a part of it.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from amaranth.back import verilog

from benchmarks.machine import machine, versions
from hwgen import flow, models
from hwgen.board import load_board
from hwgen.compress.settings import Settings
from hwgen.compress.spiking import quantize_spiking, spiking_network
from hwgen.frontend import accuracy, quantise_input
from hwgen.frontend.spiking import SpikingModel, read_spiking
from hwgen.frontend.spiking_network import to_network
from hwgen.network import SpikingLinear
from hwgen.network.spiking import spike_train
from hwgen.network.types import signed_bits
from hwgen.plan.pipeline import decided, play_stages
from hwgen.rtl_templates import SpikingSpec, VerilogTarget
from hwgen.synth import synthesise, tools
from hwgen.synth.yosys import workspace

RESULT = Path(__file__).parent.parent / "docs" / "benchmarks" / "spiking.json"

INPUTS, UNITS, STEPS = 256, 16, 8
NEURONS = (64, 256, 1024, 4096)

#: Boards of the families that networks are synthesised for.
BOARDS = {"xilinx7": "arty_a7_100t", "ecp5": "ulx3s"}

#: Test images whose cycles are played; those of a build go through Verilator.
PLAYED, SIMULATED = 2000, 20

#: Cycles a frame that mnist_snn is planned for, on average.
LIMIT = 7_700

# Memories stay memories, and everything else becomes 6-input LUTs and flip-flops.
GROWTH = """
read_verilog -sv -defer {sources}
hierarchy -check -top spiking
chformal -remove
synth -flatten -top spiking -run begin:fine
memory -nomap
opt -fast -full
techmap
opt -fast
abc -lut 6
opt_clean
tee -q -o stat.json stat -json
"""


def core(neurons: int) -> SpikingSpec:
    """A fully connected layer of random 4-bit synapses, as wide for every number of neurons."""
    rng = np.random.default_rng(0)
    given = {
        "input": spike_train(STEPS, INPUTS),
        "bias": np.zeros(neurons, int),
        "decay": np.array([1]),
        "decay_shift": 4,
        "threshold": np.array([64]),
        "reset": "subtract",
        "indices": rng.integers(0, 16, (neurons, INPUTS)).astype(np.uint8),
        "codebook": np.array(
            [-101, -77, -58, -43, -31, -21, -12, -4, 4, 12, 21, 31, 43, 58, 77, 101]
        ),
    }
    bits = signed_bits(-101 * INPUTS * STEPS, 101 * INPUTS * STEPS)
    return SpikingSpec((SpikingLinear(**given, membrane_bits=bits),), UNITS, 8)


def growth() -> list[dict]:
    """Cells of the core, memories left out, and bits of its memories."""
    rows = []
    for neurons in NEURONS:
        spec, target = core(neurons), VerilogTarget("xc7")
        text = verilog.convert(
            spec.create(),
            name="spiking",
            platform=target,
            strip_internal_attrs=True,
            emit_src=False,
        )
        with tempfile.TemporaryDirectory() as name:
            for file, contents in {"spiking.v": text, **target.files}.items():
                (Path(name) / file).write_text(contents)
            cells = _cells(Path(name))
        memory = sum(p.depth * p.width for p in spec.primitives() if hasattr(p, "depth"))
        rows.append({"neurons": neurons, "cells": cells, "memory_bits": memory})
        print(rows[-1], flush=True)
    return rows


def _cells(rtl: Path) -> int:
    with workspace(rtl) as folder:
        sources = " ".join(file.name for file in sorted(folder.glob("*.v")))
        (folder / "growth.ys").write_text(GROWTH.format(sources=sources))
        tools.run([*tools.yosys(), "-s", "growth.ys"], folder, None)
        counted = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return sum(count for kind, count in counted.items() if not kind.startswith("$mem"))


def network(name: str) -> dict:
    """One reference network, built, simulated and synthesised for each family."""
    found = models.load(name)
    made, _ = spiking_network(found.module, Settings(weights=4), found.calibration)
    frames = quantise_input(made, found.test_images[:PLAYED])
    tensors = made.trace(frames)
    layers = [node for node in made if isinstance(node.op, SpikingLinear)]
    spikes = {node.name: float(tensors[node.inputs[0]].sum((1, 2, 3)).mean()) for node in layers}
    operations = sum(spikes[node.name] * node.op.neurons for node in layers)
    updates = sum(node.op.steps * node.op.neurons for node in layers)
    row: dict = {
        "accuracy": {
            "float": found.info["float_network_accuracy_percent"],
            "integer": accuracy(made, found.test_images, found.test_labels),
        },
        "steps": found.info["steps"],
        "coding": found.info["coding"],
        "spikes_mean": spikes,
        "synaptic_operations_mean": operations,
        "neuron_updates": updates,
        "families": {},
    }
    for family, board in BOARDS.items():
        fps = load_board(board).clock_mhz * 1e6 / LIMIT
        row["families"][family] = _built(name, board, fps, made, frames)
        units = row["families"][family]["units"]
        row["families"][family]["cycles_ideal"] = (operations + updates) / units
        print(family, row["families"][family], flush=True)
    return row


def curves(name: str) -> dict:
    """Accuracy against steps and against bits of an index, nothing being trained for them."""
    found = models.load(name)
    exact = read_spiking(found.module)
    images, labels = found.test_images, found.test_labels

    def percent(model: SpikingModel, bits: int) -> float:
        quantised = quantize_spiking(model, Settings(weights=bits), found.calibration)
        return accuracy(to_network(quantised), images, labels)

    rows: dict = {"steps": {}, "index_bits": {}}
    for steps in (4, 6, 8, 10, 15, 25):
        rows["steps"][steps] = percent(replace(exact, steps=steps), 4)
    for bits in (1, 2, 3, 4):
        rows["index_bits"][bits] = percent(exact, bits)
    return rows


def _built(name: str, board: str, fps: float, made, frames: dict) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "build"
        flow.build(name, board, folder, settings=Settings(weights=4), fps=fps)
        _, planned = flow.load_build(folder)
        result = flow.simulate(folder, frames=SIMULATED)
        area = synthesise(folder / "rtl", "accelerator", planned.board.family)
        played = play_stages(planned.stages, PLAYED, data=decided(planned.stages, made, frames))
    ends = np.array(played.ends)
    return {
        "lut": area.lut,
        "ff": area.ff,
        "dsp": area.dsp,
        "bram": area.bram,
        "units": sum(getattr(stage.spec, "units", 0) for stage in planned.stages),
        "cycles_mean": float(ends[-1] - ends[0]) / (len(ends) - 1),
        "cycles_most": int(np.diff(ends).max()),
        "cycles_worst": planned.interval,
        "bit_exact": result.bit_exact,
        "cycles_exact": result.cycles_exact,
    }


def main() -> None:
    """Measure, and write down what was found."""
    parts = sys.argv[1:] or ["growth", "networks", "curves"]
    found: dict = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    if "growth" in parts:
        found["growth"] = growth()
    if "networks" in parts:
        found["networks"] = {"mnist_snn": network("mnist_snn")}
    if "curves" in parts:
        found["curves"] = {"mnist_snn": curves("mnist_snn")}
    _write(found)


def _write(found: Mapping) -> None:
    RESULT.write_text(
        json.dumps({**found, "machine": machine(), "versions": versions()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
