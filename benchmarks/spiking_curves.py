"""Accuracy against the bits of a synapse and against the steps, of networks trained for them.

One float network is trained as `mnist_snn` is, with its seed. From there its weights become indices
of 1 to 8 bits, and its steps other ones: once as k-means leaves it, and once trained on for that.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hwgen.compress.settings import Settings
from hwgen.compress.spiking import quantize_spiking
from hwgen.compress.spiking_training import fit, refine
from hwgen.frontend import accuracy
from hwgen.frontend.spiking import SpikingModel, read_spiking
from hwgen.frontend.spiking_network import to_network
from hwgen.models import recipe, reference
from hwgen.models.mnist_snn.train import TASK
from hwgen.report.plots import FAINT, INK, STYLE

__all__ = ["BITS", "STEPS", "curves", "plots"]

BITS = tuple(range(1, 9))
STEPS = (4, 6, 8, 10, 15, 25)

#: The two ways, and their colours.
WAYS = {"quantised": "#882255", "trained": "#117733"}


def curves(folder: Path, progress: Callable[[str], None] = print) -> dict:
    """Percent of the test set in `folder` that is right, in integers."""
    dataset, numbers = recipe.read_data(TASK, folder), TASK.recipe
    _, used = recipe.split(len(dataset.train_images), numbers.seed)
    images, labels = dataset.train_images[used], dataset.train_labels[used]
    test, answers = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)
    calibration = reference.pixels(dataset.train_images[used[:2]])
    torch.manual_seed(numbers.seed)
    module = TASK.network()
    fit(module, images, labels, numbers)
    floats = reference.accuracy(module, test, answers)
    progress(f"float: {floats:.2f} %")
    model = read_spiking(module)

    def percent(some: SpikingModel, bits: int, what: str) -> dict[str, float]:
        found = {
            "quantised": quantize_spiking(some, Settings(weights=bits), calibration),
            "trained": refine(some, bits, images, labels, numbers.codebooks),
        }
        row = {way: accuracy(to_network(one), test, answers) for way, one in found.items()}
        progress(f"{what}: {row}")
        return row

    bits = numbers.index_bits
    return {
        "network": TASK.name,
        "float": floats,
        "trained_epochs": [numbers.epochs, numbers.codebooks.epochs],
        "index_bits": {n: percent(model, n, f"{n} bits") for n in BITS},
        "steps": {n: percent(replace(model, steps=n), bits, f"{n} steps") for n in STEPS},
    }


def plots(found: Mapping) -> dict[str, str]:
    """SVG text by file name."""
    trained = TASK.recipe.index_bits
    return {
        "spiking_bits.svg": _plot(found, "index_bits", "bits of a synapse", "T = 10"),
        "spiking_steps.svg": _plot(found, "steps", "steps T", f"{trained} bits a synapse"),
    }


def _plot(found: Mapping, name: str, label: str, title: str) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        at = [int(n) for n in found[name]]
        for way, colour in WAYS.items():
            told = {"quantised": "k-means alone", "trained": "trained on, for each point"}[way]
            heights = [row[way] for row in found[name].values()]
            axes.plot(at, heights, "o-", color=colour, markersize=4, label=told)
        axes.axhline(found["float"], color=INK, linestyle="--", linewidth=1)
        axes.annotate("float, T = 10", (at[-1], found["float"]), (0, 3), textcoords="offset points",
                      ha="right", fontsize=8)  # fmt: skip
        axes.set_xticks(at)
        axes.set_xlabel(f"{label}; {title}")
        axes.set_ylabel("% of 10,000 test images right")
        least = min(row["trained"] for row in found[name].values())
        axes.set_ylim(least - 1, 99)  # k-means alone falls out of sight with one bit
        axes.grid(color=FAINT, linewidth=0.6)
        axes.legend(frameon=False, loc="lower right")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
