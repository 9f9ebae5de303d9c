"""``make bench-srbs``: sub-row-balanced sparsity against the dense engines, simulated.

python -m benchmarks.srbs                        # go on where an interrupted run stopped
python -m benchmarks.srbs --layers vgg16.conv3_1 # measure some layers again

All distinct 3x3 convolutions of stride 1, with at least 64 input channels, of VGG16 on 32x32 images
and of ResNet-18 on 224x224, with random 8-bit weights that keep 3 (VGG16) and 4 (ResNet-18) of each
16 input channels: by F(2x2,3x3) with weights in its domain, and by direct convolution. Each is an
array of ``LEAST`` multipliers or a few more, in Verilator. Areas are estimates for UltraScale+.
What the dense engine takes is read from ``winograd.json``. Writes its parts of
``docs/benchmarks/srbs.json``, which holds accuracies as well, and from it a table and a plot.
"""

import argparse
import json
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks import command, winograd
from benchmarks.layers import BOARD, LAYERS, chosen, described, key_of, measured, simulated
from benchmarks.srbs_table import markdown, plot
from hwgen.board import load_board
from hwgen.cost import area
from hwgen.cost.energy import energy, work
from hwgen.network import Conv2d, TensorType, WinogradConv2d
from hwgen.network.srbs import SubRows
from hwgen.plan.pipeline import Stage
from hwgen.plan.rate import steady
from hwgen.rtl_templates import SparseSpec
from hwgen.rtl_templates.multiply import BLOCK

#: Multipliers that an array has at least, and how many times as many at most.
LEAST, MORE = 256, 1.25

RESULT = Path("docs/benchmarks/srbs.json")
DENSE = Path("docs/benchmarks/winograd.json")

PATTERNS = {"vgg16": SubRows(16, 3), "resnet18": SubRows(16, 4)}
CHANNELS = 64
WAYS = ("srbs-f2",), ("srbs-direct",)

#: Writes parts beside what else is known.
keep = partial(command.keep, RESULT, "python -m benchmarks.srbs", {".md": markdown, ".svg": plot})

#: Engine and mode of the dense rows that the sparse ones are held against.
FAIR = "winograd-f2", "native"

#: Activations and weights, bits, by which operations of a DSP block are counted; with the second,
#: two tiles share one under F2.
BITS = (8, 8), (7, 6)


