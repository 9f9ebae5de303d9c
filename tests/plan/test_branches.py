"""Plans of networks that branch: from the input, and with names that look alike."""

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.errors import UserError
from hwgen.network import Add, Concat, Conv2d, Input, Network, Node, Requantise, TensorType
from hwgen.plan import plan, plan_from_json, plan_to_json
from hwgen.plan.pipeline import with_fifos
from hwgen.plan.rate import play_stages, steady

ULX3S = load_board("ulx3s")


def residual(
    channels: int, names: tuple[str, str] = ("conv", "add"), size: int = 8, join: type = Add
) -> Network:
    """A convolution and its own input, added or put side by side."""
    rng = np.random.default_rng(channels)
    x = TensorType((size, size, channels), 6, False, zero_point=3)
    weights = rng.integers(-7, 8, (channels, 3, 3, channels))
    conv = Conv2d(x, weights, rng.integers(-9, 9, channels), 4, padding=(1, 1, 1, 1))
    narrow = Requantise(conv.output, np.full(channels, 13), 9, 6, False, 3, 0, 63)
    kinds = narrow.output, x
    add = Add(*kinds) if join is Add else Concat(kinds, (0, 0), 3)
    first, last = names
    nodes = (
        Node("input", Input(x), (), x),
        Node(first, conv, ("input",), conv.output),
        Node(f"{first}.requantise", narrow, (first,), narrow.output),
        Node(last, add, (f"{first}.requantise", "input"), add.output),
    )
    return Network(nodes, (last,))


@pytest.mark.parametrize("channels", [3, 5, 8])
@pytest.mark.parametrize("fps", [None, 20_000, 200_000])
def test_a_residual_from_the_input(channels, fps):
    network = residual(channels)
    try:
        made = plan(network, ULX3S, fps)
    except UserError as error:
        assert "out of reach" in str(error)
        return
    assert plan_from_json(plan_to_json(made), network) == made
    if fps:
        assert made.frames_per_second >= fps
    played = steady(made.stages)
    assert not played.deadlock and played.interval == made.interval


@pytest.mark.parametrize("join", [Add, Concat])
def test_no_fifo_of_a_branch_can_lose_a_beat(join):
    made = plan(residual(5, join=join), ULX3S)
    assert made.fifos, "the short branch waits for the long one"
    bare = [stage for stage in made.stages if stage.name not in made.fifos]
    through = {stage.name: stage.sources[0] for stage in made.stages if stage.name in made.fifos}
    places = {}
    for n, stage in enumerate(bare):
        sources = tuple((through.get(name, (name, port))) for name, port in stage.sources)
        for number, (name, _) in enumerate(stage.sources):
            if name in made.fifos:
                places[stage.name, number] = made.fifos[name]
        bare[n] = type(stage)(**{**vars(stage), "sources": sources})
    assert steady(with_fifos(bare, places)).interval == made.interval
    for place, depth in places.items():
        less = play_stages(with_fifos(bare, places | {place: depth - 1}), 32)
        assert less.deadlock or less.interval > made.interval


def test_names_that_look_alike_stay_apart():
    made = plan(residual(3, ("a.b", "A_b")), ULX3S)
    names = [stage.name.lower() for stage in made.stages]
    assert len(names) == len(set(names))
    assert {stage.node for stage in made.stages} >= {"a.b", "A_b"}
