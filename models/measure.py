"""Accuracy on the whole test set, in float and in integers: `python -m hwgen.models.measure NAME`.

What is shipped beside a checkpoint may be a part of the test set. This reads all of it, as the
recipe does, and writes what it finds into model.json.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from hwgen.compress import Settings, quantize, spiking_network
from hwgen.frontend import accuracy, is_spiking, read
from hwgen.network import Network

from . import finetuned, load, reference
from .dataset import Dataset
from .recipe import Task, data_option, networks, read_data, tasks

BITS = 8


def integers(network: reference.Reference, bits: int = BITS) -> Network:
    """What `hwgen build` makes of a network by default: quantised after training."""
    if is_spiking(network.module):
        return spiking_network(network.module, Settings(weights=bits), network.calibration)[0]
    return read(quantize(network.module, network.calibration, Settings(bits, bits)))


def measure(
    task: Task, folder: Path, data: Path | None, others: Sequence[Task] = ()
) -> Iterator[str]:
    """Measure the training in `folder`, and those on few bits or of `others` sizes beside it, on
    the test set in `data`.

    The files of figures are brought up to date; yields a line for each.
    """
    dataset = read_data(task, data)
    for size in (task, *others):
        if (folder / f"{size.stem}.json").is_file():
            yield from _measure(size, folder, dataset)


def _measure(task: Task, folder: Path, dataset: Dataset) -> Iterator[str]:
    network = load(task.name, folder)
    images, labels = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)
    measured = reference.accuracy(network.module, images, labels)
    bits = network.info.get("integer_bits", BITS)  # synapses are trained for theirs
    found = {
        "accuracy_percent": measured,
        "accuracy_images": len(images),
        "integer_bits": bits,
        "integer_accuracy_percent": accuracy(integers(network, bits), images, labels),
        "integer_command": f"python -m hwgen.models.measure {task.name}",
    }
    _write(folder / f"{task.stem}.json", network.info | found)
    yield (
        f"{task.name} on {len(images)} test images: {measured:.2f} % in float, "
        f"{found['integer_accuracy_percent']:.2f} % in integers of {bits} bits"
    )
    for path in sorted(folder.glob("*.pt2")) if task.stem == reference.MODEL else ():
        trained = finetuned.load(folder, path.stem, network)
        found = {
            "integer_accuracy_percent": accuracy(read(trained.module), images, labels),  # type: ignore
            "accuracy_images": len(images),
        }
        _write(path.with_suffix(".json"), trained.info | found)
        yield f"trained further, {path.stem}: {found['integer_accuracy_percent']:.2f} %"


def _write(path: Path, info: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(info, indent=2) + "\n")


def command(name: str) -> click.Command:
    """The command for one reference network."""
    task, *others = tasks(name)

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
        for line in measure(task, folder, data, others):
            click.echo(line)

    return main


@click.command(cls=networks(command))
def main() -> None:
    """Measure a reference network on its whole test set, in float and in integers."""


if __name__ == "__main__":
    main()
