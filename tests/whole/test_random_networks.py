"""Random networks go the whole way: every stream equals its golden tensor, every frame is on time.

`make fuzz N=200` runs more of them.
"""

import os
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hwgen.emit import write_build
from hwgen.plan import plan_from_json, plan_to_json
from hwgen.plan.rate import decided, play_stages
from hwgen.sim import simulate, verilator

sys.path.insert(0, str(Path(__file__).parent))
from random_networks import random_network
from random_plans import random_frames, random_plan

EXAMPLES = int(os.environ.get("HWGEN_FUZZ", "3"))
FRAMES = 12


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """Simulations are short here: what an optimising compiler takes, they would never save."""
    with pytest.MonkeyPatch.context() as patch:
        options = [text.replace("OPT_FAST=-O3", "OPT_FAST=-O0") for text in verilator.OPTIONS]
        patch.setattr(verilator, "OPTIONS", tuple(options))
        yield


@settings(
    max_examples=EXAMPLES,
    derandomize="HWGEN_FUZZ" not in os.environ,
    deadline=None,
    # A failure is worth more than a smaller one: each try builds a simulator.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_whole_way(seed, tmp_path_factory):
    goes_the_whole_way(seed, tmp_path_factory.mktemp("random") / "build")


def goes_the_whole_way(seed, folder):
    chance = Random(seed)
    network = random_network(chance)
    made = random_plan(network, chance)
    assert plan_from_json(plan_to_json(made), network) == made
    frames = random_frames(network, chance, FRAMES)
    write_build(folder, f"random{seed}", network, made, frames, {})
    free = simulate(folder, frames)
    assert free.bit_exact, free
    ends = tuple(cycle - free.first_input_cycle for cycle in free.last_output_cycles)
    data = decided(made.stages, network, frames)
    assert ends == play_stages(made.stages, FRAMES, data=data).ends
    assert data is not None or ends[0] == made.latency
    stall = chance.choice([(0.4, 0.4), (0.8, 0.0), (0.0, 0.8)])
    # A reset in the middle of things: all frames come again.
    after = chance.choice([0, chance.randint(1, 4 * made.interval)])
    stalled = simulate(folder, frames, stall=stall, seed=seed % 1000, reset_after=after)
    assert stalled.bit_exact, stalled
