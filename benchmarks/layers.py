"""Single layers of VGG16 and ResNet-18, emitted and simulated by themselves."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hwgen.board import load_board
from hwgen.cost import area
from hwgen.emit import write_build
from hwgen.errors import Problem, refuse
from hwgen.network import Input, Network, Node
from hwgen.plan import Plan
from hwgen.plan.pipeline import Stage
from hwgen.plan.rate import steady
from hwgen.report import record
from hwgen.sim import simulate

__all__ = ["BOARD", "LAYERS", "chosen", "described", "key_of", "measured", "simulated"]

#: Frames simulated, back to back: the last two ends are an interval apart.
FRAMES = 3

BOARD = "zcu104"

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


def chosen(text: str | None, names: Iterable[str]) -> list[str]:
    """The names in ``text``, commas between; all of ``names`` without. UserError for others."""
    asked = text.split(",") if text else list(names)
    remedy = f"use {', '.join(names)}"
    refuse(Problem(None, f"there is no {name!r}", remedy) for name in asked if name not in names)
    return asked


def key_of(row: dict) -> tuple[str, ...]:
    """Network, layer, engine, and its mode if it has several."""
    return tuple(row[name] for name in ("network", "layer", "engine", "mode") if name in row)


def measured(
    layers: Sequence[str],
    ways: Sequence[tuple[str, ...]],
    measure: Callable[..., dict],
    known: Sequence[dict],
    again: bool,
) -> Iterator[list[dict]]:
    """All rows, after each that was measured anew, and in the end.

    ``measure`` makes the row of a layer in one of ``ways``: an engine, and its mode. Those that are
    ``known`` are measured only if ``again``.
    """
    found = {key_of(row): row for row in known}
    order = [(*layer.split("."), *way) for layer in LAYERS for way in ways]
    for layer in layers:
        for way in ways:
            key = (*layer.split("."), *way)
            if key not in found or again:
                found[key] = measure(layer, *way)
                print(" ".join(key), found[key]["simulated_cycles"], "cycles", flush=True)
                yield [found[one] for one in order if one in found]
    yield [found[one] for one in order if one in found]


def described(layer: str, engine: str) -> dict:
    """What a row of ``layer`` begins with."""
    network, _, name = layer.partition(".")
    ins, outs, size = LAYERS[layer]
    return {
        "network": network,
        "layer": name,
        "engine": engine,
        "in_channels": ins,
        "out_channels": outs,
        "height": size,
        "width": size,
    }


def simulated(spec: Any) -> dict:
    """An engine by itself in Verilator: cycles, whether every integer is right, estimated area."""
    board, op = load_board(BOARD), spec.op
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
    frames = np.random.default_rng(7).integers(0, op.input.hi + 1, (FRAMES, *op.input.shape))
    with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
        folder = Path(name) / "build"
        write_build(folder, "layer", network, planned, frames, record.fresh("layer", planned, {}))
        found = simulate(folder, frames)
    return {
        "simulated_cycles": found.interval,
        "foretold_cycles": played.interval,
        "latency": found.latency,
        "bit_exact": found.bit_exact,
        **asdict(used),
    }
