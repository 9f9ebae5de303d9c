"""Whole networks with Winograd asked for: the same integers in Verilator, the cycles foretold."""

import pytest

from hwgen import flow
from hwgen.compress import Settings
from hwgen.rtl_templates import WinogradSpec

NET = """
import torch
from torch import nn


def made():
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 2 * 3, 4),
    )
    return net.eval(), torch.randn(6, 2, 9, 11)
"""


@pytest.mark.parametrize("engine", ["winograd-f2", "winograd-f4"])
def test_a_small_network(tmp_path, engine):
    (tmp_path / "net.py").write_text(NET)
    settings = Settings(weights={"0": 8, "2": 4, "5": 1}, activations={"0": 8, "2": 5})
    folder = tmp_path / "build"
    options = {"board": "zcu104", "settings": settings, "fps": 50_000}
    flow.build(f"{tmp_path}/net.py:made", out=folder, engine=engine, **options)
    _, planned = flow.load_build(folder)
    specs = {s.node: s.spec for s in planned.stages if isinstance(s.spec, WinogradSpec)}
    assert set(specs) == {"0", "2", "5"}
    assert {spec.tile for spec in specs.values()} == {int(engine[-1])}
    result = flow.simulate(folder)
    assert result.bit_exact and result.cycles_exact
    direct = tmp_path / "direct"
    flow.build(f"{tmp_path}/net.py:made", out=direct, engine="direct", **options)
    for file in ("network.json", "network.safetensors"):
        assert (folder / file).read_bytes() == (direct / file).read_bytes()


def test_fashion_cnn(tmp_path):
    engine = {"conv1": "winograd-f2", "conv2": "winograd-f4", "conv3": "winograd-f2"}
    flow.build("fashion_cnn", out=tmp_path / "x", engine=engine, fps=4000)
    result = flow.simulate(tmp_path / "x", frames=4)
    assert result.bit_exact and result.cycles_exact
