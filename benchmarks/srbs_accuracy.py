"""``make bench-srbs-accuracy``: what sub-row-balanced sparsity costs in accuracy.

python -m benchmarks.srbs_accuracy                       # go on where an interrupted run stopped
python -m benchmarks.srbs_accuracy --networks fashion_vgg --variants srbs75,direct75

``cifar_vgg`` and ``fashion_vgg``: in float, quantised to 8 bits, and pruned, in Winograd's domain
(``srbs``) or as they are (``direct``), and trained further. Accuracy is that of the integer network
on all test images. Trainings that come with hwgen are read; the others are made in ``build/srbs``,
once. Writes ``accuracy`` in ``docs/benchmarks/srbs.json``, whatever else it holds is kept, and the
table and the picture of a mask.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.command import run
from benchmarks.machine import machine
from hwgen import models
from hwgen.compress import masks_of
from hwgen.models.finetune import Pruning, written
from hwgen.report.plots import STYLE


@dataclass(frozen=True)
class Variant:
    """A network pruned, and trained for so many epochs, by default as many as its recipe has."""

    pruning: Pruning
    epochs: int | None = None


VARIANTS: dict[str, dict[str, Variant]] = {
    "cifar_vgg": {
        "srbs50": Variant(Pruning(8), 2),
        "srbs75": Variant(Pruning({"default": 6, "stage6.0": 2})),
        "srbs75_even": Variant(Pruning(4), 15),
        "srbs81": Variant(Pruning(3), 6),
        "direct50": Variant(Pruning(8, "direct"), 2),
        "direct75": Variant(Pruning(4, "direct"), 2),
        "direct81": Variant(Pruning(3, "direct"), 4),
    },
    "fashion_vgg": {
        "srbs50": Variant(Pruning(8), 2),
        "srbs75": Variant(Pruning(4)),
        "srbs81": Variant(Pruning(3)),
        "direct50": Variant(Pruning(8, "direct"), 2),
        "direct75": Variant(Pruning(4, "direct"), 3),
        "direct81": Variant(Pruning(3, "direct"), 3),
    },
}
#: Columns of the table.
ORDER = ("float", "dense", *VARIANTS["cifar_vgg"])

RESULT = Path("docs/benchmarks/srbs.json")
TABLE = Path("docs/benchmarks/srbs_accuracy.md")
PICTURE = Path("docs/benchmarks/srbs_mask.svg")
WORK = Path("build/srbs")
#: Whose mask is drawn.
DRAWN = "fashion_vgg_srbs75", "stage4.0"

HEAD = """# Accuracy of sparse networks

