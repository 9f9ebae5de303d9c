"""Weights that obey a pattern of sub-rows, by chance."""

import numpy as np

from hwgen.network.srbs import SubRows


def chosen(rng: np.random.Generator, shape: tuple[int, ...], pattern: SubRows) -> np.ndarray:
    """Which weights (..., K, C) are kept, as a mask: ``pattern.kept`` of every whole sub-row."""
    scores = rng.random((*shape[:-1], pattern.count(shape[-1]), pattern.length))
    kept = scores.argsort(-1).argsort(-1) < pattern.kept
    return kept.reshape(*shape[:-1], -1)[..., : shape[-1]]
