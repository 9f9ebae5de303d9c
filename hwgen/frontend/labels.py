"""The classes that come with images, in the same ``.npz`` file."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hwgen.errors import Problem, UserError

__all__ = ["load_labels"]


def load_labels(path: Path | str, images: int) -> np.ndarray | None:
    """``labels``, int64 (N,), of an ``.npz`` file with N ``images``; None if it holds none.

    Nothing is unpickled. Raises UserError if they are no whole numbers, one for each image.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = arrays["labels"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, BadZipFile):
        return None
    is_whole = labels.dtype.kind in "iu"
    in_range = is_whole and 0 <= labels.min(initial=0) <= labels.max(initial=0) < 1 << 31
    if labels.shape != (images,) or not in_range:
        reason = f"{path} holds {images} images and labels {labels.dtype} {labels.shape}"
        remedy = "give one whole number, 0 or more, for each image"
        raise UserError(Problem(None, reason, remedy))
    return labels.astype(np.int64)
