"""Plumbing of the corpus, each piece with an engine behind it, as in a plan.

Alone, its few counters would be the longest path, and synthesis would spend area to shorten that.
"""

from typing import Any

import numpy as np

from hwgen.beats import Beats
from hwgen.calibrate.chain import Chain
from hwgen.calibrate.draw import Kinds, Rng, feature_map, folding, one
from hwgen.network import Add, Concat, MaxPool2d, Pad2d, Requantise, Slice, Upsample2d
from hwgen.rtl_templates import (
    AddSpec,
    ChannelwiseSpec,
    ConvertSpec,
    FifoSpec,
    ForkSpec,
    RequantiseSpec,
    Spec,
)

__all__ = ["KINDS"]


def _single(spec: Any) -> bool:
    """Whether beats are of one pixel, so that others fit behind."""
    return spec.outputs[0].pixels == 1


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
    source = feature_map(rng, int(one(rng, (8, 16, 32))), int(one(rng, (4, 6, 8))))
    factors = one(rng, ((1, 1), (2, 1), (1, 4), (3, 5), (13, 8)))
    op = Add(source, source, factors)
    lanes = int(one(rng, [n for n in (1, 2, 4, 8, 16) if source.channels % n == 0]))
    return _behind(rng, AddSpec((op,), lanes))


def _concat(rng: Rng, family: str) -> Spec:
    source = feature_map(rng, int(one(rng, (8, 16, 32))), int(one(rng, (4, 6, 8))))
    return _behind(rng, folding(rng, Concat((source, source), (0, 0)), family, _single))


def _slice(rng: Rng, family: str) -> Spec:
    source = feature_map(rng, int(one(rng, (8, 16, 32))), int(one(rng, (4, 6, 8))))
    height, width, channels = source.map_shape
    start = (1, 1, 0) if rng.integers(2) else (0, 0, channels // 2)
    stop = (height - start[0], width - start[1], channels)
    return _behind(rng, folding(rng, Slice(source, start, stop), family, _single))


def _pad(rng: Rng, family: str) -> Spec:
    source = feature_map(rng, int(one(rng, (8, 16, 32))), int(one(rng, (4, 6, 8))))
    return _behind(rng, folding(rng, Pad2d(source, (1, 1, 1, 1), 0), family, _single))


def _upsample(rng: Rng, family: str) -> Spec:
    source = feature_map(rng, int(one(rng, (8, 16, 32))), int(one(rng, (4, 6, 8))))
    return _behind(rng, folding(rng, Upsample2d(source, (2, 2)), family, _single))


def _stream(rng: Rng) -> Beats:
    source = feature_map(rng, int(one(rng, (8, 12, 16, 24, 32))), int(one(rng, (2, 4, 6, 8))))
    lanes = [n for n in (2, 3, 4, 6, 8, 12, 16, 24, 32) if source.channels % n == 0]
    return Beats(source, int(one(rng, lanes)))


def _fork(rng: Rng, family: str) -> Spec:
    return _behind(rng, ForkSpec(_stream(rng), 2 + int(rng.integers(2))))


def _fifo(rng: Rng, family: str) -> Spec:
    depth = int(one(rng, (2, 3, 4, 6, 9, 16, 25, 32, 60, 100, 250, 700)))
    return _behind(rng, FifoSpec(_stream(rng), depth))


def _convert(rng: Rng, family: str) -> Spec:
    while True:
        source = feature_map(
            rng, int(one(rng, (8, 10, 12, 16, 24, 32, 64))), int(one(rng, (2, 4, 8)))
        )
        lanes = rng.integers(1, min(32, source.channels) + 1, 2)
        ends = [Beats(source, int(n)) for n in lanes]
        if lanes[0] != lanes[1] and ConvertSpec.possible(*ends):
            spec = ConvertSpec(*ends)
            if len(spec.steps) <= 32:
                return _behind(rng, spec)


KINDS: Kinds = {
    "add": _add,
    "fork": _fork,
    "FIFO": _fifo,
    "converter": _convert,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "upsample": _upsample,
}
