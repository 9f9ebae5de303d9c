"""A test set of the user's own."""

from pathlib import Path

import numpy as np

from hwgen.errors import Problem, UserError
from hwgen.frontend import load_calibration, load_labels
from hwgen.frontend.images import frames_of

__all__ = ["load_test_set"]


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
