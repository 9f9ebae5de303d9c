"""Quantisation-aware training: weights and steps learn what rounding does to the network.

Esser et al. 2020, Learned Step Size Quantization, arXiv:1902.08153, on the folded network: what
learns is what is built. Adam, whose updates do not depend on the size of a gradient, takes the
place of that paper's scaling of the steps' gradients.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx
from torch.nn import functional as F

from hwgen.compress.learned import Learned
from hwgen.compress.roundings import LAYERS
from hwgen.errors import Problem, refuse
from hwgen.frontend.calls import CONSTANT_OPS, calls, constant, layer_of, op_of
from hwgen.frontend.program import arguments, entries, leaving

__all__ = ["Progress", "Recipe", "train"]

Progress = Callable[[str, int, int], None]

#: Makes random views of a batch of inputs, (N, ...) to (N, ...).
Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training. They fix the result on one machine and torch version."""

    epochs: int = 10
    batch: int = 128
    peak_lr: float = 1e-3
    """Of Adam, for weights; it climbs over ``warmup``, and falls along a cosine to 0."""
    step_lr: float = 1e-3
    """Likewise for the logarithms of the steps."""
    warmup: float = 0.1
    """Share of all steps."""
    distil: float = 0.5
    """How much of the loss is the distance from the teacher, where there is one; the rest is the
    cross entropy with the labels."""
    temperature: float = 2.0
    """Softens the teacher's answers (Hinton et al. 2015, arXiv:1503.02531)."""
    bfloat16: bool = False
    """Multiply in bfloat16, which some CPUs do almost twice as fast as float32."""
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")
        for field in ("peak_lr", "step_lr", "seed"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be at least 0, not {getattr(self, field)}")
        for field in ("warmup", "distil"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must be in 0..1, not {getattr(self, field)}")

    def share(self, step: int, steps: int) -> float:
        """The learning rates of step 0 <= ``step`` < ``steps``, as a share of the peak."""
        climb = max(1, round(self.warmup * steps))
        if step < climb:
            return (step + 1) / climb
        return (1 + math.cos(math.pi * (step - climb + 1) / (steps - climb + 1))) / 2


def train(
    program: fx.GraphModule,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe | None = None,
    teacher: torch.nn.Module | None = None,
    augment: Augment | None = None,
    progress: Progress = lambda what, done, of: None,
) -> fx.GraphModule:
    """A fake-quantised ``program`` of ``compress.quantize``, trained further; a new one.

    ``images`` are as the network takes them, float32 or, for a quarter of the memory, uint8 that
    stand for pixel / 255; ``labels`` are integers (N,). ``teacher`` is the float network, in eval
    mode. The result is on grids that ``frontend.read`` takes, of as many bits as before; weights
    that are zero stay zero, so a network pruned by ``prune_srbs`` keeps its pattern.

    Raises UserError unless ``compress.quantize`` made the program, and it takes one tensor and
    returns one, a number for each class.
    """
    recipe = recipe or Recipe()
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"{len(images)} images with {len(labels)} labels: need one for each")
    refuse(_problems(program))
    learned = Learned(program)
    optimizer = torch.optim.Adam(
        [
            {"params": learned.weights, "peak": recipe.peak_lr},
            {"params": learned.factors, "peak": recipe.step_lr},
        ]
    )
    random = torch.Generator().manual_seed(recipe.seed)
    given, wanted = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    steps = recipe.epochs * -(-len(given) // recipe.batch)
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        for chosen in torch.randperm(len(given), generator=random).split(recipe.batch):
            batch = given[chosen]
            if augment is not None:
                batch = augment(batch, random)
            if batch.dtype == torch.uint8:
                batch = batch.float() / 255
            if batch.dim() == 4:
                batch = batch.contiguous(memory_format=torch.channels_last)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * recipe.share(step, steps)
            with torch.autocast("cpu", torch.bfloat16, recipe.bfloat16):
                logits = learned(batch).float()
                loss = _loss(logits, wanted[chosen], batch, teacher, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            progress(f"epoch {epoch}/{recipe.epochs}, loss {loss.item():.3f}", step, steps)
    return learned.settled()


def _problems(program: fx.GraphModule) -> Iterator[Problem]:
    """Why steps of ``program`` cannot learn."""
    if len(entries(program)) > 1 or len(leaving(program)) > 1:
        reason = "a network with several inputs or outputs cannot be trained"
        yield Problem(None, reason, "train it in float, and quantise it")
    for node in calls(program):
        if op_of(node) in LAYERS:
            for place in ("weight", "bias"):
                given = arguments(node)[place]
                if given is not None and (
                    given.op == "get_attr" or op_of(given) not in CONSTANT_OPS
                ):
                    reason = f"its {place} is not quantised"
                    yield Problem(layer_of(node), reason, "call hwgen.compress.quantize first")
        elif op_of(node) == "binarize" and constant(node) is None:
            reason = "takes the signs of activations, which have no step to learn"
            yield Problem(layer_of(node), reason, "train it where it was made")


def _loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    batch: torch.Tensor,
    teacher: torch.nn.Module | None,
    recipe: Recipe,
) -> torch.Tensor:
    right = F.cross_entropy(logits, labels)
    if teacher is None or recipe.distil == 0:
        return right
    with torch.no_grad():
        answers = teacher(batch)
        answers = answers[0] if isinstance(answers, tuple | list) else answers  # of a program
        soft = (answers.float() / recipe.temperature).log_softmax(1)
    mine = (logits / recipe.temperature).log_softmax(1)
    apart = F.kl_div(mine, soft, reduction="batchmean", log_target=True)
    return (1 - recipe.distil) * right + recipe.distil * recipe.temperature**2 * apart
