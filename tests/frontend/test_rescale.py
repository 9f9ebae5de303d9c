"""Ratios of scales as integers: how far off, and no larger than need be."""

import numpy as np
import pytest

from hwgen.errors import UserError
from hwgen.frontend.rescale import factors_of
from hwgen.network import TensorType

KINDS = TensorType((4,), 8, False, zero_point=3), TensorType((4,), 6, True, zero_point=-9)


@pytest.mark.parametrize("power", [0, 1, 7, 24])
def test_powers_of_two_are_shifts(power):
    assert factors_of("add", (0.3 * 2.0**power, 0.3), KINDS) == ((1 << power, 1), 0.3)
    assert factors_of("add", (0.3, 0.3 * 2.0**power), KINDS) == ((1, 1 << power), 0.3)


@pytest.mark.parametrize("seed", range(20))
def test_any_other_ratio_is_off_by_less_than_anyone_sees(seed):
    rng = np.random.default_rng(seed)
    scales = rng.uniform(1e-3, 1, 2) * (1.0, 10.0 ** rng.integers(-1, 4))
    factors, step = factors_of("add", scales, KINDS)
    for scale, factor, kind in zip(scales, factors, KINDS, strict=True):
        reach = max(kind.hi - kind.zero_point, kind.zero_point - kind.lo)
        assert abs(factor * step - scale) * reach <= min(scales) / 64 * (1 + 1e-9)
    assert min(factors) < 1000


@pytest.mark.parametrize("ratio", [1 + 2.0**-17, 1.00002, 1.234567, 3.9999999])
def test_wide_tensors_of_almost_one_scale(ratio):
    kind = TensorType((4,), 16, False)
    (coarse, fine), _ = factors_of("add", (ratio, 1.0), (kind, kind))
    assert abs(coarse / fine - ratio) * kind.hi <= 1 / 64


def test_operands_out_of_sight():
    with pytest.raises(UserError, match="ratio is at most 2\\^24"):
        factors_of("add", (1.0, 3e-8), KINDS)
