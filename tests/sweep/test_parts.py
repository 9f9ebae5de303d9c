"""Ranges, fronts, keys and the store by themselves."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.frontend.load import load
from hwgen.report import pareto
from hwgen.sweep import inputs
from hwgen.sweep.points import bits, boards, chosen, span
from hwgen.sweep.store import Store


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        ("2..8", (2, 3, 4, 5, 6, 7, 8)),
        ("8,2,4", (2, 4, 8)),
        (" 2 .. 4, 8,3", (2, 3, 4, 8)),
        ("16", (16,)),
        (7, (7,)),
        (range(1, 4), (1, 2, 3)),
    ],
)
def test_bits(given, numbers):
    assert bits("--weights", given) == numbers


def test_chosen():
    points, on = span((2, 4), (4,)), tuple(boards("ulx3s,zcu104"))
    found = chosen("--sim", "w4a4, w2a4-zcu104,w4a4-ulx3s", points, on)
    names = [(str(point), board.name) for point, board in found]
    assert names == [("w4a4", "ulx3s"), ("w4a4", "zcu104"), ("w2a4", "zcu104")]
    assert chosen("--sim", None, points, on) == ()


def rows(*numbers: tuple[float | None, int | None]) -> list[dict]:
    return [{"accuracy": a, "lut_estimated": c, "frames_per_second": c} for a, c in numbers]


def test_front():
    """By definition: no other is as good in both and better in one."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        some = rows(*draw.integers(0, 8, (12, 2)).tolist(), (None, 1), (9, None))
        best = pareto.front(some, "lut")
        known = some[:12]
        for row in known:
            beaten = any(
                other["accuracy"] >= row["accuracy"]
                and other["lut_estimated"] <= row["lut_estimated"]
                and (other["accuracy"], other["lut_estimated"])
                != (row["accuracy"], row["lut_estimated"])
                for other in known
            )
            assert any(row is one for one in best) != beaten
    assert [row["accuracy"] for row in pareto.front(rows((1, 9), (2, 5), (1, 4)), "fps")] == [1, 2]


def test_key_of_a_network():
    """It follows structure, names and weights, and nothing else."""

    def make(seed: int, *layers: nn.Module):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(1, 2, 3), *layers)
        return inputs.of_program(load(model.eval(), torch.rand(2, 1, 6, 6)))

    keys = [make(0), make(1), make(0, nn.ReLU()), make(0, nn.Identity(), nn.ReLU())]
    assert make(0) == keys[0]
    assert all(one != other for one, other in itertools.combinations(keys, 2))


def test_store(tmp_path):
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        assert store.get({"a": 1}) is None
        store.put("plan", {"a": 1, "b": [2]}, {"x": None}, 0.5)
    with Store(path) as store:
        assert store.get({"b": [2], "a": 1}) == {"x": None}
        assert store.get({"b": [3], "a": 1}) is None
