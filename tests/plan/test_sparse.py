"""Layers whose weights obey a sub-row pattern: the planner weighs banks, and says why."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.errors import UserError
from hwgen.network import (
    Conv2d,
    Input,
    Linear,
    Network,
    Node,
    Requantise,
    TensorType,
    WinogradConv2d,
)
from hwgen.network.srbs import SubRows
from hwgen.plan import plan, plan_from_json, plan_to_json
from hwgen.rtl_templates import ConvSpec, SparseSpec, WinogradSpec

sys.path.insert(0, str(Path(__file__).parents[1]))
from sub_rows import chosen

BOARD = load_board("zcu104")


def pruned(rng, shape, length, kept):
    return np.where(chosen(rng, shape, SubRows(length, kept)), rng.integers(1, 8, shape), 0)


def network() -> Network:
    """A dense convolution; a sparse one; a sparse one in Winograd's domain; a sparse classifier."""
    rng = np.random.default_rng(1)
    nodes: list[Node] = []

    def add(name, op):
        nodes.append(Node(name, op, (nodes[-1].name,) if nodes else (), op.output))
        return op.output

    def rounded(name, x):
        op = Requantise(x, np.full(x.channels, 13), 9, 6, False, 0, 0, 63)
        return add(f"{name}.requantise", op)

    same, x = (1, 1, 1, 1), add("input", Input(TensorType((8, 8, 4), 6, False)))
    zeros = np.zeros((4, 4), int)
    dense = rng.integers(1, 8, (16, 3, 3, 4))
    x = rounded("a", add("a", Conv2d(x, dense, np.zeros(16, int), 4, padding=same)))
    weights = pruned(rng, (32, 3, 3, 16), 16, 4)
    x = rounded("b", add("b", Conv2d(x, weights, np.zeros(32, int), 4, padding=same)))
    weights = pruned(rng, (4, 4, 16, 32), 16, 3)
    op = WinogradConv2d(x, weights, np.zeros(16, int), 4, 2, zeros, zeros, 0, same)
    x = rounded("c", add("c", op))
    weights = pruned(rng, (10, x.shape[0] * x.shape[1] * 16), 8, 2)
    add("d", Linear(x, weights.reshape(10, *x.shape), np.zeros(10, int), 4))
    return Network(tuple(nodes), ("d",))


NETWORK = network()


def built(engines, fps=None, board=BOARD):
    made = plan(NETWORK, board, fps=fps, engines=engines)
    assert plan_to_json(plan_from_json(plan_to_json(made), NETWORK)) == plan_to_json(made)
    return {stage.node: stage for stage in made.stages if stage.node in ("a", "b", "c", "d")}


def test_as_asked():
    stages = built("srbs", fps=20_000)
    patterns = {name: getattr(stages[name].spec, "pattern", None) for name in "abcd"}
    assert patterns == {
        "a": None,
        "b": SubRows(16, 4),
        "c": SubRows(16, 3),
        "d": SubRows(8, 2),
    }
    for name in "bcd":
        assert stages[name].reason.endswith("; srbs, as asked")
    assert "though srbs was asked for: its weights are dense" in stages["a"].reason
    stages = built({"default": "direct", "c": "winograd-f2"}, fps=20_000)
    assert isinstance(stages["c"].spec, WinogradSpec)
    assert all(isinstance(stages[name].spec, ConvSpec) for name in "abd")


def test_by_cost():
    """Where DSP blocks are few, a sparse layer takes the banks, and its reason names the others."""
    stages = built("auto", board=replace(BOARD, dsp=150, lut=40_000))
    assert isinstance(stages["b"].spec, SparseSpec)
    assert "; srbs, as direct would take " in stages["b"].reason
    assert "; winograd-f2, as srbs would take " in stages["c"].reason
    assert "srbs" not in stages["a"].reason


def test_dense_weights_are_refused_by_name():
    with pytest.raises(UserError) as error:
        plan(NETWORK, BOARD, engines={"a": "srbs", "a.requantise": "srbs"})
    remedy = "prune its weights to sub-rows first, or ask for auto"
    assert list(map(str, error.value.problems)) == [
        "a: srbs cannot compute it: its weights are dense: no sub-row of 4 to 32 input channels "
        f"has a zero everywhere; {remedy}",
        f"a.requantise: srbs cannot compute it: it has no weights; {remedy}",
    ]
