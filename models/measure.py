"""Accuracy on the whole test set, in float and in integers: `python -m hwgen.models.measure NAME`.

What is shipped beside a checkpoint may be a part of the test set. This reads all of it, as the
recipe does, and writes what it finds into model.json.
"""

import importlib
import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from hwgen.compress import Settings, quantize
from hwgen.frontend import accuracy as integer_accuracy
from hwgen.frontend import read

from . import load, reference
from .recipe import Task, data_option, networks, read_data

BITS = 8


def integers(
    network: reference.Reference, images: np.ndarray, labels: np.ndarray, bits: int = BITS
) -> float:
    """Accuracy in percent of `hwgen build`'s integer network, quantised after training."""
    program = quantize(network.module, network.calibration, Settings(bits, bits))
    return integer_accuracy(read(program), images, labels)


def measure(task: Task, folder: Path, data: Path | None) -> dict[str, Any]:
    """Measure the training in `folder` on the test set in `data`; returns the new model.json."""
    network, dataset = load(task.name, folder), read_data(task, data)
    images, labels = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)
    found = {
        "accuracy_percent": reference.accuracy(network.module, images, labels),
        "accuracy_images": len(images),
        "integer_bits": BITS,
        "integer_accuracy_percent": integers(network, images, labels),
        "integer_command": f"python -m hwgen.models.measure {task.name}",
    }
    info = network.info | found
    (folder / reference.INFO).write_text(json.dumps(info, indent=2) + "\n")
    return info


def command(name: str) -> click.Command:
    """The command for one reference network."""
    task: Task = importlib.import_module(f"hwgen.models.{name}.train").TASK

    @click.command(name=name)
    @click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(__file__).parent / name,
        show_default="the one that comes with hwgen",
        help="A training.",
    )
    @data_option(task)
    def main(folder: Path, data: Path | None = None) -> None:
        info = measure(task, folder, data)
        click.echo(
            f"{name} on {info['accuracy_images']} test images: {info['accuracy_percent']:.2f} % in "
            f"float, {info['integer_accuracy_percent']:.2f} % in integers of {BITS} bits"
        )

    return main


@click.command(cls=networks(command))
def main() -> None:
    """Measure a reference network on its whole test set, in float and in integers."""


if __name__ == "__main__":
    main()
