"""Engines and plumbing of many kinds and foldings, as plans for real networks have them.

Plumbing comes with an engine behind it, as in a plan: alone, its few counters would be the longest
path, and synthesis would spend area to shorten that.

Every spec is drawn at random, from a seed of its own: the number of specs of a kind may change
without changing those that were there. They are of the sizes that plans are made of, from some tens
of LUTs up: what has ten of them matters to nobody, and its relative error would drown the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np

from hwgen.beats import Beats
from hwgen.calibrate.chain import Chain
from hwgen.network import (
    Add,
    Concat,
    Conv2d,
    Linear,
    MaxPool2d,
    Pad2d,
    Requantise,
    Slice,
    SumPool2d,
    TensorType,
    Threshold,
    Upsample2d,
)
from hwgen.rtl_templates import (
    ENGINES,
    AddSpec,
    ChannelwiseSpec,
    ConvertSpec,
    FifoSpec,
    ForkSpec,
    RequantiseSpec,
    Spec,
)

__all__ = ["KINDS", "corpus", "unseen"]

#: Products a cycle, at the most, and the bits of a stream: beyond, synthesis takes minutes.
MOST_PRODUCTS, MOST_BITS = 24, 256

Rng = np.random.Generator


def corpus(family: str, each: int) -> Iterator[tuple[str, str, Spec]]:
    """Name, kind and spec of ``each`` specs of every kind, to fit to."""
    for kind in KINDS:
        for number in range(each):
            spec = _drawn(kind, f"{kind} {number}", family)
            yield f"{kind} {number + 1}: {_describe(spec)}", kind, spec


def unseen(family: str, count: int, seed: int) -> Iterator[tuple[str, str, Spec]]:
    """Name, kind and spec of ``count`` other specs, to test with: of each kind in turn."""
    for place in range(count):
        number, kind = 1 + place // len(KINDS), list(KINDS)[place % len(KINDS)]
        spec = _drawn(kind, f"{kind} {number} of {seed}", family)
        yield f"{kind} {seed}.{number}: {_describe(spec)}", kind, spec


def _drawn(kind: str, draw: str, family: str) -> Spec:
    return KINDS[kind](np.random.default_rng(crc32(draw.encode())), family)


def _describe(spec: Spec) -> str:
    """What a spec takes and puts, as ``4 x 8 bit to 2 x 18 bit``."""
    ends = [
        " + ".join(f"{b.values} x {b.type.bits} bit" for b in beats)
        for beats in (spec.inputs, spec.outputs)
    ]
    return " to ".join(ends)


def _one(rng: Rng, some: Sequence):
    return some[int(rng.integers(len(some)))]


def _map(rng: Rng, channels: int, bits: int, sizes=(6, 8, 12, 14, 16, 20, 28)) -> TensorType:
    size = int(_one(rng, sizes))
    return TensorType((size, size, channels), bits, False)


def _folding(
    rng: Rng, op: Any, family: str, wanted: Callable[[Any], bool] = lambda spec: True
) -> Spec:
    """One of the ways to build ``op`` that are neither very wide nor very parallel, and are
    ``wanted``, unless the family has none of those."""
    every = [
        spec
        for kind in ENGINES[type(op)]
        for spec in kind.foldings(op, family)  # type: ignore[attr-defined]
        if getattr(spec, "multipliers", 0) <= MOST_PRODUCTS
        and max(beats.width for beats in (*spec.inputs, *spec.outputs)) <= MOST_BITS
    ]
    some = [spec for spec in every if wanted(spec)] or every
    # As many of few products as of many: a plain draw would nearly always give many.
    size = _one(rng, sorted({spec.inputs[0].values * spec.outputs[0].values for spec in some}))
    return _one(rng, [s for s in some if s.inputs[0].values * s.outputs[0].values == size])


def _weights(rng: Rng, shape: tuple[int, ...], bits: int) -> np.ndarray:
    if bits == 1:
        return rng.choice([-1, 1], shape)
    half = (1 << (bits - 1)) - 1
    return np.clip(np.rint(rng.normal(0, half / 2.5, shape)), -half, half).astype(np.int64)


def _soft(spec: Any) -> bool:
    return getattr(spec, "style", None) is not None and spec.style.soft


def _packed(spec: Any) -> bool:
    return getattr(spec, "style", None) is not None and spec.style.products > 1


def _single(spec: Any) -> bool:
    """Whether beats are of one pixel, so that others fit behind."""
    return spec.outputs[0].pixels == 1


def _convolution(
    bits: Sequence[int], first: bool = False, wanted: Callable[[Any], bool] = lambda spec: True
) -> Callable[[Rng, str], Spec]:
    def make(rng: Rng, family: str) -> Spec:
        channels = int(_one(rng, (1, 3) if first else (8, 16, 24, 32)))
        source = _map(rng, channels, 8 if first else int(_one(rng, (1, 2, 3, 4, 5, 6, 8))))
        size = int(_one(rng, (3, 5) if first else (1, 3, 3)))
        count = int(_one(rng, (8, 12, 16, 32)))
        weight_bits = int(_one(rng, bits))
        weights = _weights(rng, (count, size, size, channels), weight_bits)
        bias = rng.integers(-500, 500, count)
        op = Conv2d(source, weights, bias, weight_bits, padding=(size // 2,) * 4)
        return _folding(rng, op, family, wanted)

    return make


def _dense(rng: Rng, family: str) -> Spec:
    bits = int(_one(rng, (2, 3, 4, 6, 8)))
    shape = _one(rng, ((64,), (256,), (7, 7, 16), (4, 4, 32), (98,)))
    count = int(_one(rng, (10, 32, 64)))
    weights = _weights(rng, (count, *shape), bits)
    source = TensorType(shape, int(_one(rng, (4, 6, 8))), False)
    return _folding(rng, Linear(source, weights, rng.integers(-500, 500, count), bits), family)


def _depthwise(rng: Rng, family: str) -> Spec:
    channels = int(_one(rng, (8, 16, 32)))
    bits = int(_one(rng, (2, 4, 6, 8)))
    weights = _weights(rng, (channels, 3, 3, 1), bits)
    bias = rng.integers(-500, 500, channels)
    source = _map(rng, channels, int(_one(rng, (4, 6, 8))))
    op = Conv2d(source, weights, bias, bits, padding=(1, 1, 1, 1), groups=channels)
    return _folding(rng, op, family)


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
        source = _map(rng, int(_one(rng, (8, 16, 32))), int(_one(rng, (2, 4, 6, 8))))
        return _folding(rng, kind(source, (2, 2), (2, 2)), family)

    return make


def _rounding(
    shift_only: bool,
    leaky: bool = False,
    wanted: Callable[[Any], bool] = lambda spec: True,
) -> Callable[[Rng, str], Spec]:
    def make(rng: Rng, family: str) -> Spec:
        channels, wide = int(_one(rng, (8, 16, 32))), int(rng.integers(13, 24))
        bits = int(_one(rng, (4, 6, 8)))
        shift = wide - bits - int(rng.integers(1, 4))
        scale = np.ones(channels, np.int64)
        if not shift_only:
            # Odd: a scale with zeros at its end is a smaller multiplier in disguise.
            scale = 2 * rng.integers(1 << 10, 1 << 13, channels) + 1
            shift += 14
        shape = _map(rng, channels, 8).shape
        source = TensorType(shape, wide, True)
        op = Requantise(source, scale, shift, bits, False, 0, 0, (1 << bits) - 1)
        if leaky:
            half = 1 << (bits - 1)
            below = scale // int(_one(rng, (8, 10, 100)))
            op = Requantise(source, scale, shift, bits, True, 0, -half, half - 1, below)
        return _folding(rng, op, family, wanted)

    return make


def _bipolar(rng: Rng, family: str) -> Spec:
    """Signs times signs: XNOR, and counting."""
    channels, count = (int(_one(rng, (16, 32, 64))) for _ in range(2))
    size = int(_one(rng, (6, 8, 12, 14)))
    source = TensorType((size, size, channels), 1, False, "bipolar")
    weights = _weights(rng, (count, 3, 3, channels), 1)
    op = Conv2d(source, weights, np.zeros(count, np.int64), 1)
    return _folding(rng, op, family, lambda spec: spec.inputs[0].values >= 8)


def _threshold(rng: Rng, family: str) -> Spec:
    source = TensorType(_map(rng, int(_one(rng, (16, 32, 64))), 8).shape, 12, True)
    thresholds = rng.integers(-300, 300, source.channels)
    return _folding(rng, Threshold(source, thresholds), family, lambda s: s.lanes >= 4)


def _behind(rng: Rng, spec: Spec) -> Spec:
    """``spec`` with an engine that takes its (first) output."""
    beats = spec.outputs[0]
    kind, channels = beats.type, beats.type.channels
    if kind.bits <= 8 and rng.integers(2):
        pool = MaxPool2d(kind, (2, 2), (2, 2))
        return Chain(spec, ChannelwiseSpec((pool,), beats.lanes))
    bits = max(1, min(8, kind.bits - 2))  # as many would be a requantisation that does nothing
    shift = kind.bits - bits
    scale = np.ones(channels, np.int64)
    op = Requantise(kind, scale, shift, bits, False, 0, 0, (1 << bits) - 1)
    return Chain(spec, RequantiseSpec((op,), beats.lanes))


def _add(rng: Rng, family: str) -> Spec:
    source = _map(rng, int(_one(rng, (8, 16, 32))), int(_one(rng, (4, 6, 8))))
    factors = _one(rng, ((1, 1), (2, 1), (1, 4), (3, 5), (13, 8)))
    op = Add(source, source, factors)
    lanes = int(_one(rng, [n for n in (1, 2, 4, 8, 16) if source.channels % n == 0]))
    return _behind(rng, AddSpec((op,), lanes))


def _concat(rng: Rng, family: str) -> Spec:
    source = _map(rng, int(_one(rng, (8, 16, 32))), int(_one(rng, (4, 6, 8))))
    return _behind(rng, _folding(rng, Concat((source, source), (0, 0)), family, _single))


def _slice(rng: Rng, family: str) -> Spec:
    source = _map(rng, int(_one(rng, (8, 16, 32))), int(_one(rng, (4, 6, 8))))
    height, width, channels = source.map_shape
    start = (1, 1, 0) if rng.integers(2) else (0, 0, channels // 2)
    stop = (height - start[0], width - start[1], channels)
    return _behind(rng, _folding(rng, Slice(source, start, stop), family, _single))


def _pad(rng: Rng, family: str) -> Spec:
    source = _map(rng, int(_one(rng, (8, 16, 32))), int(_one(rng, (4, 6, 8))))
    return _behind(rng, _folding(rng, Pad2d(source, (1, 1, 1, 1), 0), family, _single))


def _upsample(rng: Rng, family: str) -> Spec:
    source = _map(rng, int(_one(rng, (8, 16, 32))), int(_one(rng, (4, 6, 8))))
    return _behind(rng, _folding(rng, Upsample2d(source, (2, 2)), family, _single))


def _stream(rng: Rng) -> Beats:
    source = _map(rng, int(_one(rng, (8, 12, 16, 24, 32))), int(_one(rng, (2, 4, 6, 8))))
    lanes = [n for n in (2, 3, 4, 6, 8, 12, 16, 24, 32) if source.channels % n == 0]
    return Beats(source, int(_one(rng, lanes)))


def _fork(rng: Rng, family: str) -> Spec:
    return _behind(rng, ForkSpec(_stream(rng), 2 + int(rng.integers(2))))


def _fifo(rng: Rng, family: str) -> Spec:
    depth = int(_one(rng, (2, 3, 4, 6, 9, 16, 25, 32, 60, 100, 250, 700)))
    return _behind(rng, FifoSpec(_stream(rng), depth))


def _convert(rng: Rng, family: str) -> Spec:
    while True:
        source = _map(rng, int(_one(rng, (8, 10, 12, 16, 24, 32, 64))), int(_one(rng, (2, 4, 8))))
        lanes = rng.integers(1, min(32, source.channels) + 1, 2)
        ends = [Beats(source, int(n)) for n in lanes]
        if lanes[0] != lanes[1] and ConvertSpec.possible(*ends):
            spec = ConvertSpec(*ends)
            if len(spec.steps) <= 32:
                return _behind(rng, spec)


#: How specs of each kind are made.
KINDS: dict[str, Callable[[Rng, str], Spec]] = {
    "first convolution": _convolution((4, 6, 8), first=True),
    "convolution": _convolution((3, 4, 5, 6, 8)),
    "ternary convolution": _convolution((2,)),
    "sign convolution": _convolution((1,)),
    "dense": _dense,
    "depthwise": _depthwise,
    "max pool": _pool(MaxPool2d),
    "sum pool": _pool(SumPool2d),
    "sum pool off zero": _sum_off_zero,
    "requantise": _rounding(False),
    "requantise per tensor": _per_tensor,
    "requantise by shift": _rounding(True),
    "add": _add,
    "fork": _fork,
    "FIFO": _fifo,
    "converter": _convert,
    "soft convolution": _convolution((3, 4, 5, 6, 8), wanted=_soft),
    "packed convolution": _convolution((3, 4, 5, 6, 8), wanted=_packed),
    "soft requantise": _rounding(False, wanted=_soft),
    "leaky requantise": _rounding(False, leaky=True),
    "bipolar convolution": _bipolar,
    "threshold": _threshold,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "upsample": _upsample,
}