Percent of all 10,000 test images; all but `float` are integers of 8 bits. `srbs` is pruned in
Winograd's domain, F(2x2, 3x3), `direct` as it is; 50, 75 and 81 are the percent of the weights
that are zero, of every layer with 16 input channels or more. But `srbs75` of `cifar_vgg` keeps 2
of 16 weights in its last convolution, which has half of all weights and needs few of them, and 6
in the others: three quarters of the network are zero, and a third of the products is left instead
of a quarter; `srbs75_even` keeps 4 everywhere. In brackets: after pruning and refit, before
training. Epochs differ: `srbs.json` has them, with seeds and minutes. Written by
`python -m benchmarks.srbs_accuracy`.
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--networks", default=",".join(VARIANTS), help="by default all")
    parser.add_argument("--variants", default=",".join(ORDER[2:]), help="by default all")
    parser.add_argument("--train", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    for network in asked.networks.split(","):
        for variant in asked.variants.split(","):
            known = variant in VARIANTS[network]
            if asked.train and known and _read(network, variant) is None:
                _train(network, variant)
            _write()
    _draw(*DRAWN)


def _train(network: str, variant: str) -> None:
    asked = VARIANTS[network][variant]
    command = [sys.executable, "-m", "hwgen.models.finetune", network]
    command += ["--weights", "8", "--activations", "8", "--keep", written(asked.pruning.n)]
    command += ["--domain", asked.pruning.domain]
    command += ["--epochs", str(asked.epochs)] if asked.epochs else []
    print(f"{network} {variant}: training", flush=True)
    subprocess.run([*command, "--out", str(WORK / network / variant)], check=True)


def _read(network: str, variant: str) -> Mapping | None:
    """What a training has left, in hwgen or in ``WORK``."""
    shipped = Path(models.__file__).parent / network / f"{variant}.json"
    trained = (WORK / network / variant).glob("*.json")
    found = next((path for path in (shipped, *trained) if path.is_file()), None)
    return json.loads(found.read_text()) if found else None


def _write() -> None:
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    accuracy, runs = {}, {}
    for network, variants in VARIANTS.items():
        info = models.load(network).info
        # Of trainings that are on record and no longer here, the record is kept.
        row = dict(found.get("accuracy", {}).get(network, {}))
        row |= {"float": info["accuracy_percent"], "dense": info["integer_accuracy_percent"]}
        details = dict(found.get("accuracy_runs", {}).get(network, {}))
        details["float"] = _details(info)
        for variant in variants:
            made = _read(network, variant)
            if made is not None:
                row[variant] = made["integer_accuracy_percent"]
                details[variant] = _details(made) | {
                    "before_training_percent": made["before_training_percent"]
                }
        accuracy[network] = {name: round(row[name], 2) for name in ORDER if name in row}
        runs[network] = details
    found |= {
        "accuracy": accuracy,
        "accuracy_command": "python -m benchmarks.srbs_accuracy",
        "accuracy_machine": machine(),
        "accuracy_runs": runs,
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    TABLE.write_text("\n".join(_table(accuracy, runs)) + "\n")


def _details(info: Mapping) -> dict:
    recipe = info["recipe"]
    return {
        "command": info["command"],
        "seed": recipe["seed"],
        "epochs": recipe["epochs"],
        **({"n": info["pruning"]["n"]} if "pruning" in info else {}),
        "minutes": info["minutes"],
        "test_images": info["accuracy_images"],
        "held_out_accuracy_percent": round(info["held_out_accuracy_percent"], 2),
    }


def _table(accuracy: Mapping, runs: Mapping) -> Iterator[str]:
    yield HEAD
    yield "| network | " + " | ".join(ORDER) + " |"
    yield "|---|" + "--:|" * len(ORDER)
    for network, row in accuracy.items():
        cells = []
        for name in ORDER:
            before = runs[network].get(name, {}).get("before_training_percent")
            cells.append(f"{row[name]:.2f}" if name in row else "")
            cells[-1] += f" ({before:.1f})" if before is not None else ""
        yield f"| `{network}` | " + " | ".join(cells) + " |"


def _draw(name: str, layer: str) -> None:
    """The mask of a layer in Winograd's domain: a panel for each tap, a line for each row."""
    if name not in models.names():
        return
    network = models.load(name)
    mask = masks_of(network.module)[layer]  # type: ignore[arg-type]
    length = network.info["pruning"]["S"]
    side = len(mask)
    figure = Figure(figsize=(8, 8.4), layout="constrained")
    FigureCanvasSVG(figure)
    shown = min(32, mask.shape[2])
    axes = figure.subplots(side, side)
    for (i, j), axis in np.ndenumerate(axes):
        axis.imshow(~mask[i, j, :shown], cmap="gray", interpolation="nearest", aspect="auto")
        for cut in range(length, mask.shape[3], length):
            axis.axvline(cut - 0.5, color="#cc6677", linewidth=1)
        axis.set_title(f"tap ({i}, {j})", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    pattern = f"SRBS({length}, {network.info['pruning']['n']})"
    figure.suptitle(f"{name}, {layer}: {pattern}", fontsize=10)
    figure.supxlabel("input channels, cut into sub-rows", fontsize=9)
    figure.supylabel(f"output channels 0 to {shown - 1}", fontsize=9)
    with matplotlib.rc_context({"svg.hashsalt": STYLE["svg.hashsalt"]}):
        figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    run(main)
