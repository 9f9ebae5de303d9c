"""A test set of the user's own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwgen.errors import Problem, UserError
from hwgen.frontend import load_calibration, load_labels
from hwgen.frontend.images import frames_of

__all__ = ["check_labels", "load_test_set"]


def load_test_set(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """``images``, float, and ``labels``, integers (N,), of an ``.npz`` file.

    Nothing is unpickled. Raises UserError.
    """
    images = frames_of(["images"], load_calibration(path))["images"].numpy()
    labels = load_labels(path, len(images))
    if labels is None:
        remedy = "save it with numpy.savez(images=..., labels=...)"
        raise UserError(Problem(None, f"{path} holds no labels", remedy))
    return images, labels


def check_labels(labels: np.ndarray, outputs: int) -> Iterator[Problem]:
    """Whether each of ``labels`` names one of so many outputs."""
    if labels.max(initial=0) >= outputs:
        reason = f"a label is {labels.max()}, and the network has {outputs} outputs"
        yield Problem(None, reason, f"number the classes from 0 to {outputs - 1}")
