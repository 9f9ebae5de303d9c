"""Whole networks with Winograd asked for: the same integers in Verilator, the cycles foretold."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import flow, show
from hwgen.compress import Settings
from hwgen.nn.quantize import fake_quantize
from hwgen.nn.winograd import WinogradConv2d
from hwgen.rtl_templates import WinogradSpec

NET = """
import torch
from torch import nn


def made():
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 2 * 3, 4),
    )
    return net.eval(), torch.randn(6, 2, 9, 11)
"""


def test_a_small_network(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    settings = Settings(weights={"0": 8, "2": 4, "5": 1}, activations={"0": 8, "2": 5})
    folder = tmp_path / "build"
    options = {"board": "zcu104", "settings": settings, "fps": 10_000}
    engine = {"0": "winograd-f2", "2": "winograd-f4", "5": "winograd-f2"}
    flow.build(f"{tmp_path}/net.py:made", out=folder, engine=engine, **options)
    _, planned = flow.load_build(folder)
    specs = {s.node: s.spec for s in planned.stages if isinstance(s.spec, WinogradSpec)}
    assert {name: f"winograd-f{spec.tile}" for name, spec in specs.items()} == engine
    result = flow.simulate(folder)
    assert result.bit_exact and result.cycles_exact
    direct = tmp_path / "direct"
    flow.build(f"{tmp_path}/net.py:made", out=direct, engine="direct", **options)
    for file in ("network.json", "network.safetensors"):
        assert (folder / file).read_bytes() == (direct / file).read_bytes()


class Rounded(nn.Module):
    """Puts its input on a grid."""

    def __init__(self, step, hi):
        super().__init__()
        self.hi = hi
        self.register_buffer("step", torch.tensor(step, dtype=torch.float64))
        self.register_buffer("zero", torch.tensor(0))

    def forward(self, x):
        return fake_quantize(x, self.step, self.zero, 0, self.hi, -1)


def test_weights_in_the_domain(tmp_path):
    """From torch twins, through a .pt2 file, to Verilog."""
    torch.manual_seed(0)
    first = WinogradConv2d.from_conv(nn.Conv2d(2, 5, 3, padding=1), 2, 0.05)
    second = WinogradConv2d.from_conv(nn.Conv2d(5, 4, 3), 4, 0.04, transform_bits=8)
    second.fit(0, 31)
    layers = Rounded(0.05, 31), first, nn.ReLU(), Rounded(0.04, 31), second, Rounded(0.03, 255)
    images = torch.rand(4, 2, 8, 9)
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(nn.Sequential(*layers).eval(), (images,), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    np.savez(tmp_path / "images.npz", images=images.numpy())
    options = {"calibrate": tmp_path / "images.npz", "out": tmp_path / "x"}
    report = flow.build(tmp_path / "net.pt2", board="zcu104", fps=10_000, **options)
    assert report["largest_lsb"] <= 1
    network, _ = flow.load_build(tmp_path / "x")
    assert [network[name].op.tile for name in ("1", "4")] == [2, 4]
    result = flow.simulate(tmp_path / "x")
    assert result.bit_exact and result.cycles_exact


def test_a_collapse_is_a_warning(tmp_path, capsys):
    """Weights and transforms of two bits: what they cost is measured, and said."""
    torch.manual_seed(0)
    images, warned = torch.rand(40, 2, 6, 6), {}
    for bits in (16, 2):
        conv = nn.Conv2d(2, 6, 3, padding=1)
        wide = {"weight_bits": bits, "transform_bits": bits}
        layer = WinogradConv2d.from_conv(conv, 4, 1 / 15, **wide)
        layer.fit(0, 15)
        parts = Rounded(1 / 15, 15), layer, Rounded(0.002, 4095), nn.MaxPool2d(6), nn.Flatten()
        program = torch.export.export(
            nn.Sequential(*parts).eval(), (images,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
        )
        torch.export.save(program, tmp_path / "net.pt2")
        exact = nn.Sequential(parts[0], conv, *parts[2:])(images).argmax(1)
        np.savez(tmp_path / "images.npz", images=images.numpy(), labels=exact.numpy())
        report = flow.estimate(tmp_path / "net.pt2", "zcu104", tmp_path / "images.npz")
        warned[bits] = report.get("warnings", [])
        show.built(report, tmp_path)
    assert not warned[16]
    (text,) = warned[2]
    assert text.startswith("1: rounding in the domain of F(4x4,3x3) costs ")
    lost = float(re.search(r"costs ([\d.]+) points of accuracy", text).group(1))
    assert lost == pytest.approx(100 - report["accuracy"]["integer"], abs=5.1)
    assert text in capsys.readouterr().out


def test_fashion_cnn(tmp_path):
    engine = {"conv1": "winograd-f2", "conv2": "winograd-f4", "conv3": "winograd-f2"}
    flow.build("fashion_cnn", out=tmp_path / "x", engine=engine, fps=1500)
    result = flow.simulate(tmp_path / "x", frames=2)
    assert result.bit_exact and result.cycles_exact
