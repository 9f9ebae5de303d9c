"""Integer arithmetic on arrays, done in floating point wherever that is provably the same.

A product of matrices in float32 goes through BLAS and is some fifty times faster than NumPy's
integer one. It is exact as long as every partial sum, in whatever order, is an integer that the
format represents: below 2^24 for float32, 2^53 for float64.
"""

import numpy as np

from hwgen.network.types import TensorType

__all__ = ["both_sides", "depthwise", "matmul", "pad", "windows"]


def pad(x: np.ndarray, padding: tuple[int, int, int, int], fill: int) -> np.ndarray:
    """``x`` (N, H, W, C) with (top, bottom, left, right) places of ``fill`` around each map."""
    if not any(padding):
        return x
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def windows(x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """Every window of ``x`` (N, H, W, C) as a view (N, Ho, Wo, kh, kw, C)."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))  # type: ignore
    return np.moveaxis(view[:, :: stride[0], :: stride[1]], 3, -1)


def matmul(
    rows: np.ndarray, weights: np.ndarray, bias: np.ndarray, source: TensorType
) -> np.ndarray:
    """``bias + rows . weights``, exact, by the fastest arithmetic in which it is.

    ``rows`` is (..., *window), ``weights`` (K, *window); the result is (..., K), int64 or int32.
    """
    columns = weights.reshape(len(weights), -1)
    lead = rows.shape[: rows.ndim - (weights.ndim - 1)]
    largest = int(np.abs(columns.astype(np.int64)).sum(1).max()) * max(-source.lo, source.hi)
    largest += int(np.abs(bias.astype(np.int64)).max())
    kind = np.float32 if largest < 1 << 24 else np.float64 if largest < 1 << 53 else np.int64
    flat = np.ascontiguousarray(rows, dtype=kind).reshape(-1, columns.shape[1])
    sums = flat @ columns.T.astype(kind) + bias.astype(kind)
    return sums.astype(np.int32 if largest < 1 << 31 else np.int64).reshape(*lead, len(weights))


def both_sides(rows: np.ndarray, columns: np.ndarray, x: np.ndarray, largest: int) -> np.ndarray:
    """``rows x columns^T`` of every matrix of ``x`` (rows, columns, ...), exact; int64.

    ``largest`` bounds the magnitude of ``x``.
    """
    table = np.kron(rows, columns)
    largest *= int(np.abs(table).sum(1).max())
    kind: type = np.float32 if largest < 1 << 24 else np.float64 if largest < 1 << 53 else np.int64
    flat: np.ndarray = np.ascontiguousarray(x, dtype=kind).reshape(table.shape[1], -1)
    made = (table.astype(kind) @ flat).astype(np.int64)
    return made.reshape(len(rows), len(columns), *x.shape[2:])


def depthwise(windows: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """``bias + sum(windows * weights)``, each channel by itself; int64.

    ``windows`` is (N, Ho, Wo, kh, kw, C), ``weights`` (C, kh, kw).
    """
    total = np.broadcast_to(bias.astype(np.int64), (*windows.shape[:3], len(bias))).copy()
    for i, j in np.ndindex(*weights.shape[1:]):
        total += windows[:, :, :, i, j].astype(np.int64) * weights[:, i, j]
    return total
