"""Direct convolution and fully connected layers by tiles: the same integers."""

import numpy as np
import pytest

from hwgen.network import Conv2d, Linear, TensorType
from hwgen.network.direct import direct


def conv(rng, shape, kernel, **options):
    kind = TensorType(shape, 5, bool(rng.integers(2)), zero_point=3)
    weights = rng.integers(-7, 8, (4, *kernel, shape[2] // options.get("groups", 1)))
    return Conv2d(kind, weights, rng.integers(-99, 99, 4), 4, **options)


@pytest.mark.parametrize(
    "shape, kernel, options",
    [
        ((5, 6, 3), (3, 3), {"padding": (1, 1, 1, 1)}),
        ((7, 8, 2), (3, 3), {"padding": (1, 1, 1, 1), "stride": (2, 2)}),
        ((7, 8, 2), (1, 1), {"stride": (2, 3)}),
        ((6, 9, 1), (2, 5), {"padding": (0, 1, 3, 0), "stride": (1, 2)}),
    ],
)
def test_convolutions(shape, kernel, options):
    rng = np.random.default_rng(1)
    op = conv(rng, shape, kernel, **options)
    domain = direct(op)
    assert (domain.size, domain.step) == (kernel, op.stride)
    x = rng.integers(op.input.lo, op.input.hi + 1, (3, *shape))
    x[0] = op.input.lo
    assert (domain.compute(x) == op.compute(x)).all()


@pytest.mark.parametrize("shape", [(24,), (2, 3, 4)])
def test_fully_connected_layers(shape):
    rng = np.random.default_rng(2)
    weights = rng.integers(-7, 8, (5, *shape))
    op = Linear(TensorType(shape, 6, False), weights, rng.integers(-99, 99, 5), 4)
    x = rng.integers(0, 64, (3, *shape))
    assert (direct(op).compute(x) == op.compute(x)).all()


@pytest.mark.parametrize(
    "options, reason",
    [({"dilation": (2, 1)}, r"dilation is \(2, 1\)"), ({"groups": 2}, "2 groups")],
)
def test_what_cannot_be_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        direct(conv(np.random.default_rng(3), (6, 6, 4), (3, 3), **options))
