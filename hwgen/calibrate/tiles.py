"""Winograd's engines of the corpus, and sparse ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hwgen.calibrate.draw import (
    Kinds,
    Rng,
    Wanted,
    feature_map,
    folding,
    one,
    packed,
    soft,
    weights_of,
)
from hwgen.network import Conv2d, Linear, TensorType, WinogradConv2d
from hwgen.rtl_templates import SparseSpec, Spec, WinogradSpec

__all__ = ["KINDS"]

#: Products a cycle, at the most: one tile of F(4 x 4, 3 x 3), or two of F(2 x 2, 3 x 3).
MOST = 36

#: Of how many weights in a row how many may differ from zero.
PATTERNS = ((4, 1), (8, 2), (8, 3))

#: Words of a bank of a sparse array, at the most: what one takes as flip-flops.
DEEPEST = 32

Layer = Callable[[Rng, TensorType, int], Any]


def _convolution(rng: Rng, source: TensorType, bits: int) -> Conv2d:
    count = int(one(rng, (4, 8, 16)))
    weights = weights_of(rng, (count, 3, 3, source.channels), bits)
    return Conv2d(source, weights, rng.integers(-500, 500, count), bits, padding=(1,) * 4)


def _in_domain(tile: int) -> Layer:
    """Weights in Winograd's domain, and powers of two for each tap."""

    def make(rng: Rng, source: TensorType, bits: int) -> WinogradConv2d:
        count, t = int(one(rng, (4, 8, 16))), tile + 2
        weights = weights_of(rng, (t, t, count, source.channels), bits)
        align, shifts = rng.integers(0, 4, (t, t)), np.zeros((t, t), np.int64)
        rounded = source.bits * int(rng.integers(2))
        if rounded:
            shifts = rng.integers(1, 2 + tile // 2, (t, t))
        bias = rng.integers(-500, 500, count)
        return WinogradConv2d(source, weights, bias, bits, tile, align, shifts, rounded, (1,) * 4)

    return make


def _dense(rng: Rng, source: TensorType, bits: int) -> Linear:
    count = int(one(rng, (10, 32, 64)))
    weights = weights_of(rng, (count, *source.shape), bits)
    return Linear(source, weights, rng.integers(-500, 500, count), bits)


def _winograd(
    tile: int, bits: Sequence[int], wanted: Wanted, *layers: Layer
) -> Callable[[Rng, str], Spec]:
    """One of ``layers`` by tiles of ``tile`` results a side."""

    def make(rng: Rng, family: str) -> Spec:
        source = feature_map(rng, int(one(rng, (4, 8, 16))), int(one(rng, bits)), (6, 8, 12, 16))
        op = one(rng, layers)(rng, source, int(one(rng, bits)))
        return folding(rng, op, family, wanted, (WinogradSpec,), needed)

    def needed(spec: Any) -> bool:
        return spec.tile == tile and spec.multipliers <= MOST

    return make


def _in_blocks(spec: Any) -> bool:
    return not soft(spec)


def _sparse(layer: Layer, sizes: Sequence[int] = (4, 6, 8)) -> Callable[[Rng, str], Spec]:
    """A ``layer`` most of whose weights are zero."""

    def make(rng: Rng, family: str) -> Spec:
        length, kept = one(rng, PATTERNS)
        source = feature_map(rng, int(one(rng, (8, 16))), int(one(rng, (4, 6))), sizes)
        op = layer(rng, source, int(one(rng, (4, 6, 8))))
        rows = op.weights.reshape(*op.weights.shape[:-1], -1, length)
        order = rng.random(rows.shape).argsort(-1).argsort(-1)
        weights = np.where(order < kept, rows, 0).reshape(op.weights.shape)
        op = replace(op, weights=weights)
        return folding(rng, op, family, engines=(SparseSpec,), needed=needed)

    def needed(spec: Any) -> bool:
        return spec.multipliers <= MOST and spec.depth <= DEEPEST

    return make


KINDS: Kinds = {
    "Winograd F2": _winograd(2, (4, 6, 8), _in_blocks, _convolution, _in_domain(2)),
    "Winograd F4": _winograd(4, (4, 5), _in_blocks, _convolution, _in_domain(4)),
    "soft Winograd": _winograd(2, (4, 5), soft, _convolution, _in_domain(2)),
    "packed Winograd": _winograd(2, (4, 5), packed, _in_domain(2)),
    "sparse convolution": _sparse(_convolution),
    "sparse Winograd": _sparse(_in_domain(2)),
    "sparse dense": _sparse(_dense, (1, 2)),
}
