"""Cells and memory of one spiking core against its neurons."""

import json
import tempfile
from pathlib import Path

import numpy as np
from amaranth.back import verilog

from hwgen.network import SpikingLinear
from hwgen.network.spiking import spike_train
from hwgen.network.types import signed_bits
from hwgen.rtl_templates import SpikingSpec, VerilogTarget
from hwgen.synth import tools
from hwgen.synth.yosys import workspace

__all__ = ["growth"]

INPUTS, UNITS, STEPS = 256, 16, 8
NEURONS = (64, 256, 1024, 4096)

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
