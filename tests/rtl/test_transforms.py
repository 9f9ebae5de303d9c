"""Transforms as additions and shifts: the matrices that they are."""

import numpy as np
import pytest

from hwgen.network.winograd import TILES
from hwgen.rtl_templates.transforms import INPUTS, RESULTS, exact_results


@pytest.mark.parametrize("m", TILES)
def test_programmes_are_the_matrices(m):
    tile = TILES[m]
    assert (INPUTS[m].matrix() == np.array(tile.inputs)).all()
    assert (RESULTS[m, False].matrix() == np.array(tile.outputs)).all()
    assert (RESULTS[m, True].matrix() == np.array(tile.exact)).all()
    assert exact_results(m, np.array(tile.exact)) is RESULTS[m, True]
    with pytest.raises(ValueError, match="no programme"):
        exact_results(m, np.array(tile.exact) + 1)


@pytest.mark.parametrize("programme", [*INPUTS.values(), *RESULTS.values()])
def test_factors_are_powers_of_two(programme):
    for f, _, g, _ in programme.steps:
        assert f > 0 and f & (f - 1) == 0 and abs(g) & (abs(g) - 1) == 0
    assert len(programme.forms()) == len(programme.steps)
