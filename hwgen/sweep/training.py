"""``--train``: networks of a sweep trained on their bits, instead of quantised after training."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import fx

from hwgen.compress import Progress, Recipe, train
from hwgen.errors import Problem, UserError
from hwgen.frontend.images import check_frames, frames_of
from hwgen.frontend.program import entries, leaving
from hwgen.sweep import inputs
from hwgen.sweep.labelled import check_labels, load_test_set

__all__ = ["Training", "training"]


@dataclass(frozen=True, eq=False)
class Training:
    """A recipe and what it trains on: inputs float (N, ...), labels int64 (N,)."""

    recipe: Recipe
    images: np.ndarray
    labels: np.ndarray

    @property
    def key(self) -> dict:
        """Everything that the trained network depends on, besides the one that it starts from."""
        data = [inputs.of_array(part) for part in (self.images, self.labels)]
        return {"recipe": asdict(self.recipe), "data": data}

    def problems(self, program: fx.GraphModule) -> Iterator[Problem]:
        """Why the float ``program`` cannot be trained on this data."""
        names = entries(program)
        if len(names) > 1 or len(leaving(program)) > 1:
            return  # which no sweep takes
        yield from check_frames(program, frames_of(list(names), self.images))
        (entry,) = names.values()
        fixed = (entry.meta.get("shape") or (None,))[0]
        if fixed is not None:
            reason = f"it was exported for batches of {fixed}, and is trained with other ones"
            yield Problem(None, reason, "export it with a batch that may vary")
        shape: tuple[int, ...] = leaving(program)[0].meta.get("shape") or ()
        if len(shape) != 2:
            reason = f"its output has the shape {shape}"
            yield Problem(None, reason, "only classifiers, with outputs (N, classes), are trained")
        else:
            yield from check_labels(self.labels, shape[1])

    def __call__(
        self, quantised: fx.GraphModule, floats: fx.GraphModule, progress: Progress
    ) -> fx.GraphModule:
        """``quantised``, trained; the float network is its teacher."""
        return train(quantised, self.images, self.labels, self.recipe, floats, None, progress)


def training(epochs: int | None, data: str | Path | None) -> Training | None:
    """What ``--train`` and ``--train-data`` ask for; UserError if one lacks the other."""
    if epochs is None and data is None:
        return None
    if epochs is None:
        reason = f"{data} is given to train on, and nothing is to be trained"
        raise UserError(Problem(None, reason, "give --train as well"))
    if data is None:
        remedy = "give --train-data FILE.npz with images and labels"
        raise UserError(Problem(None, "there is nothing to train on", remedy))
    if epochs < 1:
        raise UserError(Problem(None, f"--train: {epochs} epochs", "give 1 or more"))
    return Training(Recipe(epochs=epochs), *load_test_set(data))
