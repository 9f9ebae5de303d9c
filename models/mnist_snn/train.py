"""The recipe of mnist_snn: `python -m hwgen.models.mnist_snn.train --help`.

The float network is trained first; then its weights become indices into codebooks, and weights and
entries are trained on, on the integers that hardware will hold.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from hwgen.compress.spiking_training import SpikingRecipe, fit, refine
from hwgen.frontend import accuracy as integer_accuracy
from hwgen.frontend.spiking import SpikingModel, read_spiking
from hwgen.frontend.spiking_network import to_network

from .. import recipe, reference
from ..dataset import Dataset
from . import data
from .network import SIZES, MnistSNN

#: Steps that accuracy is reported at besides those trained for.
MORE_STEPS = 25


@dataclass(frozen=True)
class Recipe(SpikingRecipe):
    """The training of the float network, and that of its codebooks."""

    epochs: int = 8
    codebooks: SpikingRecipe = field(
        default_factory=lambda: SpikingRecipe(epochs=2, peak_lr=4e-4, seed=1)
    )
    index_bits: int = 4


def train(
    module: nn.Module,
    dataset: Dataset,
    used: np.ndarray,
    held_out: np.ndarray,
    numbers: Recipe,
    console: Console,
) -> dict[str, Any]:
    """Train both, and leave in `module` what was learnt; returns what was measured."""
    images, labels = dataset.train_images[used], dataset.train_labels[used]
    test, answers = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)

    def told(what: str):
        return lambda epoch, loss: console.print(f"{what} epoch {epoch + 1}: loss {loss:.4f}")

    fit(module, images, labels, numbers, progress=told("float"))
    floats = reference.accuracy(module, test, answers)
    console.print(f"float accuracy {floats:.2f} %")
    bits = numbers.index_bits
    model = refine(read_spiking(module), bits, images, labels, numbers.codebooks, told("codebook"))
    put(module, model)
    kept = reference.pixels(dataset.train_images[held_out])
    kept_answers = dataset.train_labels[held_out].astype(np.int64)
    return {
        "float_network_accuracy_percent": floats,
        "integer_bits": bits,
        "integer_accuracy_percent": integers(model, test, answers),
        f"integer_accuracy_percent_{MORE_STEPS}_steps": integers(
            replace(model, steps=MORE_STEPS), test, answers
        ),
        "steps": model.steps,
        "coding": f"rate, {model.bits} bits, x^16 + x^14 + x^13 + x^11 + 1",
        "held_out_accuracy_percent": integers(model, kept, kept_answers),
    }


def put(module: nn.Module, model: SpikingModel) -> None:
    """Store what was learnt in `module`, exactly: entries of codebooks are short."""
    parts: dict[str, Any] = dict(module.named_modules())
    with torch.no_grad():
        for layer in model.layers:
            parts[layer.name].weight.copy_(torch.from_numpy(layer.weight))
            parts[layer.name].bias.copy_(torch.from_numpy(layer.bias))


def integers(model: SpikingModel, images: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of the integer network in percent."""
    return integer_accuracy(to_network(model), images, labels)


TASK = recipe.Task(
    name="mnist_snn",
    network=MnistSNN,
    dataset="MNIST",
    read=data.read,
    folder=data.FOLDER,
    recipe=Recipe(),
    fit=train,
)

#: Other sizes, whose files lie beside those of mnist_snn.
OTHERS = tuple(
    replace(TASK, name=f"mnist_snn_{size}", network=partial(MnistSNN, **given), stem=size)
    for size, given in SIZES.items()
)

main = recipe.command(TASK, *OTHERS)

if __name__ == "__main__":
    main()
