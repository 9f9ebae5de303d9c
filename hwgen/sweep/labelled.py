"""A test set of the user's own."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hwgen.errors import Problem, UserError
from hwgen.frontend import load_calibration
from hwgen.frontend.images import frames_of

__all__ = ["load_test_set"]


def load_test_set(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """``images``, float (N, C, H, W) or (N, F), and ``labels``, integers (N,), of an ``.npz`` file.

    Nothing is unpickled. Raises UserError.
    """
    images = frames_of(load_calibration(path)).numpy()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = arrays["labels"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, BadZipFile):
        reason = f"{path} holds no labels"
        remedy = "save it with numpy.savez(images=..., labels=...)"
        raise UserError(Problem(None, reason, remedy)) from None
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        reason = f"{path} holds {len(images)} images and labels {labels.dtype} {labels.shape}"
        raise UserError(Problem(None, reason, "give one whole number for each image"))
    return images, labels.astype(np.int64)