def pruned(rng: np.random.Generator, shape: tuple[int, ...], pattern: SubRows, bits: int):
    """Random weights (..., C) that keep exactly ``pattern``."""
    scores = rng.random((*shape[:-1], shape[-1] // pattern.length, pattern.length))
    mask = (scores.argsort(-1).argsort(-1) < pattern.kept).reshape(shape)
    most = (1 << (bits - 1)) - 1
    values = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    return np.where(mask, values, 0).astype(np.int8)


def layer_op(layer: str, engine: str, bits: tuple[int, int] = (8, 8)) -> Conv2d | WinogradConv2d:
    """The layer with random weights of its network's pattern."""
    ins, outs, size = LAYERS[layer]
    pattern = PATTERNS[layer.partition(".")[0]]
    rng = np.random.default_rng(list(layer.encode()))
    kind, same = TensorType((size, size, ins), bits[0], False), (1, 1, 1, 1)
    bias = rng.integers(-9999, 9999, outs)
    if engine == "srbs-direct":
        return Conv2d(
            kind, pruned(rng, (outs, 3, 3, ins), pattern, bits[1]), bias, bits[1], padding=same
        )
    zeros = np.zeros((4, 4), np.int64)
    weights = pruned(rng, (4, 4, outs, ins), pattern, bits[1])
    return WinogradConv2d(kind, weights, bias, bits[1], 2, zeros, zeros, padding=same)


@cache
def offered(layer: str, engine: str, bits: tuple[int, int] = (8, 8)) -> tuple[SparseSpec, ...]:
    """Arrays in DSP blocks of at least ``LEAST`` multipliers and not many more."""
    return tuple(
        spec
        for spec in SparseSpec.foldings(layer_op(layer, engine, bits), load_board(BOARD).family)
        if not spec.style.soft and LEAST <= spec.multipliers <= MORE * LEAST
    )


def smallest(layer: str, engine: str) -> SparseSpec:
    """Of those with a block for each product, the one that takes fewest LUTs."""
    specs = [spec for spec in offered(layer, engine) if spec.style == BLOCK]
    return min(specs, key=lambda spec: area(spec.primitives(), load_board(BOARD).family).lut)


@cache
def per_block(layer: str, engine: str, bits: tuple[int, int]) -> float:
    """Operations of the dense layer for each DSP block and cycle, with activations and weights of
    so many ``bits``."""
    family = load_board(BOARD).family
    rates = [
        2 * spec.op.macs / (spec.blocks(family) * spec.ideal)
        for spec in offered(layer, engine, bits)
    ]
    return round(max(rates), 2)


def measure(layer: str, engine: str) -> dict:
    """One row."""
    spec = smallest(layer, engine)
    row = {
        **described(layer, engine),
        "S": spec.pattern.length,
        "n": spec.pattern.kept,
        "multipliers": spec.multipliers,
        "banks": spec.in_lanes,
        "out_lanes": spec.out_lanes,
        "tiles": spec.tiles,
        "ideal_cycles": spec.ideal,
        **simulated(spec),
    }
    return command.stamped(RESULT, row)


def completed(made: list[dict]) -> list[dict]:
    """Rows beside what the dense F2 array, with 8-bit weights in the domain, takes: simulated, or,
    where ``winograd.json`` has not got so far, foretold, which is the same number in every test.
    And with operations by DSP block, and energies."""
    rows = json.loads(DENSE.read_text())["layers"] if DENSE.exists() else []
    found = []
    for row in made:
        layer = row["network"], row["layer"]
        same = [r for r in rows if (r["network"], r["layer"]) == layer and key_of(r)[2:] == FAIR]
        other = same[0] if same else foretold(".".join(layer))
        dense = {
            "dense_cycles": other["simulated_cycles"],
            "dense_multipliers": other["multipliers"],
            "dense_simulated": bool(same),
            "dense_energy_uj": foretold(".".join(layer))["energy"],
            "energy_uj": sparse_energy(".".join(layer), row["engine"]),
        }
        rates = {
            f"operations_per_dsp_and_cycle_{x}x{w}": per_block(
                ".".join(layer), row["engine"], (x, w)
            )
            for x, w in BITS
        }
        found.append({**row, **dense, **rates})
    return found


@cache
def foretold(layer: str) -> dict:
    """What the dense array would be simulated to take, and its estimated energy."""
    spec = winograd.fastest(winograd.layer_op(layer, *FAIR), FAIR[0])
    cycles = steady([Stage("conv", spec, "conv", "conv", "by itself")]).interval
    return {
        "simulated_cycles": cycles,
        "multipliers": spec.multipliers,
        "energy": microjoules(spec, cycles),
    }


@cache
def sparse_energy(layer: str, engine: str) -> float:
    """Estimated energy of a frame of the array that is measured, uJ."""
    spec = smallest(layer, engine)
    return microjoules(spec, spec.ideal)


def microjoules(spec, cycles: int) -> float:
    """Estimated energy of a frame of so many cycles, within a factor of ``cost.energy.SPREAD``."""
    family = load_board(BOARD).family
    done = work(spec.primitives(), spec.schedule(), cycles, family)
    return round(energy(done, family).total / 1e6, 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.srbs", description="Sparse weights against dense ones"
    )
    parser.add_argument("--layers", help="Measure these again: vgg16.conv3_1,resnet18.layer4.")
    options = parser.parse_args()
    some = [layer for layer, (ins, _, _) in LAYERS.items() if ins >= CHANNELS]
    layers = chosen(options.layers, some)
    known = json.loads(RESULT.read_text()).get("layers", []) if RESULT.exists() else []
    for made in measured(layers, WAYS, measure, known, bool(options.layers)):
        keep(least_multipliers=LEAST, layers=completed(made))
    print(f"{RESULT} is up to date")


if __name__ == "__main__":
    command.run(main)
