"""Train a reference network further on few bits or few weights: `python -m hwgen.models.finetune
NAME`.

What comes out, beside the checkpoint that it starts from: `w4a4.pt2`, a fake-quantised program that
`hwgen.frontend` reads, and `w4a4.json`, its accuracy and how it was made. One that keeps 4 of every
16 weights is called `srbs75`, or `direct75` if not in Winograd's domain; so is one that keeps more
in some layers and fewer in others, if three quarters of all weights are zero.
"""

import importlib
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import torch
from rich.console import Console
from torch import fx

from hwgen.compress import Domain, Recipe, Settings, masks_of, prune_srbs, quantize
from hwgen.compress import train as train_quantised
from hwgen.compress.settings import by_layer
from hwgen.errors import UserError
from hwgen.frontend import accuracy as integer_accuracy
from hwgen.frontend import read

from . import augmentation, finetuned, load, reference
from .recipe import Refused, Task, check_writable, data_option, networks, read_data, split
from .training import bar

FITTED = 2048  # training images that weights are pruned and refitted on


@dataclass(frozen=True)
class Pruning:
    """How many of every 16 weights are kept, of all layers or by a table of them, and where:
    `compress.prune_srbs` says how."""

    n: int | dict[str, int]
    domain: Domain = "winograd"
    S: int = 16
    steps: int = 12

    def name(self, program: fx.GraphModule) -> str:
        """Of the files of a `program` pruned so: `srbs75`, where three quarters of the weights are
        zero; by a table, of all of the network."""
        if isinstance(self.n, int):
            zero = Fraction(self.S - self.n, self.S)
        else:
            masks = masks_of(program).values()
            zero = 1 - Fraction(sum(map(np.count_nonzero, masks)), sum(mask.size for mask in masks))
        return f"{'srbs' if self.domain == 'winograd' else 'direct'}{int(100 * zero)}"


@dataclass(frozen=True)
class Target:
    """What a network is to become: the bits of its weights and activations, and how many weights.

    The images that enter have 8 bits, as they do in their files, and logits have 16; everything
    else has these, the first and the last layer too.
    """

    weights: int
    activations: int
    pruning: Pruning | None = None

    def name(self, program: fx.GraphModule) -> str:
        """Of the files of a `program` that is so."""
        bits = f"w{self.weights}a{self.activations}"
        return self.pruning.name(program) if self.pruning else bits

    def program(self, network: reference.Reference, images: np.ndarray) -> fx.GraphModule:
        """The network so, before it is trained. Pruning sees `images`, more than rounding needs:
        there are thousands of weights to fit in each output channel."""
        settings = Settings(self.weights, {"default": self.activations, "input": 8})
        program = quantize(network.module, network.calibration, settings)
        if self.pruning is None:
            return program
        return prune_srbs(program, images, **asdict(self.pruning))


def finetune(
    task: Task,
    start: Path,
    data: Path | None,
    target: Target,
    recipe: Recipe,
    out: Path,
    command: str,
    console: Console,
) -> dict[str, Any]:
    """Train the network in `start` to be `target`, and write both files into `out`."""
    started = time.monotonic()
    network, dataset = load(task.name, start), read_data(task, data)
    held_out, used = split(len(dataset.train_images), network.info["seed"])
    program = target.program(network, reference.pixels(dataset.train_images[used[:FITTED]]))
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
    pruned = {"pruning": asdict(target.pruning)} if target.pruning else {}
    info = {
        "name": task.name,
        "weight_bits": target.weights,
        "activation_bits": target.activations,
        "input_bits": 8,
        "output_bits": Settings.output_bits,
        **pruned,
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
    return finetuned.save(out, target.name(program), trained, images[:2], info)


def written(keep: int | Mapping[str, int]) -> str:
    """`keep` as the command line takes it."""
    if isinstance(keep, int):
        return str(keep)
    return ",".join(f"{layer}={count}" for layer, count in keep.items())


def _kept(ctx, param, text: str | None) -> int | dict[str, int] | None:
    """What `written` writes."""
    if text is None:
        return None
    try:
        kept = by_layer(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    for count in kept.values() if isinstance(kept, dict) else [kept]:
        if not 1 <= count <= 16:
            raise click.BadParameter(f"{count} of 16 weights cannot be kept")
    if kept == 16:
        raise click.BadParameter("16 of 16 weights are all of them")
    return kept


def command(name: str) -> click.Command:
    """The command for one reference network."""
    task: Task = importlib.import_module(f"hwgen.models.{name}.train").TASK

    @click.command(name=name, help=f"Train {name} further, on few bits or few weights.")
    @click.option("--weights", type=click.IntRange(1, 16), default=4, show_default=True)
    @click.option("--activations", type=click.IntRange(1, 16), default=4, show_default=True)
    @click.option(
        "--keep",
        callback=_kept,
        help="So many of every 16 weights, 1 to 15, or a table: default=6,stage6.0=2.",
    )
    @click.option(
        "--domain",
        type=click.Choice(get_args(Domain)),
        default="winograd",
        show_default=True,
        help="Where they are chosen.",
    )
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
        help="The training to start from.",
    )
    @click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        show_default="beside the training",
        help="Where both files are written.",
    )
    @data_option(task)
    def main(
        weights: int,
        activations: int,
        keep: int | dict[str, int] | None,
        domain: Domain,
        epochs: int,
        seed: int,
        threads: int,
        folder: Path,
        out: Path | None,
        data: Path | None = None,
    ) -> None:
        check_writable(out or folder)
        words = ["python", "-m", "hwgen.models.finetune", name]
        words += ["--weights", str(weights), "--activations", str(activations)]
        if keep:
            words += ["--keep", written(keep), "--domain", domain]
        words += ["--epochs", str(epochs), "--seed", str(seed), "--threads", str(threads)]
        torch.set_num_threads(threads)
        recipe = replace(task.finetune, epochs=epochs, seed=seed)
        target = Target(weights, activations, Pruning(keep, domain) if keep else None)
        command, console = shlex.join(words), Console()
        try:
            info = finetune(task, folder, data, target, recipe, out or folder, command, console)
        except UserError as error:
            raise Refused(str(error)) from error
        click.echo(
            f"{info['integer_accuracy_percent']:.2f} % in integers on {info['accuracy_images']} "
            f"test images ({info['float_accuracy_percent']:.2f} % in float) after "
            f"{info['minutes']} minutes"
        )

    return main


@click.command(cls=networks(command))
def main() -> None:
    """Train a reference network further, on few bits or few weights."""


if __name__ == "__main__":
    main()
