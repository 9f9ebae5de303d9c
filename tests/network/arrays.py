"""Random types, random integers of them, and the same as torch has them."""

import numpy as np
import torch

from hwgen.network import TensorType


def draw_type(rng: np.random.Generator, shape: tuple[int, ...]) -> TensorType:
    bits, signed = int(rng.integers(1, 17)), bool(rng.integers(2))
    plain = TensorType(shape, bits, signed)
    zero_point = int(rng.integers(plain.lo, plain.hi + 1))
    return TensorType(shape, bits, signed, zero_point=zero_point)


def draw(rng: np.random.Generator, kind: TensorType, frames: int = 4) -> np.ndarray:
    """Random integers of a type; one frame each of its smallest and largest."""
    x = rng.integers(kind.lo, kind.hi + 1, (frames, *kind.shape), dtype=np.int32)
    x[0], x[-1] = kind.lo, kind.hi
    return x


def first(x: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) integers as torch has them: (N, C, H, W), float64."""
    return torch.from_numpy(np.moveaxis(x, -1, 1).astype(np.float64))
