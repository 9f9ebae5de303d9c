"""Requantisation from any zero point, and of negative sums by multipliers of their own."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hwgen.network import Requantise, TensorType

sys.path.insert(0, str(Path(__file__).parent))
from arrays import draw, draw_type, first


def draw_leaky(seed: int) -> tuple[Requantise, np.ndarray]:
    """Multipliers are powers of two, so that float64 holds every slope exactly."""
    rng = np.random.default_rng(seed)
    kind = draw_type(rng, (3, 4, int(rng.integers(1, 5))))
    multiplier = 1 << rng.integers(0, 16, kind.channels)
    negative = rng.integers(-0xFFFF, 0x10000, kind.channels)
    shift = int(rng.integers(0, 30))
    op = Requantise(kind, multiplier, shift, 8, False, 100, 20, 250, negative if seed % 4 else None)
    return op, draw(rng, kind)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_torchs_prelu_rounded_and_clipped(seed):
    op, x = draw_leaky(seed)
    gains = torch.from_numpy(op.multiplier.astype(np.float64)).reshape(-1, 1, 1)
    y = first(x) - op.input.zero_point
    if op.negative is not None:
        y = F.prelu(y, torch.from_numpy(op.negative / op.multiplier))
    y = torch.floor(y * gains / 2.0**op.shift + (0.5 if op.shift else 0.0))
    expected = F.hardtanh(y + op.zero_point, op.lo, op.hi)
    np.testing.assert_array_equal(first(op.compute(x)).numpy(), expected.numpy())


KIND = TensorType((4,), 8, True)
NONSENSE = {
    "one multiplier a channel: 4": {"negative": np.ones(3, int)},
    "multipliers must lie in [0, 65535]": {"multiplier": np.full(4, -1)},
    "multipliers must lie in [-65535, 65535]": {"negative": np.full(4, 65536)},
    "accumulators of 46 bits are too wide to requantise": {
        "input": TensorType((4,), 46, False, zero_point=1)
    },
}


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused(text):
    given = {"input": KIND, "multiplier": np.ones(4, int), "shift": 0, "bits": 8, "signed": True}
    with pytest.raises(ValueError) as error:
        Requantise(**given | {"zero_point": 0, "lo": 0, "hi": 9} | NONSENSE[text])
    assert str(error.value) == text
