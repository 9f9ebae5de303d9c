"""Accuracy against the bits of a synapse and against the steps: of `mnist_snn` as it is, and of
networks trained for each."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hwgen import models
from hwgen.compress.settings import Settings
from hwgen.compress.spiking import quantize_spiking
from hwgen.compress.spiking_training import fit, refine
from hwgen.frontend import accuracy
from hwgen.frontend.spiking import SpikingModel, read_spiking
from hwgen.frontend.spiking_network import to_network
from hwgen.models import recipe, reference
from hwgen.models.mnist_snn.train import TASK
from hwgen.network import Network
from hwgen.report.plots import FAINT, INK, STYLE

__all__ = ["BITS", "STEPS", "curves", "plots", "trained"]

BITS = tuple(range(1, 9))
STEPS = (4, 6, 8, 10, 15, 25)


def curves() -> dict:
    """Percent of the test set that `mnist_snn` gets right as it is, with other bits and steps."""
    found = models.load(TASK.name)
    exact, bits = read_spiking(found.module), TASK.recipe.index_bits
    known: dict[Network, float] = {}

    def percent(model: SpikingModel, bits: int) -> float:
        made = to_network(quantize_spiking(model, Settings(weights=bits), found.calibration))
        if made not in known:  # the 16 values that it was trained for are kept by more bits
            known[made] = accuracy(made, found.test_images, found.test_labels)
            print(f"{model.steps} steps, {bits} bits: {known[made]:.2f} %", flush=True)
        return known[made]

    return {
        "network": TASK.name,
        "float": found.info["float_network_accuracy_percent"],
        "index_bits": {n: percent(exact, n) for n in BITS},
        "steps": {n: percent(replace(exact, steps=n), bits) for n in STEPS},
    }


def trained(folder: Path) -> dict:
    """The same of networks trained for each: one float network is trained as `mnist_snn` is, with
    its seed, on MNIST in `folder`; from there its weights become indices of so many bits, or its
    steps so many, and it is trained on."""
    dataset, numbers = recipe.read_data(TASK, folder), TASK.recipe
    _, used = recipe.split(len(dataset.train_images), numbers.seed)
    images, labels = dataset.train_images[used], dataset.train_labels[used]
    test, answers = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)
    torch.manual_seed(numbers.seed)
    module = TASK.network()
    fit(module, images, labels, numbers)
    model = read_spiking(module)

    def percent(some: SpikingModel, bits: int) -> float:
        made = to_network(refine(some, bits, images, labels, numbers.codebooks))
        right = accuracy(made, test, answers)
        print(f"trained for {some.steps} steps, {bits} bits: {right:.2f} %", flush=True)
        return right

    bits = numbers.index_bits
    return {
        "epochs": [numbers.epochs, numbers.codebooks.epochs],
        "index_bits": {n: percent(model, n) for n in BITS},
        "steps": {n: percent(replace(model, steps=n), bits) for n in STEPS},
    }


def plots(asis: Mapping, trained: Mapping | None) -> dict[str, str]:
    """SVG text by file name, of what `curves` and, where measured, `trained` returned."""
    bits = TASK.recipe.index_bits
    return {
        "spiking_bits.svg": _plot(asis, trained, "index_bits", "bits of a synapse; T = 10"),
        "spiking_steps.svg": _plot(asis, trained, "steps", f"steps T; {bits} bits a synapse"),
    }


def _plot(asis: Mapping, trained: Mapping | None, name: str, label: str) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        ways = [(asis, "trained for 4 bits, T = 10", "#882255")]
        if trained:
            ways.append((trained, "trained for each point", "#117733"))
        for found, told, colour in ways:
            at = [int(n) for n in found[name]]
            axes.plot(at, [*found[name].values()], "o-", color=colour, markersize=4, label=told)
        axes.axhline(asis["float"], color=INK, linestyle="--", linewidth=1, label="float, T = 10")
        axes.set_xticks(at)
        axes.set_xlabel(label)
        axes.set_ylabel("% of 10,000 test images right")
        axes.grid(color=FAINT, linewidth=0.6)
        axes.legend(frameon=False, loc="lower right")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
