"""The recipe of mnist_snn: `python -m hwgen.models.mnist_snn.train --help`.

The float network is trained first; then its weights become indices into codebooks, and weights and
entries are trained on, on the integers that hardware will hold.
"""

import shlex
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console

from hwgen.compress.spiking_training import SpikingRecipe, fit, refine
from hwgen.frontend import accuracy as integer_accuracy
from hwgen.frontend.spiking import SpikingModel, read_spiking
from hwgen.frontend.spiking_network import to_network

from .. import recipe as shared
from .. import reference
from ..dataset import Dataset
from . import data
from .network import STEPS, MnistSNN

#: Steps that accuracy is reported at besides `STEPS`, without training for them.
MORE_STEPS = 25


@dataclass(frozen=True)
class Recipe:
    """Both trainings."""

    floats: SpikingRecipe = field(default_factory=lambda: SpikingRecipe(epochs=8))
    codebooks: SpikingRecipe = field(
        default_factory=lambda: SpikingRecipe(epochs=2, peak_lr=4e-4, seed=1)
    )
    index_bits: int = 4


@dataclass(frozen=True)
class Task:
    """What is trained on what, as other recipes have it."""

    name: str = "mnist_snn"
    dataset: str = "MNIST"
    folder: Path = data.FOLDER
    recipe: Recipe = field(default_factory=Recipe)

    @staticmethod
    def read(folder: Path) -> Dataset:
        return data.read(folder)


TASK = Task()


def train(dataset: Dataset, recipe: Recipe, out: Path, command: str, console: Console) -> dict:
    """Train on `dataset`, write the four files into `out`, return model.json."""
    started = time.monotonic()
    held_out, used = shared.split(len(dataset.train_images), recipe.floats.seed)
    images, labels = dataset.train_images[used], dataset.train_labels[used]
    torch.manual_seed(recipe.floats.seed)
    module = MnistSNN()

    def told(what: str):
        return lambda epoch, loss: console.print(f"{what} epoch {epoch + 1}: loss {loss:.4f}")

    fit(module, images, labels, recipe.floats, progress=told("float"))
    test, answers = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)
    floats = reference.accuracy(module, test, answers)
    console.print(f"float accuracy {floats:.2f} %")
    model = refine(
        read_spiking(module), recipe.index_bits, images, labels, recipe.codebooks, told("codebook")
    )
    put(module, model)
    kept = reference.pixels(dataset.train_images[held_out]), dataset.train_labels[held_out]
    calibrated = shared.calibration_choice(len(dataset.train_images))
    info = {
        "name": TASK.name,
        "dataset": TASK.dataset,
        "float_network_accuracy_percent": floats,
        "accuracy_percent": reference.accuracy(module, test, answers),
        "accuracy_images": len(test),
        "integer_bits": recipe.index_bits,
        "integer_accuracy_percent": integers(model, test, answers),
        f"integer_accuracy_percent_{MORE_STEPS}_steps": integers(
            replace(model, steps=MORE_STEPS), test, answers
        ),
        "steps": STEPS,
        "coding": "rate, 8 bits, x^16 + x^14 + x^13 + x^11 + 1",
        "held_out_accuracy_percent": integers(model, kept[0], kept[1].astype(np.int64)),
        "held_out_images": len(held_out),
        "train_images": len(used),
        "calibration_images": len(calibrated),
        "calibration_seed": shared.CALIBRATION_SEED,
        **reference.size(module, test.shape[1:]),
        "seed": recipe.floats.seed,
        "epochs": recipe.floats.epochs,
        "recipe": asdict(recipe),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "threads": torch.get_num_threads(),
        "torch_version": str(torch.__version__),
        "command": command,
    }
    reference.save(
        out,
        module,
        info,
        test=(dataset.test_images, dataset.test_labels),
        calibration=(dataset.train_images[calibrated], dataset.train_labels[calibrated]),
    )
    return info


def put(module: MnistSNN, model: SpikingModel) -> None:
    """Store what was learnt in `module`, exactly: entries of codebooks are short."""
    parts: dict[str, Any] = dict(module.named_modules())
    with torch.no_grad():
        for layer in model.layers:
            parts[layer.name].weight.copy_(torch.from_numpy(layer.weight))
            parts[layer.name].bias.copy_(torch.from_numpy(layer.bias))


def integers(model: SpikingModel, images: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of the integer network in percent."""
    return integer_accuracy(to_network(model), images, labels)


@click.command(help=f"Train {TASK.name} on {TASK.dataset} and measure it on the test images.")
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=torch.get_num_threads)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("build") / TASK.name
)
@click.option(
    "--data", "folder", type=click.Path(path_type=Path), default=TASK.folder, show_default=True
)
def main(epochs: int, threads: int, out: Path, folder: Path) -> None:
    """Nothing is written before the training is complete."""
    shared.check_writable(out)
    dataset = shared.read_data(TASK, folder)  # type: ignore[arg-type]
    torch.set_num_threads(threads)
    chosen = replace(TASK.recipe, floats=replace(TASK.recipe.floats, epochs=epochs))
    words = ["python", "-m", "hwgen.models.mnist_snn.train", "--epochs", str(epochs)]
    words += ["--threads", str(threads), "--out", str(out)]
    info = train(dataset, chosen, out, shlex.join(words), Console())
    click.echo(
        f"{info['integer_accuracy_percent']:.2f} % in integers, "
        f"{info['float_network_accuracy_percent']:.2f} % in float; written to {out}"
    )


if __name__ == "__main__":
    main()
