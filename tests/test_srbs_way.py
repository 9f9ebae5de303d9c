"""Whole networks with sub-row-balanced weights: in banks, the same integers in Verilator."""

import numpy as np
import torch
from torch import nn

from hwgen import flow
from hwgen.network.srbs import SubRows
from hwgen.nn.quantize import fake_quantize
from hwgen.nn.winograd import WinogradConv2d
from hwgen.rtl_templates import SparseSpec


class Rounded(nn.Module):
    """Puts its input on a grid."""

    def __init__(self, step, hi):
        super().__init__()
        self.hi = hi
        self.register_buffer("step", torch.tensor(step, dtype=torch.float64))
        self.register_buffer("zero", torch.tensor(0))

    def forward(self, x):
        return fake_quantize(x, self.step, self.zero, 0, self.hi, -1)


def prune(weight, length, kept):
    """Keep the largest ``kept`` of each ``length`` numbers along the last axis."""
    with torch.no_grad():
        parts = weight.unflatten(-1, (-1, length))
        order = parts.abs().argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        weight.copy_((parts * (order < kept)).flatten(-2))


def exported(net, images, folder):
    """The options with which ``net`` is built."""
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(net.eval(), (images,), dynamic_shapes=shapes)
    torch.export.save(program, folder / "net.pt2")
    np.savez(folder / "images.npz", images=images.numpy())
    return {"model": folder / "net.pt2", "calibrate": folder / "images.npz", "board": "zcu104"}


def test_convolutions_and_a_classifier(tmp_path):
    """A dense first layer, then sparse ones: with a stride, pointwise, fully connected."""
    torch.manual_seed(3)
    net = nn.Sequential(
        *(nn.Conv2d(2, 8, 1), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, padding=1, stride=2), nn.ReLU()),
        *(nn.Conv2d(16, 16, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)),
    )
    for n, length, kept in ((2, 4, 1), (4, 16, 4)):
        prune(net[n].weight.movedim(1, -1), length, kept)
    prune(net[8].weight, 8, 2)
    options = exported(net, torch.randn(6, 2, 6, 8), tmp_path)
    folder = tmp_path / "build"
    flow.build(**options, fps=20_000, out=folder, engine="srbs")
    _, planned = flow.load_build(folder)
    found = {s.node: s.spec.pattern for s in planned.stages if isinstance(s.spec, SparseSpec)}
    assert found == {"2": SubRows(4, 1), "4": SubRows(16, 4), "8": SubRows(8, 2)}
    result = flow.simulate(folder)
    assert result.bit_exact and result.cycles_exact


def test_weights_in_the_domain(tmp_path):
    """From a torch twin, through a .pt2 file; two tiles share a DSP block."""
    torch.manual_seed(0)
    layer = WinogradConv2d.from_conv(nn.Conv2d(8, 6, 3, padding=1), 2, 0.05, weight_bits=5)
    prune(layer.weight, 8, 2)
    net = nn.Sequential(Rounded(0.05, 31), layer, nn.ReLU(), Rounded(0.04, 255))
    options = exported(net, torch.rand(3, 8, 6, 8), tmp_path)
    folder = tmp_path / "build"
    report = flow.build(**options, fps=200_000, out=folder, engine="srbs")
    assert report["largest_lsb"] <= 1
    _, planned = flow.load_build(folder)
    (spec,) = (stage.spec for stage in planned.stages if isinstance(stage.spec, SparseSpec))
    assert (spec.tile, spec.pattern) == (2, SubRows(8, 2))
    result = flow.simulate(folder)
    assert result.bit_exact and result.cycles_exact
