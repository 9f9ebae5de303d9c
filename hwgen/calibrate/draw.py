"""What specs of the corpus are drawn from: sizes, weights, foldings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hwgen.network import TensorType
from hwgen.rtl_templates import ENGINES, Spec

__all__ = [
    "Kinds",
    "Rng",
    "Wanted",
    "anything",
    "feature_map",
    "folding",
    "one",
    "packed",
    "soft",
    "weights_of",
]

#: Products a cycle, at the most, and the bits of a stream: beyond, synthesis takes minutes.
MOST_PRODUCTS, MOST_BITS = 24, 256

Rng = np.random.Generator

#: Chooses among specs.
Wanted = Callable[[Any], bool]

#: How specs of each kind are made, for a family.
Kinds = dict[str, Callable[[Rng, str], Spec]]


def anything(spec: Any) -> bool:
    """Takes every spec."""
    return True


def one(rng: Rng, some: Sequence):
    """One of ``some``, all as likely."""
    return some[int(rng.integers(len(some)))]


def feature_map(rng: Rng, channels: int, bits: int, sizes=(6, 8, 12, 14, 16, 20, 28)) -> TensorType:
    """A square map of one of ``sizes``."""
    size = int(one(rng, sizes))
    return TensorType((size, size, channels), bits, False)


def folding(
    rng: Rng,
    op: Any,
    family: str,
    wanted: Wanted = anything,
    engines: Sequence[Any] = (),
    needed: Wanted = lambda spec: getattr(spec, "multipliers", 0) <= MOST_PRODUCTS,
) -> Spec:
    """One of the ways to build ``op``, on one of the ``engines`` if they are given, without wide
    streams; one that is ``needed``, and ``wanted``, unless the family has none of those."""
    every = [
        spec
        for kind in engines or ENGINES[type(op)]
        for spec in kind.foldings(op, family)
        if needed(spec) and max(beats.width for beats in (*spec.inputs, *spec.outputs)) <= MOST_BITS
    ]
    some = [spec for spec in every if wanted(spec)] or every
    # As many of few products as of many: a plain draw would nearly always give many.
    size = one(rng, sorted({spec.inputs[0].values * spec.outputs[0].values for spec in some}))
    return one(rng, [s for s in some if s.inputs[0].values * s.outputs[0].values == size])


def weights_of(rng: Rng, shape: tuple[int, ...], bits: int) -> np.ndarray:
    """Weights of ``bits`` bits, spread as those of trained layers are."""
    if bits == 1:
        return rng.choice([-1, 1], shape)
    half = (1 << (bits - 1)) - 1
    return np.clip(np.rint(rng.normal(0, half / 2.5, shape)), -half, half).astype(np.int64)


def soft(spec: Any) -> bool:
    """Whether products are made in LUTs."""
    return getattr(spec, "style", None) is not None and spec.style.soft


def packed(spec: Any) -> bool:
    """Whether products share DSP blocks."""
    return getattr(spec, "style", None) is not None and spec.style.products > 1
