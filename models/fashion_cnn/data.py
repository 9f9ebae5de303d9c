"""Fashion-MNIST as it lies on disk: gzipped idx files, and nothing downloaded."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ..dataset import DataError, Dataset

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the four files."""

_UNSIGNED_BYTE = 0x08  # the only element type that the data set uses
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
    arrays = {field: _read_idx(folder / name) for field, name in _FILES.items()}
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise DataError(
                f"{folder} is not Fashion-MNIST: its {part} images have the shape {images.shape} "
                f"and its labels {labels.shape}, not (N, 28, 28) and (N,)."
            )
        arrays[f"{part}_images"] = images[..., np.newaxis]
    return Dataset(**arrays)


def _read_idx(path: Path) -> np.ndarray:
    """One idx file: two zero bytes, element type, rank, big-endian extents, then the elements."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise DataError(f"{path} is unreadable: {error}") from error
    rank = data[3] if len(data) > 3 else 0
    start = 4 + 4 * rank
    if len(data) < start or data[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise DataError(f"{path} is not an idx file of unsigned bytes.")
    shape = tuple(int(extent) for extent in np.frombuffer(data, ">u4", rank, 4))
    if len(data) - start != math.prod(shape):
        raise DataError(f"{path} is damaged: {len(data) - start} elements for the shape {shape}.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
