"""Engines by choice: what is asked for is built, or refused by name; the plan says why."""

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.errors import UserError
from hwgen.network import Conv2d, Input, Network, Node, Requantise, TensorType
from hwgen.plan import plan, plan_from_json, plan_to_json
from hwgen.rtl_templates import ConvSpec, WinogradSpec

BOARD = load_board("ulx3s")


def network() -> Network:
    """Three convolutions, of which the second skips every other pixel."""
    rng = np.random.default_rng(1)
    nodes: list[Node] = []

    def add(name, op):
        nodes.append(Node(name, op, (nodes[-1].name,) if nodes else (), op.output))
        return op.output

    x = add("input", Input(TensorType((8, 8, 2), 6, False)))
    for name, channels, stride in (("a", 6, 1), ("b", 4, 2), ("c", 2, 1)):
        weights = rng.integers(-7, 8, (channels, 3, 3, x.channels))
        bias = rng.integers(-99, 99, channels)
        x = add(name, Conv2d(x, weights, bias, 4, (stride, stride), padding=(1, 1, 1, 1)))
        scale = np.full(channels, 13)
        x = add(f"{name}.requantise", Requantise(x, scale, 8, 5, False, 0, 0, 31))
    return Network(tuple(nodes), (nodes[-1].name,))


NETWORK = network()


def built(engines):
    made = plan(NETWORK, BOARD, fps=20_000, engines=engines)
    assert plan_to_json(plan_from_json(plan_to_json(made), NETWORK)) == plan_to_json(made)
    return {stage.node: stage for stage in made.stages if stage.node in ("a", "b", "c")}


@pytest.mark.parametrize("tile", [2, 4])
def test_for_all_layers_that_can(tile):
    stages = built(f"winograd-f{tile}")
    assert [stages[n].spec.tile for n in "ac"] == [tile, tile]
    assert isinstance(stages["b"].spec, ConvSpec)
    assert stages["a"].reason.endswith(f"; winograd-f{tile}, as asked")
    wanted = f"; direct, though winograd-f{tile} was asked for: its stride is (2, 2), not 1"
    assert stages["b"].reason.endswith(wanted)


def test_by_name():
    stages = built({"a": "winograd-f4", "default": "direct"})
    assert isinstance(stages["a"].spec, WinogradSpec) and stages["a"].spec.tile == 4
    assert isinstance(stages["c"].spec, ConvSpec)
    stages = built({"a": "direct", "c": "winograd"})
    assert isinstance(stages["a"].spec, ConvSpec)
    assert isinstance(stages["c"].spec, WinogradSpec)


def test_by_cost():
    """Left alone, the planner compares; and says what the others would take."""
    for name, stage in built("auto").items():
        mine = "winograd-f" if isinstance(stage.spec, WinogradSpec) else "direct, as"
        assert f"; {mine}" in stage.reason or name == "b"
        others = stage.reason.count(" would take ") + stage.reason.count(" at best")
        assert others == (0 if name == "b" else 2), stage.reason


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(UserError) as error:
        plan(NETWORK, BOARD, engines={"b": "winograd-f2", "a.requantise": "winograd", "d": "auto"})
    remedy = "ask for direct; Winograd is for 3 x 3 kernels of stride 1, all in one group"
    assert list(map(str, error.value.problems)) == [
        f"b: winograd-f2 cannot compute it: its stride is (2, 2), not 1; {remedy}",
        f"a.requantise: winograd cannot compute it: it is no convolution; {remedy}",
        "an engine is asked for 'd', which is no layer; nearest are a, a.requantise, b, "
        "b.requantise, c",
    ]
    with pytest.raises(
        UserError, match=r"^a: there is no engine 'fft'; use auto, direct, winograd"
    ):
        plan(NETWORK, BOARD, engines={"a": "fft"})
