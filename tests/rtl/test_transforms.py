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


@pytest.mark.parametrize("programme", [*INPUTS.values(), *RESULTS.values()])
def test_sums_that_one_step_takes_are_part_of_it(programme):
    """However steps are put together, as many additions are made."""
    terms = programme.terms()
    assert sum(n - 1 for n in terms if n) == len(programme.steps)
    assert max(RESULTS[4, True].terms()) == 4  # 4 x0 + 2 x0 + 4 x6 + x8
    assert max(INPUTS[2].terms()) == 2
