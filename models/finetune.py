"""Train a reference network further on few bits: `python -m hwgen.models.finetune NAME`.

What comes out, beside the checkpoint that it starts from: `w4a4.pt2`, a fake-quantised program that
`hwgen.frontend` reads, and `w4a4.json`, its accuracy and how it was made.
"""

import importlib
import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console

from hwgen.compress import Recipe, Settings, quantize
from hwgen.compress import train as train_quantised
from hwgen.frontend import accuracy as integer_accuracy
from hwgen.frontend import read

from . import augmentation, finetuned, load, reference
from .recipe import Task, check_writable, data_option, networks, read_data, split
from .training import bar


def finetune(
    task: Task,
    folder: Path,
    data: Path | None,
    bits: tuple[int, int],
    recipe: Recipe,
    command: str,
    console: Console,
) -> dict[str, Any]:
    """Train the network in `folder` on `bits` of weights and activations, and write both files.

    The images that enter have 8 bits, as they do in their files, and logits have 16; everything
    else has `bits`, the first and the last layer too.
    """
    started = time.monotonic()
    network, dataset = load(task.name, folder), read_data(task, data)
    settings = Settings(bits[0], {"default": bits[1], "input": 8})
    program = quantize(network.module, network.calibration, settings)
    held_out, used = split(len(dataset.train_images), network.info["seed"])
    planes = dataset.train_images.transpose(0, 3, 1, 2)
    images, labels = reference.pixels(dataset.test_images), dataset.test_labels.astype(np.int64)
    before = integer_accuracy(read(program), images, labels)
    console.print(f"{before:.2f} % on {len(images)} test images before training")
    with bar(console) as shown:
        shown_task = shown.add_task("training")

        def progress(what: str, done: int, of: int) -> None:
            shown.update(shown_task, description=what, completed=done, total=of)
            if done % (of // recipe.epochs) == 0:
                shown.console.print(what)

        trained = train_quantised(
            program,
            np.ascontiguousarray(planes[used]),
            dataset.train_labels[used],
            recipe,
            teacher=network.module,
            augment=lambda batch, random: augmentation.shift_and_flip(
                batch, task.recipe.max_shift, task.recipe.flip, random
            ),
            progress=progress,
        )
    made = read(trained)
    shipped = slice(task.shipped_tests)
    name = f"w{bits[0]}a{bits[1]}"
    info = {
        "name": task.name,
        "weight_bits": bits[0],
        "activation_bits": bits[1],
        "input_bits": 8,
        "output_bits": settings.output_bits,
        "float_accuracy_percent": network.info["accuracy_percent"],
        "before_training_percent": before,
        "integer_accuracy_percent": integer_accuracy(made, images, labels),
        "accuracy_images": len(images),
        "shipped_accuracy_percent": integer_accuracy(made, images[shipped], labels[shipped]),
        "held_out_accuracy_percent": integer_accuracy(
            made, reference.pixels(dataset.train_images[held_out]), dataset.train_labels[held_out]
        ),
        "train_images": len(used),
        "recipe": asdict(recipe),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "threads": torch.get_num_threads(),
        "torch_version": str(torch.__version__),
        "command": command,
    }
    return finetuned.save(folder, name, trained, images[:2], info)


def command(name: str) -> click.Command:
    """The command for one reference network."""
    task: Task = importlib.import_module(f"hwgen.models.{name}.train").TASK

    @click.command(name=name, help=f"Train {name} further on few bits, as it will compute.")
    @click.option("--weights", type=click.IntRange(1, 16), default=4, show_default=True)
    @click.option("--activations", type=click.IntRange(1, 16), default=4, show_default=True)
    @click.option(
        "--epochs", type=click.IntRange(min=1), default=task.finetune.epochs, show_default=True
    )
    @click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
    @click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
    @click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(__file__).parent / name,
        show_default="the one that comes with hwgen",
        help="The training to start from; both files are written beside it.",
    )
    @data_option(task)
    def main(
        weights: int,
        activations: int,
        epochs: int,
        seed: int,
        threads: int,
        folder: Path,
        data: Path | None = None,
    ) -> None:
        check_writable(folder)
        words = ["python", "-m", "hwgen.models.finetune", name]
        words += ["--weights", str(weights), "--activations", str(activations)]
        words += ["--epochs", str(epochs), "--seed", str(seed), "--threads", str(threads)]
        torch.set_num_threads(threads)
        recipe = replace(task.finetune, epochs=epochs, seed=seed)
        bits = weights, activations
        info = finetune(task, folder, data, bits, recipe, shlex.join(words), Console())
        click.echo(
            f"{info['integer_accuracy_percent']:.2f} % in integers on {info['accuracy_images']} "
            f"test images ({info['float_accuracy_percent']:.2f} % in float) after "
            f"{info['minutes']} minutes"
        )

    return main


@click.command(cls=networks(command))
def main() -> None:
    """Train a reference network further on few bits, as it will compute."""


if __name__ == "__main__":
    main()
