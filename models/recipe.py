"""The command and the steps that the recipes of all reference networks share."""

import importlib
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from torch import nn

from hwgen.compress import Recipe as Finetune

from . import reference, training
from .dataset import DataError, Dataset

CALIBRATION_COUNT = 512  # enough to see the range of every activation, small enough to ship
CALIBRATION_SEED = 512  # not the training's seed: retraining keeps the calibration images
HELD_OUT_SHARE = 12  # one in twelve training images: 5,000 of Fashion-MNIST's 60,000


#: Trains a module: given it, the data, which images are trained on and which held out, the recipe.
Fit = Callable[[nn.Module, Dataset, np.ndarray, np.ndarray, Any, Console], dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """What is trained on what: all that sets one reference network's recipe apart.

    `read` takes the folder of the data set; `folder` is where it usually lies, or None for a data
    set that comes with a package. `shipped_tests` is how many of the test images are kept beside
    the checkpoint, the first ones. `fit` trains the network in place, on the images that are used
    and not on those held out, and returns what it measured for model.json. `stem` names the files
    that are its own in a folder that several sizes of a network share.
    """

    name: str
    network: Callable[[], nn.Module]
    dataset: str
    read: Callable[[Any], Dataset]
    folder: Path | None
    recipe: Any
    finetune: Finetune = field(default_factory=Finetune)
    shipped_tests: int = 10_000
    fit: Fit | None = None
    stem: str = reference.MODEL


def train(
    task: Task, dataset: Dataset, recipe: Any, out: Path, command: str, console: Console
) -> dict[str, Any]:
    """Train `task.network` on `dataset`, write its four files into `out`, return model.json."""
    started = time.monotonic()
    held_out, used = split(len(dataset.train_images), recipe.seed)
    torch.manual_seed(recipe.seed)
    module = task.network()
    measured = (task.fit or _fit)(module, dataset, used, held_out, recipe, console)
    test_images = reference.pixels(dataset.test_images)
    shipped = slice(task.shipped_tests)
    calibrated = calibration_choice(len(dataset.train_images))
    info = {
        "name": task.name,
        "dataset": task.dataset,
        "accuracy_percent": reference.accuracy(module, test_images, dataset.test_labels),
        "accuracy_images": len(test_images),
        "shipped_accuracy_percent": reference.accuracy(
            module, test_images[shipped], dataset.test_labels[shipped]
        ),
        "shipped_images": len(test_images[shipped]),
        **measured,
        "held_out_images": len(held_out),
        "train_images": len(used),
        "calibration_images": len(calibrated),
        "calibration_seed": CALIBRATION_SEED,
        **reference.size(module, test_images.shape[1:]),
        "seed": recipe.seed,
        "epochs": recipe.epochs,
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
        test=(dataset.test_images[shipped], dataset.test_labels[shipped]),
        calibration=(dataset.train_images[calibrated], dataset.train_labels[calibrated]),
        stem=task.stem,
    )
    return info


def _fit(
    module: nn.Module,
    dataset: Dataset,
    used: np.ndarray,
    held_out: np.ndarray,
    recipe: training.Recipe,
    console: Console,
) -> dict[str, Any]:
    """The loop that most networks share."""
    accuracy = training.fit(
        module,
        (dataset.train_images[used], dataset.train_labels[used]),
        (dataset.train_images[held_out], dataset.train_labels[held_out]),
        recipe,
        console,
    )
    return {"held_out_accuracy_percent": accuracy}


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` training images are held out, and which are trained on."""
    order = np.random.default_rng(seed).permutation(count)
    held_out, used = np.split(order, [count // HELD_OUT_SHARE])
    return held_out, used


def calibration_choice(count: int) -> np.ndarray:
    """Which of `count` training images calibrate: the same for every training."""
    random = np.random.default_rng(CALIBRATION_SEED)
    return np.sort(random.choice(count, min(CALIBRATION_COUNT, count), replace=False))


class Refused(click.ClickException):
    """Ends a command with a message."""

    exit_code = 2


def read_data(task: Task, folder: Path | None) -> Dataset:
    """The data set of `task`, or the one message that the command ends with."""
    try:
        return task.read(folder)
    except DataError as error:
        raise Refused(str(error)) from error


def check_writable(folder: Path) -> None:
    """Ends the command at once, and not after the training, if it cannot write to `folder`."""
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        raise Refused(f"cannot write to {existing}; name another folder.")


def data_option(task: Task) -> Callable[[Callable], Callable]:
    """`--data FOLDER`, where the data set has one."""
    if task.folder is None:
        return lambda main: main
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        default=task.folder,
        show_default=True,
        help=f"Folder with the files of {task.dataset}.",
    )


def tasks(name: str) -> tuple[Task, ...]:
    """The task of a reference network, and those of its other sizes."""
    module = importlib.import_module(f"hwgen.models.{name}.train")
    return (module.TASK, *getattr(module, "OTHERS", ()))


def networks(command: Callable[[str], click.Command]) -> type[click.Group]:
    """A group with one command for each reference network, made when it is called."""

    class Networks(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return sorted(path.parent.name for path in Path(__file__).parent.glob("*/train.py"))

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    return Networks


def command(task: Task, *sizes: Task) -> click.Command:
    """`python -m hwgen.models.NAME.train`; `sizes` are other sizes of the network."""
    named = {one.stem: one for one in sizes}

    def size_option(main: Callable) -> Callable:
        told = "Another size of the network, with files of that name."
        return (
            click.option("--size", type=click.Choice([*named]), help=told)(main) if named else main
        )

    @click.command(
        help=f"Train {task.name} on {task.dataset} and measure it on the test images.\n\n"
        "Nothing is written before the training is complete."
    )
    @click.option(
        "--epochs", type=click.IntRange(min=1), default=task.recipe.epochs, show_default=True
    )
    @click.option("--seed", type=click.IntRange(min=0), default=task.recipe.seed, show_default=True)
    @click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=torch.get_num_threads,
        show_default="one for each core",
        help="On a machine busy with other work, 1 is faster.",
    )
    @click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("build") / task.name,
        show_default=True,
        help="Folder for the checkpoint, its figures, the test and the calibration images.",
    )
    @size_option
    @data_option(task)
    def main(
        epochs: int,
        seed: int,
        threads: int,
        out: Path,
        size: str | None = None,
        data: Path | None = None,
    ) -> None:
        check_writable(out)
        dataset = read_data(task, data)
        words = ["python", "-m", f"hwgen.models.{task.name}.train"]
        words += ["--size", size] if size else []
        words += ["--epochs", str(epochs), "--seed", str(seed)]
        words += ["--threads", str(threads), "--out", str(out)]
        if data != task.folder:
            words += ["--data", str(data)]
        torch.set_num_threads(threads)
        chosen = named[size] if size else task
        recipe = replace(chosen.recipe, epochs=epochs, seed=seed)
        info = train(chosen, dataset, recipe, out, shlex.join(words), Console())
        click.echo(
            f"float accuracy {info['accuracy_percent']:.2f} % on {info['accuracy_images']} test "
            f"images after {info['minutes']} minutes; written to {out}"
        )

    return main
