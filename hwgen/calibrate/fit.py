"""The constants that fit best: non-negative least squares of relative errors.

A family has one constant for each feature of a design (``cost.features``): LUTs for a bit of an
adder, for a LUT-sized choice, and so on. None may be negative: every part takes area.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from hwgen.calibrate.prior import GIVEN, prior
from hwgen.cost import Area

__all__ = ["fit"]

#: How strongly a constant is pulled to its prior: enough to decide about features that hardly
#: occur, too little to matter for the others.
PULL = 0.03

#: Rounds in which what is far off comes to weigh less: the typical error counts, not the worst.
ROUNDS, NEAR = 6, 0.04


def fit(
    designs: Sequence[Mapping[str, float]],
    measured: Sequence[Area],
    resource: str,
    family: str,
) -> dict[str, float]:
    """Constants by feature, given the features of some designs and what they were measured to take
    of ``resource``, "lut" or "ff"."""
    looks = prior(family, resource)
    names = list(looks)
    known = GIVEN.get(family, ()) if resource == "lut" else ()
    truth = np.array([max(1, getattr(area, resource)) for area in measured], float)
    table = np.array([[found[name] for name in names] for found in designs]) / truth[:, None]
    old = np.array([looks[name] for name in names])
    held = np.array([name in known for name in names])
    aim = 1 - table[:, held] @ old[held]
    free = table[:, ~held]
    size = np.sqrt((free**2).sum(axis=0)) + 1e-9
    weight = np.ones(len(truth))
    found = old[~held]
    for _ in range(ROUNDS):
        rows = np.vstack([free * weight[:, None], np.diag(PULL * size)])
        found, _ = nnls(rows, np.concatenate([aim * weight, PULL * size * old[~held]]))
        weight = 1 / np.sqrt(np.maximum(np.abs(free @ found - aim), NEAR))
    values = iter(found)
    return {
        name: looks[name] if given else round(float(next(values)), 3)
        for name, given in zip(names, held, strict=True)
    }
