"""The constants that fit best: non-negative least squares of relative errors.

A family has one constant for each feature of a design (``cost.features``): LUTs for a bit of an
adder, for a LUT-sized choice, and so on. None may be negative: every part takes area.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from hwgen.cost import Area

__all__ = ["fit"]

#: Constants that follow from the device or from what a flip-flop is (LUTs of a memory cell, the bit
#: of a register): not fitted.
GIVEN = {
    "lut": {
        "ecp5": ("cell",),
        "gowin": ("cell",),
        "xc7": ("cell", "shift"),
        "xcup": ("cell", "shift"),
    },
    "ff": {},
}

#: How strongly a constant is pulled to its present value: enough to decide about features that
#: hardly occur, too little to matter for the others.
PULL = 0.03

#: Rounds in which what is far off comes to weigh less: the typical error counts, not the worst.
ROUNDS, NEAR = 6, 0.04


def fit(
    designs: Sequence[Mapping[str, float]],
    measured: Sequence[Area],
    present: Mapping[str, float],
    resource: str,
    family: str,
) -> dict[str, float]:
    """Constants by feature, given the features of some designs and what they were measured to take
    of ``resource``; ``present`` are the constants so far."""
    names = list(present)
    given = set(GIVEN[resource].get(family, ()))
    truth = np.array([max(1, getattr(area, resource)) for area in measured], float)
    table = np.array([[found[name] for name in names] for found in designs]) / truth[:, None]
    old = np.array([present[name] for name in names])
    held = np.array([name in given for name in names])
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
        name: old[n] if held[n] else round(float(next(values)), 3) for n, name in enumerate(names)
    }
