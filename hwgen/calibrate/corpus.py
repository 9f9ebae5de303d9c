"""Engines and plumbing of many kinds and foldings, as plans for real networks have them.

Every spec is drawn at random, from a seed of its own: the number of specs of a kind may change
without changing those that were there. They are of the sizes that plans are made of, from some tens
of LUTs up: what has ten of them matters to nobody, and its relative error would drown the others.
"""

from collections.abc import Iterator
from zlib import crc32

import numpy as np

from hwgen.calibrate import engines, plumbing, spikes, tiles
from hwgen.calibrate.draw import Kinds
from hwgen.rtl_templates import Spec

__all__ = ["KINDS", "corpus", "unseen"]

#: How specs of each kind are made.
KINDS: Kinds = {**engines.KINDS, **tiles.KINDS, **spikes.KINDS, **plumbing.KINDS}


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
