"""From a network that nobody has seen to verified Verilog."""

import json
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
import torch

from hwgen import flow
from hwgen.board import load_board
from hwgen.compress import Settings
from hwgen.cost import Area

NET = '''
import torch
from torch import nn


class Net(nn.Module):
    """An odd one: sizes that nothing divides, strides, kernels of two shapes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.body = nn.Conv2d(5, 7, 3, bias=False)
        self.drop = nn.Dropout()
        self.hidden = nn.Linear(28, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        x = torch.relu(self.body(x))
        return self.head(torch.relu(self.hidden(self.drop(x.flatten(1)))))


def made():
    torch.manual_seed(7)
    net = Net()
    with torch.no_grad():
        net.norm.running_mean.uniform_(-0.5, 0.5)
        net.norm.running_var.uniform_(0.5, 2)
    return net.eval(), torch.randn(12, 3, 13, 6)
'''

SETTINGS = Settings(
    weights={"stem": 5, "body": 1, "head": 11, "default": 3},
    activations={"input": 7, "stem": 4, "default": 6},
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The network as file and function, and the same as a .pt2 file with its data."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.py").write_text(NET)
    space: dict = {}
    exec(NET, space)
    model, images = space["made"]()
    batch = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(model, (images,), dynamic_shapes=batch)
    torch.export.save(exported, folder / "net.pt2")
    np.savez(folder / "data.npz", images=images.numpy())
    return folder


@pytest.fixture(scope="module")
def built(sources):
    options = {"settings": SETTINGS, "board": "zcu104", "fps": 100_000}
    flow.build(f"{sources}/net.py:made", out=sources / "a", **options)
    flow.build(sources / "net.pt2", calibrate=sources / "data.npz", out=sources / "b", **options)
    return sources


def test_both_ways_in_give_the_same_hardware(built):
    for file in ("network.safetensors", "plan.json", "rtl/accelerator.v"):
        assert (built / "a" / file).read_bytes() == (built / "b" / file).read_bytes()


def test_it_is_bit_exact_with_and_without_stalls(built):
    result = flow.simulate(built / "b", stall=0.5, seed=9)
    assert result.free.bit_exact, str(result.free)
    assert result.stalled.bit_exact, str(result.stalled)
    assert result.cycles_exact
    assert result.free.frames == result.stalled.frames == 12
    report = json.loads((built / "b" / "report.json").read_text())
    assert report == result.report
    assert (report["bit_exact"], report["frames"]) == (True, 12)
    for name in ("interval", "latency"):
        assert report["cycles"][name]["simulated"] == report["cycles"][name]["estimated"]
    assert report["throughput"]["frames_per_second"] >= 100_000
    network, _ = flow.load_build(built / "b")
    assert network["stem"].op.weight_bits == 5
    assert network["body"].op.weight_bits == 1
    assert network["hidden"].op.weight_bits == 3
    assert network.input.type.bits == 7


def test_fashion_cnn(tmp_path):
    report = flow.build("fashion_cnn", out=tmp_path / "x")
    assert report["accuracy"]["images"] == 10_000
    assert report["accuracy"]["float"] - report["accuracy"]["integer"] <= 0.3
    assert report["fits"]
    assert report["utilisation"]["multipliers"] >= 0.8
    result = flow.simulate(tmp_path / "x", frames=10)
    assert result.bit_exact
    assert result.cycles_exact


def test_digits_mlp_fits_an_icebreaker(tmp_path):
    report = flow.build("digits_mlp", out=tmp_path / "x", board="icebreaker")
    assert report["fits"]
    area, there = report["area"], load_board("icebreaker")
    # With the registers beside it, and LUTs as far beyond the estimate as is to be expected.
    both = Area(**area["estimated"]) + Area(**area["register_file"])
    worse = replace(both, lut=ceil(both.lut * (1 + area["expected_error"]["lut"])))
    assert worse.lut <= 5280 and worse.dsp <= 8 and worse.bram <= 30
    assert worse.fits(there), worse.excess(there)
    assert report["accuracy"]["integer"] >= report["accuracy"]["float"] - 0.3
