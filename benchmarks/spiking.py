"""Spiking networks in numbers: `python -m benchmarks.spiking` (`make bench-spiking`).

Writes `docs/benchmarks/spiking.json` and the plots beside it; `... growth`, `... networks`,
`... curves` and `... trained` measure a part of it. The last, which trains networks for the points
of curves, needs MNIST in `--data`; without that folder, it is left out.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.command import keep, stamped
from benchmarks.spiking_curves import curves, plots, trained
from benchmarks.spiking_growth import growth
from hwgen import flow, models
from hwgen.board import load_board
from hwgen.compress.settings import Settings
from hwgen.compress.spiking import spiking_network
from hwgen.frontend import accuracy, quantise_input
from hwgen.models import recipe
from hwgen.models.mnist_snn.train import MORE_STEPS, TASK
from hwgen.network import Network, SpikingLinear
from hwgen.plan import Plan
from hwgen.plan.rate import decided, play_stages
from hwgen.synth import route, synthesise

RESULT = Path(__file__).parent.parent / "docs" / "benchmarks" / "spiking.json"

PARTS = ("growth", "networks", "curves", "trained")

#: Bits of a synapse.
BITS = 4

#: Test images that go through Verilator; the cycles of all of them are played.
SIMULATED = 20

#: Images whose spikes are in memory at once.
BATCH = 500


@dataclass(frozen=True)
class Case:
    """A network for a board of each family, planned for so many cycles a frame on average."""

    boards: Mapping[str, str]
    cycles: int


XILINX_AND_ECP5 = {"xilinx7": "arty_a7_100t", "ecp5": "ulx3s"}

CASES = {
    "mnist_snn": Case(XILINX_AND_ECP5, 8_300),
    "mnist_snn_large": Case(XILINX_AND_ECP5, 8_400),
    "mnist_snn_small": Case({"ice40": "icebreaker"}, 12_000),
}


def network(name: str, case: Case) -> dict:
    """One reference network, built, simulated and synthesised for each family."""
    found = models.load(name)
    made, _ = spiking_network(found.module, Settings(weights=BITS), found.calibration)
    frames = quantise_input(made, found.test_images)
    layers = [node for node in made if isinstance(node.op, SpikingLinear)]
    spikes = _spikes(made, frames)
    operations = sum(spikes[node.name] * node.op.neurons for node in layers)
    updates = sum(node.op.steps * node.op.neurons for node in layers)
    row: dict = {
        "accuracy": {
            "float": found.info["float_network_accuracy_percent"],
            "integer": accuracy(made, found.test_images, found.test_labels),
            f"integer_{MORE_STEPS}_steps": found.info[
                f"integer_accuracy_percent_{MORE_STEPS}_steps"
            ],
        },
        "neurons": [node.op.neurons for node in layers],
        "steps": found.info["steps"],
        "coding": found.info["coding"],
        "index_bits": BITS,
        "spikes_mean": spikes,
        "synaptic_operations_mean": operations,
        "neuron_updates": updates,
        "families": {},
    }
    for family, board in case.boards.items():
        built = _built(name, board, case.cycles, made, frames)
        built["cycles_ideal"] = round((operations + updates) / built["units"], 1)
        row["families"][family] = built
        print(name, family, built, flush=True)
    return row


def _spikes(made: Network, frames: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Spikes that come into each layer of neurons in a frame, on average."""
    sums: dict[str, int] = {}
    (name, images), *_ = frames.items()
    for start in range(0, len(images), BATCH):
        tensors = made.trace({name: images[start : start + BATCH]})
        for node in made:
            if isinstance(node.op, SpikingLinear):
                came = int(tensors[node.inputs[0]].sum())
                sums[node.name] = sums.get(node.name, 0) + came
    return {name: came / len(images) for name, came in sums.items()}


def _built(name: str, board: str, cycles: int, made: Network, frames: dict) -> dict:
    mhz = load_board(board).clock_mhz
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "build"
        settings = Settings(weights=BITS)
        report = flow.build(name, board, folder, settings=settings, fps=mhz * 1e6 / cycles)
        _, planned = flow.load_build(folder)
        result = flow.simulate(folder, frames=SIMULATED)
        area = synthesise(folder / "rtl", "accelerator", planned.board.family)
        routed = _routed(folder, planned) if planned.board.family == "ice40" else {}
        data = decided(planned.stages, made, frames)
        count = len(next(iter(frames.values())))
        played = play_stages(planned.stages, count, data=data)
    gaps = [b - a for a, b in zip(played.ends, played.ends[1:], strict=False)]
    mean = sum(gaps) / len(gaps)
    return {
        "board": board,
        **asdict(area),
        "lut_estimated": report["area"]["estimated"]["lut"],
        "units": sum(getattr(stage.spec, "units", 0) for stage in planned.stages),
        "cycles_asked": cycles,
        "cycles_mean": round(mean, 1),
        "cycles_most": max(gaps),
        "cycles_worst": planned.interval,
        "clock_mhz": mhz,
        "frames_per_second": round(mhz * 1e6 / mean, 1),
        "bit_exact": result.bit_exact,
        "cycles_exact": result.cycles_exact,
        **routed,
    }


def _routed(folder: Path, planned: Plan) -> dict:
    """Whether it fits, placed and routed."""
    board = planned.board
    found = route(folder / "rtl", "accelerator", board.family, board.device, board.clock_mhz)
    return {"routed_clock_mhz": round(found.clock_mhz, 2), "routed_used": dict(found.used)}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--data", type=click.Path(path_type=Path), default=TASK.folder, show_default=True)
def main(parts: tuple[str, ...], data: Path) -> None:
    """Measure PARTS, or all, and write down what was found."""
    if not parts and not data.is_dir():
        click.echo(f"there is no {data}: nothing is trained", err=True)
        parts = PARTS[:-1]
    parts = parts or PARTS
    if "trained" in parts:
        recipe.read_data(TASK, data)  # which says at once what is missing
    for part in (part for part in PARTS if part in parts):
        keep(RESULT, "python -m benchmarks.spiking", {}, **{part: measured(part, data)})
    found = json.loads(RESULT.read_text())
    drawn = plots(found["curves"], found.get("trained")) if "curves" in found else {}
    for name, text in drawn.items():
        RESULT.with_name(name).write_text(text)


def measured(part: str, data: Path) -> Mapping | list:
    """A part, each row of which, or all of it, says where it was measured."""
    if part == "growth":
        return [stamped(RESULT, row) for row in growth()]
    if part == "networks":
        return {name: stamped(RESULT, network(name, case)) for name, case in CASES.items()}
    return stamped(RESULT, curves() if part == "curves" else trained(data))


if __name__ == "__main__":
    main()
