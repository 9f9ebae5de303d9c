"""Fashion-MNIST as it lies on disk: gzipped idx files, and nothing downloaded."""

from pathlib import Path

import numpy as np

from ..dataset import DataError, Dataset
from ..idx import read_idx

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the four files."""

_FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


def read(folder: Path = DEBIAN_FOLDER) -> Dataset:
    """The four gzipped idx files in `folder`: images (N, 28, 28, 1). Raises `DataError`."""
    missing = [name for name in _FILES.values() if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"Fashion-MNIST not found: {folder} lacks {', '.join(missing)}; on Debian or Ubuntu "
            "`apt install dataset-fashion-mnist`, elsewhere fetch the four files from "
            "https://github.com/zalandoresearch/fashion-mnist and name their folder with --data."
        )
    arrays = {field: read_idx(folder / name) for field, name in _FILES.items()}
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise DataError(
                f"{folder} is not Fashion-MNIST: its {part} images have the shape {images.shape} "
                f"and its labels {labels.shape}, not (N, 28, 28) and (N,)."
            )
        arrays[f"{part}_images"] = images[..., np.newaxis]
    return Dataset(**arrays)
