"""The classes that come with images, in the same ``.npz`` file."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hwgen.errors import Problem, UserError

__all__ = ["load_labels"]

REMEDY = "give one whole number, 0 or more, for each image"


def load_labels(path: Path | str, images: int) -> np.ndarray | None:
    """``labels``, int64 (N,), of an ``.npz`` file with N ``images``; None if it holds none.

    Nothing is unpickled. Raises UserError if they are no whole numbers, one for each image.
    """
    try:
        arrays = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile):
        return None  # which those who read the images tell of
    if isinstance(arrays, np.ndarray) or "labels" not in arrays:
        return None
    try:
        labels = arrays["labels"]
    except (ValueError, EOFError, BadZipFile) as error:
        reason = f"{path} holds labels that are pickled objects, or damaged"
        raise UserError(Problem(None, reason, REMEDY)) from error
    finally:
        arrays.close()
    is_whole = labels.dtype.kind in "iu"
    in_range = is_whole and 0 <= labels.min(initial=0) <= labels.max(initial=0) < 1 << 31
    if labels.shape != (images,) or not in_range:
        reason = f"{path} holds {images} images and labels {labels.dtype} {labels.shape}"
        raise UserError(Problem(None, reason, REMEDY))
    return labels.astype(np.int64)
