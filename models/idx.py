"""idx files, in which MNIST and its kin come."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from .dataset import DataError

_UNSIGNED_BYTE = 0x08  # the only element type that these data sets use


def read_idx(path: Path) -> np.ndarray:
    """One file, gzipped if its name ends so: two zero bytes, element type, rank, big-endian
    extents, then the elements. Raises `DataError`."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
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
