"""What only spiking engines do: their cycles depend on data."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hwgen.game import Link, play
from hwgen.rtl_templates import SpikingSpec

sys.path.insert(0, str(Path(__file__).parent))
from spiking_cases import cases

FRAMES = 4


@pytest.mark.parametrize("spec", [spec for spec in cases() if isinstance(spec, SpikingSpec)])
def test_no_data_is_slower_than_the_worst(spec):
    links = [Link(None, ("dut", "i")), Link(("dut", "o"), None)]
    schedule = {"dut": spec.schedule()}
    worst = play(schedule, links, FRAMES)

    def with_data(x):
        return play(schedule, links, FRAMES, data={("dut", n): c for n, c in spec.trips(x).items()})

    shape = (FRAMES, *spec.op.input.shape)
    assert with_data(np.ones(shape, int)) == worst
    x = (np.random.default_rng(1).random(shape) < 0.5).astype(int)
    assert all(a <= b for a, b in zip(with_data(x).ends, worst.ends, strict=True))
    steady = play(schedule, links, 60, until_steady=True)
    assert steady.period
    assert steady.interval == worst.interval
