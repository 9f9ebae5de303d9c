"""One-dimensional networks: lines of values are maps of one row."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.compress import Settings, quantize
from hwgen.frontend import load
from hwgen.network import Conv2d

sys.path.insert(0, str(Path(__file__).parent))
from branching import FINEST, IMAGES, Net, check, close, lived_in

LINES = np.ascontiguousarray(IMAGES.reshape(40, 2, -1)[:, :, :40])


def keywords(s, x):
    """Depthwise separable, as networks that listen for keywords are."""
    x = s.stem(x)
    for block in (s.one, s.two):
        x = x + block(x)
    return s.fc(x.mean(-1))


def separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(channels, channels, 5, padding="same", groups=channels, bias=False),
        nn.BatchNorm1d(channels),
        nn.ReLU(),
        nn.Conv1d(channels, channels, 1),
        nn.BatchNorm1d(channels),
        nn.LeakyReLU(0.1),
    )


def everything(s, x):
    x = F.relu(s.bn(F.max_pool1d(F.relu6(s.a(x)), 3, 2, 1)))
    y = F.interpolate(F.avg_pool1d(x, 2), scale_factor=2.0)
    x = torch.cat([F.pad(y, (0, 1))[:, :, 1:], s.b(F.pad(x, (1, 0)))[:, :, 1:]], 1)
    x = F.adaptive_avg_pool1d(F.pad(s.c(x), (1, 0), value=0.5), 2)
    return s.fc(x.flatten(1))


NETS = {
    "keywords": lambda: Net(
        keywords,
        stem=nn.Sequential(nn.Conv1d(2, 6, 9, stride=2, padding=4), nn.BatchNorm1d(6), nn.ReLU()),
        one=separable(6), two=separable(6), fc=nn.Linear(6, 4)),
    "everything": lambda: Net(
        everything, a=nn.Conv1d(2, 5, 3, dilation=2, padding=(2,)), bn=nn.BatchNorm1d(5),
        b=nn.Conv1d(5, 3, 3, padding=1), c=nn.Conv1d(8, 4, 2), fc=nn.Linear(8, 3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETS)
def test_lines(kind):
    torch.manual_seed(4)
    model = lived_in(NETS[kind](), LINES)
    program = load(model, torch.from_numpy(LINES))
    for bits in (3, 8):
        network = check(quantize(program, LINES, Settings(8, bits)), LINES)
    assert network.input.type.shape == (1, 40, 2)
    assert all(n.op.kernel[0] == 1 for n in network if isinstance(n.op, Conv2d))
    close(model, quantize(program, LINES, FINEST), LINES)
