"""Random networks go the whole way: every stream equals its golden tensor, every frame is on time.

`make fuzz N=200` runs more of them.
"""

import os
import sys
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hwgen.emit import write_build
from hwgen.plan import plan_from_json
from hwgen.plan.pipeline import play_stages
from hwgen.sim import simulate

sys.path.insert(0, str(Path(__file__).parent))
from random_networks import random_frames, random_network, random_plan

EXAMPLES = int(os.environ.get("HWGEN_FUZZ", "3"))
FRAMES = 12


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
    assert plan_from_json(made.to_json(), network) == made
    frames = random_frames(network, chance, FRAMES)
    write_build(folder, f"random{seed}", network, made, frames, {})
    free = simulate(folder, frames)
    assert free.bit_exact, free
    ends = tuple(cycle - free.first_input_cycle for cycle in free.last_output_cycles)
    assert ends == play_stages(made.stages, FRAMES).ends
    stalled = simulate(folder, frames, stall=(0.4, 0.4), seed=seed % 1000)
    assert stalled.bit_exact, stalled
