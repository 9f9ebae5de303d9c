"""``make bench-winograd``: Winograd against direct convolution, layer by layer, simulated.

python -m benchmarks.winograd                        # go on where an interrupted run stopped
python -m benchmarks.winograd --layers vgg16.conv3_1 # measure some layers again

All distinct 3x3 convolutions of stride 1 of VGG16 on 32x32 images and of ResNet-18 on 224x224, with
random 8-bit weights. For each layer, direct convolution and F(2x2,3x3) and F(4x4,3x3), both
lossless and with 8-bit weights in Winograd's domain, each with the fastest array of at most
``BUDGET`` multipliers, in Verilator. Areas are estimates for UltraScale+. Writes
``docs/benchmarks/winograd.json``, and from it a table and a plot.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import command
from benchmarks.layers import BOARD, LAYERS, chosen, described, measured, simulated
from benchmarks.winograd_table import markdown, plot
from hwgen.board import load_board
from hwgen.cost import area
from hwgen.network import Conv2d, TensorType, WinogradConv2d
from hwgen.rtl_templates import ConvSpec, WinogradSpec
from hwgen.rtl_templates.multiply import BLOCK

#: Multipliers that an array may have.
BUDGET = 576

RESULT = Path("docs/benchmarks/winograd.json")

#: Engine and mode of each row of a layer.
WAYS = (
    ("direct", "lossless"),
    ("winograd-f2", "lossless"),
    ("winograd-f4", "lossless"),
    ("winograd-f2", "native"),
    ("winograd-f4", "native"),
)

#: Writes parts beside what else is known.
keep = partial(
    command.keep, RESULT, "python -m benchmarks.winograd", {".md": markdown, ".svg": plot}
)


def layer_op(layer: str, engine: str, mode: str) -> Conv2d | WinogradConv2d:
    """The layer with random weights: the same for the same layer and mode."""
    ins, outs, size = LAYERS[layer]
    rng = np.random.default_rng(list(layer.encode()))
    kind, same = TensorType((size, size, ins), 8, False), (1, 1, 1, 1)
    bias = rng.integers(-9999, 9999, outs)
    if mode == "lossless":
        weights = rng.integers(-127, 128, (outs, 3, 3, ins)).astype(np.int8)
        return Conv2d(kind, weights, bias, 8, padding=same)
    tile = int(engine[-1])
    weights = rng.integers(-127, 128, (tile + 2, tile + 2, outs, ins)).astype(np.int8)
    zeros = np.zeros((tile + 2, tile + 2), np.int64)
    return WinogradConv2d(kind, weights, bias, 8, tile, zeros, zeros, padding=same)


def fastest(op, engine: str) -> ConvSpec | WinogradSpec:
    """The fastest array within the budget; of several, the one with fewest multipliers."""
    kind = ConvSpec if engine == "direct" else WinogradSpec
    specs = [
        spec
        for spec in kind.foldings(op, load_board(BOARD).family)
        if spec.style == BLOCK and spec.multipliers <= BUDGET
        if engine == "direct" or spec.tile == int(engine[-1])
    ]
    return min(specs, key=lambda spec: (spec.schedule().steps, spec.multipliers))


def packed(spec: ConvSpec | WinogradSpec, family: str) -> int:
    """DSP blocks that the same array takes where products share them."""
    ways = [
        other
        for other in type(spec).foldings(spec.op, family)
        if replace(other, style=BLOCK, **_anywhere(other)) == spec
    ]
    return min(area(other.primitives(), family).dsp for other in ways if not other.style.soft)


def _anywhere(spec) -> dict:
    return {"family": ""} if isinstance(spec, WinogradSpec) else {}


def measure(layer: str, engine: str, mode: str) -> dict:
    """One row."""
    op = layer_op(layer, engine, mode)
    spec = fastest(op, engine)
    row = {
        **described(layer, engine),
        "mode": mode,
        "multipliers": spec.multipliers,
        "ideal_cycles": spec.ideal if engine != "direct" else spec.compute_process().steps,
        **simulated(spec),
        "dsp_packed": packed(spec, load_board(BOARD).family),
    }
    return command.stamped(RESULT, row)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.winograd", description="Winograd against direct convolution"
    )
    parser.add_argument("--layers", help="Measure these again: vgg16.conv3_1,resnet18.layer4.")
    options = parser.parse_args()
    layers = chosen(options.layers, LAYERS)
    known = json.loads(RESULT.read_text())["layers"] if RESULT.exists() else []
    for made in measured(layers, WAYS, measure, known, bool(options.layers)):
        keep(budget=BUDGET, layers=made)
    print(f"{RESULT} is up to date")


if __name__ == "__main__":
    command.run(main)
