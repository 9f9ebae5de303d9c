"""Engines of the corpus: convolution, dense and depthwise layers, pools, requantisation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hwgen.calibrate.draw import (
    Kinds,
    Rng,
    Wanted,
    anything,
    feature_map,
    folding,
    one,
    packed,
    soft,
    weights_of,
)
from hwgen.network import (
    Conv2d,
    Linear,
    MaxPool2d,
    Requantise,
    SumPool2d,
    TensorType,
    Threshold,
)
from hwgen.rtl_templates import Spec

__all__ = ["KINDS"]


def _convolution(
    bits: Sequence[int], first: bool = False, wanted: Wanted = anything
) -> Callable[[Rng, str], Spec]:
    def make(rng: Rng, family: str) -> Spec:
        channels = int(one(rng, (1, 3) if first else (8, 16, 24, 32)))
        source = feature_map(rng, channels, 8 if first else int(one(rng, (1, 2, 3, 4, 5, 6, 8))))
        size = int(one(rng, (3, 5) if first else (1, 3, 3)))
        count = int(one(rng, (8, 12, 16, 32)))
        weight_bits = int(one(rng, bits))
        weights = weights_of(rng, (count, size, size, channels), weight_bits)
        bias = rng.integers(-500, 500, count)
        op = Conv2d(source, weights, bias, weight_bits, padding=(size // 2,) * 4)
        return folding(rng, op, family, wanted)

    return make


def _dense(rng: Rng, family: str) -> Spec:
    bits = int(one(rng, (2, 3, 4, 6, 8)))
    shape = one(rng, ((64,), (256,), (7, 7, 16), (4, 4, 32), (98,)))
    count = int(one(rng, (10, 32, 64)))
    weights = weights_of(rng, (count, *shape), bits)
    source = TensorType(shape, int(one(rng, (4, 6, 8))), False)
    return folding(rng, Linear(source, weights, rng.integers(-500, 500, count), bits), family)


def _depthwise(rng: Rng, family: str) -> Spec:
    channels = int(one(rng, (8, 16, 32)))
    bits = int(one(rng, (2, 4, 6, 8)))
    weights = weights_of(rng, (channels, 3, 3, 1), bits)
    bias = rng.integers(-500, 500, channels)
    source = feature_map(rng, channels, int(one(rng, (4, 6, 8))))
    op = Conv2d(source, weights, bias, bits, padding=(1, 1, 1, 1), groups=channels)
    return folding(rng, op, family)


def _per_tensor(rng: Rng, family: str) -> Spec:
    """A requantisation whose channels share one scale, so that nothing stores it."""
    spec: Any = _rounding(False)(rng, family)
    same = np.full_like(spec.op.multiplier, spec.op.multiplier[0])
    return replace(spec, ops=(replace(spec.op, multiplier=same),))


def _sum_off_zero(rng: Rng, family: str) -> Spec:
    """A sum pool whose sums start from less all zero points of a window."""
    spec: Any = _pool(SumPool2d)(rng, family)
    source = replace(spec.op.input, zero_point=int(rng.integers(1, spec.op.input.hi)))
    return replace(spec, ops=(replace(spec.op, input=source),))


def _pool(kind: type) -> Callable[[Rng, str], Spec]:
    def make(rng: Rng, family: str) -> Spec:
        source = feature_map(rng, int(one(rng, (8, 16, 32))), int(one(rng, (2, 4, 6, 8))))
        return folding(rng, kind(source, (2, 2), (2, 2)), family)

    return make


def _rounding(
    shift_only: bool,
    leaky: bool = False,
    wanted: Wanted = anything,
) -> Callable[[Rng, str], Spec]:
    def make(rng: Rng, family: str) -> Spec:
        channels, wide = int(one(rng, (8, 16, 32))), int(rng.integers(13, 24))
        bits = int(one(rng, (4, 6, 8)))
        shift = wide - bits - int(rng.integers(1, 4))
        scale = np.ones(channels, np.int64)
        if not shift_only:
            # Odd: a scale with zeros at its end is a smaller multiplier in disguise.
            scale = 2 * rng.integers(1 << 10, 1 << 13, channels) + 1
            shift += 14
        shape = feature_map(rng, channels, 8).shape
        source = TensorType(shape, wide, True)
        op = Requantise(source, scale, shift, bits, False, 0, 0, (1 << bits) - 1)
        if leaky:
            half = 1 << (bits - 1)
            below = scale // int(one(rng, (8, 10, 100)))
            op = Requantise(source, scale, shift, bits, True, 0, -half, half - 1, below)
        return folding(rng, op, family, wanted)

    return make


def _bipolar(rng: Rng, family: str) -> Spec:
    """Signs times signs: XNOR, and counting."""
    channels, count = (int(one(rng, (16, 32, 64))) for _ in range(2))
    size = int(one(rng, (6, 8, 12, 14)))
    source = TensorType((size, size, channels), 1, False, "bipolar")
    weights = weights_of(rng, (count, 3, 3, channels), 1)
    op = Conv2d(source, weights, np.zeros(count, np.int64), 1)
    return folding(rng, op, family, lambda spec: spec.inputs[0].values >= 8)


def _threshold(rng: Rng, family: str) -> Spec:
    source = TensorType(feature_map(rng, int(one(rng, (16, 32, 64))), 8).shape, 12, True)
    thresholds = rng.integers(-300, 300, source.channels)
    return folding(rng, Threshold(source, thresholds), family, lambda s: s.lanes >= 4)


KINDS: Kinds = {
    "first convolution": _convolution((4, 6, 8), first=True),
    "convolution": _convolution((3, 4, 5, 6, 8)),
    "ternary convolution": _convolution((2,)),
    "sign convolution": _convolution((1,)),
    "soft convolution": _convolution((3, 4, 5, 6, 8), wanted=soft),
    "packed convolution": _convolution((3, 4, 5, 6, 8), wanted=packed),
    "bipolar convolution": _bipolar,
    "dense": _dense,
    "depthwise": _depthwise,
    "max pool": _pool(MaxPool2d),
    "sum pool": _pool(SumPool2d),
    "sum pool off zero": _sum_off_zero,
    "requantise": _rounding(False),
    "requantise per tensor": _per_tensor,
    "requantise by shift": _rounding(True),
    "soft requantise": _rounding(False, wanted=soft),
    "leaky requantise": _rounding(False, leaky=True),
    "threshold": _threshold,
}
