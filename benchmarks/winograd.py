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
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.winograd_table import markdown, plot
from hwgen.board import load_board
from hwgen.cost import area
from hwgen.emit import write_build
from hwgen.errors import Problem, UserError
from hwgen.network import Conv2d, Input, Network, Node, TensorType, WinogradConv2d
from hwgen.plan import Plan
from hwgen.plan.pipeline import Stage, steady
from hwgen.report import record
from hwgen.rtl_templates import ConvSpec, WinogradSpec
from hwgen.rtl_templates.multiply import BLOCK
from hwgen.sim import simulate

#: Multipliers that an array may have.
BUDGET = 576

#: Frames simulated, back to back: the last two ends are an interval apart.
FRAMES = 3

BOARD = "zcu104"
RESULT = Path("docs/benchmarks/winograd.json")

#: Name of a layer, its channels in and out, and the size of its map.
LAYERS = {
    "vgg16.conv1_1": (3, 64, 32),
    "vgg16.conv1_2": (64, 64, 32),
    "vgg16.conv2_1": (64, 128, 16),
    "vgg16.conv2_2": (128, 128, 16),
    "vgg16.conv3_1": (128, 256, 8),
    "vgg16.conv3_2": (256, 256, 8),
    "vgg16.conv4_1": (256, 512, 4),
    "vgg16.conv4_2": (512, 512, 4),
    "vgg16.conv5_1": (512, 512, 2),
    "resnet18.layer1": (64, 64, 56),
    "resnet18.layer2": (128, 128, 28),
    "resnet18.layer3": (256, 256, 14),
    "resnet18.layer4": (512, 512, 7),
}

#: Engine and mode of each row of a layer.
WAYS = (
    ("direct", "lossless"),
    ("winograd-f2", "lossless"),
    ("winograd-f4", "lossless"),
    ("winograd-f2", "native"),
    ("winograd-f4", "native"),
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
    board, op = load_board(BOARD), layer_op(layer, engine, mode)
    spec = fastest(op, engine)
    network = Network(
        (
            Node("input", Input(op.input), (), op.input),
            Node("conv", op, ("input",), op.output),
        ),
        ("conv",),
    )
    used = area(spec.primitives(), board.family)
    stage = Stage("conv", spec, "conv", "conv", "measured by itself", area=used)
    played = steady([stage])
    planned = Plan(board, None, (stage,), played.latency, played.interval, op.macs)
    frames = np.random.default_rng(7).integers(0, 256, (FRAMES, *op.input.shape))
    with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
        folder = Path(name) / "build"
        write_build(folder, "layer", network, planned, frames, record.fresh("layer", planned, {}))
        found = simulate(folder, frames)
    ins, outs, size = LAYERS[layer]
    ideal = spec.ideal if isinstance(spec, WinogradSpec) else spec.compute_process().steps
    return {
        "network": layer.partition(".")[0],
        "layer": layer.partition(".")[2],
        "engine": engine,
        "mode": mode,
        "in_channels": ins,
        "out_channels": outs,
        "height": size,
        "width": size,
        "multipliers": spec.multipliers,
        "ideal_cycles": ideal,
        "simulated_cycles": found.interval,
        "foretold_cycles": played.interval,
        "latency": found.latency,
        "bit_exact": found.bit_exact,
        **asdict(used),
        "dsp_packed": packed(spec, board.family),
    }


def rows(layers: Sequence[str], known: list[dict], again: bool) -> Iterator[list[dict]]:
    """All rows, after each that was measured anew."""
    found = {_key(row): row for row in known}
    for layer in layers:
        for engine, mode in WAYS:
            key = (*layer.split("."), engine, mode)
            if key not in found or again:
                found[key] = measure(layer, engine, mode)
                print(" ".join(key), found[key]["simulated_cycles"], "cycles", flush=True)
                order = [(*one.split("."), *way) for one in LAYERS for way in WAYS]
                yield [found[one] for one in order if one in found]


def _key(row: dict) -> tuple[str, ...]:
    return row["network"], row["layer"], row["engine"], row["mode"]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.winograd", description="Winograd against direct convolution"
    )
    parser.add_argument("--layers", help="Measure these again: vgg16.conv3_1,resnet18.layer4.")
    options = parser.parse_args()
    layers = options.layers.split(",") if options.layers else list(LAYERS)
    unknown = [name for name in layers if name not in LAYERS]
    if unknown:
        remedy = f"use {', '.join(LAYERS)}"
        raise UserError(*(Problem(None, f"there is no layer {name!r}", remedy) for name in unknown))
    known = json.loads(RESULT.read_text())["layers"] if RESULT.exists() else []
    for made in rows(layers, known, bool(options.layers)):
        result = {
            "command": "python -m benchmarks.winograd",
            "machine": machine(),
            "tools": versions(),
            "budget": BUDGET,
            "layers": made,
        }
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        RESULT.with_suffix(".md").write_text(markdown(result))
        RESULT.with_suffix(".svg").write_text(plot(result))
    print(f"{RESULT} is up to date")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
