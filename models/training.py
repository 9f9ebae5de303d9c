"""The training loop that the recipes of all reference networks share."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import nn
from torch.nn import functional as F

from . import augmentation
from .reference import accuracy, pixels


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training. A recipe fixes the result on one machine and torch version."""

    epochs: int
    batch: int = 256
    peak_lr: float = 0.1
    warmup: float = 0.1
    """Share of all steps in which the learning rate climbs; it then falls along a cosine to 0."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    """On weights alone, not on biases and batch norms. It also keeps weights free of outliers,
    which would widen a layer's quantisation step."""
    label_smoothing: float = 0.05
    flip: bool = True
    max_shift: int = 2
    """In pixels."""
    erase: float = 0.0
    """Probability, for each image."""
    bfloat16: bool = False
    """Multiply in bfloat16, which a CPU with AVX512-BF16 does almost twice as fast as float32."""
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")
        for field in ("peak_lr", "momentum", "weight_decay", "max_shift", "seed"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be at least 0, not {getattr(self, field)}")
        for field in ("warmup", "label_smoothing", "erase"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must be in 0..1, not {getattr(self, field)}")

    def learning_rate(self, step: int, steps: int) -> float:
        """The learning rate of step 0 <= `step` < `steps`."""
        climb = max(1, round(self.warmup * steps))
        if step < climb:
            return self.peak_lr * (step + 1) / climb
        return self.peak_lr * (1 + math.cos(math.pi * (step - climb + 1) / (steps - climb + 1))) / 2


def fit(
    module: nn.Module,
    train: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    recipe: Recipe,
    console: Console,
) -> float:
    """Train `module` in place and return its accuracy on the held-out images in percent.

    `train` and `held_out` are images uint8 (N, H, W, C) with integer labels (N,); the module sees
    float32 (N, C, H, W) in [0, 1]. `console` shows a bar with the time left and, for each epoch,
    the mean loss and the held-out accuracy. The weights of the last step are kept, where the
    learning rate has come down to zero: no epoch is picked. Order, augmentation and dropout follow
    from `recipe.seed`; the caller seeds the initial weights.
    """
    torch.manual_seed(recipe.seed)  # dropout draws from the global generator
    random = torch.Generator().manual_seed(recipe.seed)
    # Twice as fast as contiguous on a CPU.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks it
    images, labels = torch.from_numpy(train[0]), torch.from_numpy(train[1].astype(np.int64))
    held_out_images = pixels(held_out[0])
    optimizer = _optimizer(module, recipe)
    steps_per_epoch = -(-len(images) // recipe.batch)
    steps = recipe.epochs * steps_per_epoch
    measured = math.nan
    with bar(console) as progress:
        task = progress.add_task("training", total=steps)
        step = 0
        for epoch in range(1, recipe.epochs + 1):
            module.train()
            loss_sum = 0.0
            for chosen in torch.randperm(len(images), generator=random).split(recipe.batch):
                for group in optimizer.param_groups:
                    group["lr"] = recipe.learning_rate(step, steps)
                batch = images[chosen].permute(0, 3, 1, 2)
                batch = augmentation.shift_and_flip(batch, recipe.max_shift, recipe.flip, random)
                batch = batch.float() / 255
                if recipe.erase:
                    batch = augmentation.erase(batch, recipe.erase, random)
                with torch.autocast("cpu", torch.bfloat16, recipe.bfloat16):
                    logits = module(batch).float()
                loss = F.cross_entropy(
                    logits, labels[chosen], label_smoothing=recipe.label_smoothing
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                step += 1
                loss_sum += loss.item()
                progress.update(task, advance=1, description=f"epoch {epoch}/{recipe.epochs}")
            module.eval()
            measured = accuracy(module, held_out_images, held_out[1])
            progress.console.print(
                f"epoch {epoch}/{recipe.epochs}: loss {loss_sum / steps_per_epoch:.4f}, "
                f"held-out accuracy {measured:.2f} %"
            )
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return measured


def bar(console: Console) -> Progress:
    """A bar with the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed, left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    return torch.optim.SGD(
        [
            {"params": weights, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe.peak_lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
    )
