"""Winograd's transforms, small constant matrices, as programmes of additions and shifts.

``INPUTS`` and ``RESULTS`` hold those of F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3), by ``m``. A
programme's steps are worked out once; hardware, area and a check against the matrix are read off
the same list.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.network.domain import Tile

__all__ = ["INPUTS", "RESULTS", "Programme", "exact_results"]


@dataclass(frozen=True)
class Programme:
    """``count`` numbers come in; step ``(f, a, g, b)`` makes the next, ``f * x[a] + g * x[b]``.

    ``f`` is a power of two, ``g`` one or its negative. ``results`` are the numbers that leave.
    """

    count: int
    steps: tuple[tuple[int, int, int, int], ...]
    results: tuple[int, ...]

    def run(self, given: Sequence, step: Callable) -> list:
        """The results, if ``step(f, a, g, b)`` makes a number from two others."""
        known = list(given)
        for f, a, g, b in self.steps:
            known.append(step(f, known[a], g, known[b]))
        return [known[n] for n in self.results]

    def forms(self) -> list[np.ndarray]:
        """What each step makes, as factors of the numbers that came in."""
        made: list[np.ndarray] = []

        def step(f, a, g, b):
            made.append(f * a + g * b)
            return made[-1]

        self.run(list(np.eye(self.count, dtype=np.int64)), step)
        return made

    def terms(self) -> list[int]:
        """How many numbers each step adds at once. One that a single later step takes, unshifted,
        is summed there: its own count is 0."""
        taken = [n for _, a, _, b in self.steps for n in (a, b)] + list(self.results)
        counts = [1] * self.count
        for f, a, g, b in self.steps:
            total = 0
            for factor, n in ((f, a), (g, b)):
                alone = n >= self.count and taken.count(n) == 1 and abs(factor) == 1
                total += counts[n] if alone else 1
                if alone:
                    counts[n] = 0
            counts.append(total)
        return counts[self.count :]

    def matrix(self) -> np.ndarray:
        """The matrix (results, count) that it multiplies by."""
        return np.array(self.run(list(np.eye(self.count, dtype=np.int64)), _plain))

    def build(self, given: Sequence) -> list:
        """Amaranth expressions of the results."""
        return self.run(given, _shifted)


def _plain(f, a, g, b):
    return f * a + g * b


def _shifted(f, a, g, b):
    left = a << (f.bit_length() - 1)
    right = b << (abs(g).bit_length() - 1)
    return left + right if g > 0 else left - right


#: ``B^T`` by the ``m`` of F(m x m, 3 x 3).
INPUTS = {
    2: Programme(4, ((1, 0, -1, 2), (1, 1, 1, 2), (1, 2, -1, 1), (1, 3, -1, 1)), (4, 5, 6, 7)),
    4: Programme(
        6,
        (
            (1, 3, -1, 1),
            (1, 4, -1, 2),
            (1, 0, -1, 2),
            (1, 5, -1, 3),
            (1, 1, 1, 2),
            (1, 3, 1, 4),
            (1, 2, -1, 1),
            (1, 3, -1, 4),
            (4, 8, 1, 7),
            (4, 10, -1, 11),
            (4, 12, 1, 13),
            (2, 6, 1, 7),
            (1, 7, -2, 6),
            (1, 9, -4, 6),
        ),
        (14, 15, 16, 17, 18, 19),
    ),
}

_PAIR = ((1, 1, 1, 2), (1, 1, -1, 2))
_PAIRS = (*_PAIR, (1, 3, 1, 4), (1, 3, -1, 4))

#: The inverse transforms ``A^T`` and, for ``m`` and ``True``, the exact ``A'^T``.
RESULTS = {
    (2, False): Programme(4, (*_PAIR, (1, 0, 1, 4), (1, 5, 1, 3)), (6, 7)),
    (2, True): Programme(4, (*_PAIR, (2, 0, 1, 4), (1, 5, 2, 3)), (6, 7)),
    (4, False): Programme(
        6,
        (
            *_PAIRS,
            (1, 0, 1, 6),
            (1, 10, 1, 8),
            (1, 7, 2, 9),
            (1, 6, 4, 8),
            (1, 7, 8, 9),
            (1, 14, 1, 5),
        ),
        (11, 12, 13, 15),
    ),
    (4, True): Programme(
        6,
        (
            *_PAIRS,
            (4, 0, 2, 0),
            (4, 6, 1, 8),
            (1, 10, 1, 11),
            (4, 7, 2, 9),
            (4, 6, 4, 8),
            (16, 5, 8, 5),
            (4, 7, 8, 9),
            (1, 15, 1, 16),
        ),
        (12, 13, 14, 17),
    ),
}


def inputs_of(tile: Tile) -> Programme:
    """The programme of ``tile``'s input transform; no steps where there is none."""
    return INPUTS[tile.m] if tile.m in INPUTS else Programme(tile.t, (), tuple(range(tile.t)))


def exact_results(m: int, outputs: np.ndarray) -> Programme:
    """The programme for ``outputs``, one of the inverse transforms of F(m x m, 3 x 3)."""
    for exact in (False, True):
        if np.array_equal(RESULTS[m, exact].matrix(), outputs):
            return RESULTS[m, exact]
    raise ValueError(f"no programme multiplies by {outputs.tolist()}")
