"""Batch norm and constants anywhere: into the weights around them, or a layer of their own."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.compress import Settings, quantize
from hwgen.frontend import load
from hwgen.network import Conv2d, Linear

sys.path.insert(0, str(Path(__file__).parent))
from branching import FINEST, IMAGES, Net, check, close, lived_in


def conv(a: int, b: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, padding=1)


def before_activation(s, x):
    """A block of the second ResNet: its batch norms come before its convolutions."""
    x = s.a(x)
    x = x + s.c(F.relu(s.bn2(s.b(F.relu(s.bn1(x))))))
    return s.fc(F.relu(s.bn3(x)).mean((2, 3)))


def dense(s, x):
    x = F.relu(s.a(x))
    y = torch.cat([x, s.b(F.relu(s.bn1(x)))], 1)
    return F.max_pool2d(s.bn3(s.c(F.relu(s.bn2(y)))), 2)


def vectors(s, x):
    """Batch norms of vectors: one goes into the layer before it, one into both after it."""
    x = F.relu(s.bn1(s.fc1(x.flatten(1))))
    y = F.dropout(s.bn2(x), training=False)
    return s.fc2(y) + s.fc3(y)


def shared(s, x):
    """Sums that a batch norm and others read."""
    x = s.a(x)
    return s.b(F.relu(s.bn1(x))) + x


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, 0.2]).reshape(1, 2, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.5, 0.25]).reshape(2, 1, 1))
        self.bn, self.b = nn.BatchNorm2d(2), conv(2, 3)

    def forward(self, x):
        return self.b(F.relu(self.bn((x - self.mean) / self.deviation * 2 + 0.25)))


class Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = conv(2, 3), conv(3, 2)
        self.gain = nn.Parameter(torch.rand(3, 1, 1))
        self.register_buffer("shift", torch.rand(1, 3, 1, 1))

    def forward(self, x):
        x = -(1 - F.relu(2 * self.a(x)) * self.gain) / 3
        return torch.sub(self.b(torch.add(self.shift, x, alpha=0.5)), 0.5, alpha=3)


class Bare(nn.Module):
    """Parameters of the network itself, one of them read twice and in other shapes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(2, 3), conv(3, 2)
        self.w, self.v = nn.Parameter(torch.rand(3) + 0.5), nn.Parameter(torch.rand(3))
        self.register_buffer("mean", torch.rand(3))
        self.register_buffer("variance", torch.rand(3) + 0.5)

    def forward(self, x):
        x = F.relu(self.a(x))
        x = F.batch_norm(x, self.mean, self.variance, self.w, self.v)
        x = F.relu(x * self.w.view(1, -1, 1, 1)) * self.v[:, None, None]
        return self.b(F.relu(x) * torch.tensor([0.5, 1.0, 2.0]).view(1, 3, 1, 1))


def vector(s, x):
    """What normalises a vector, before Linear layers."""
    x = (x.flatten(1) - 0.5) * 2.0 / s.deviation
    return s.fc(x) + s.fc2(x)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)


NETS = {
    "before activation": lambda: Net(
        before_activation, a=conv(2, 4), b=conv(4, 6), c=conv(6, 4), fc=nn.Linear(4, 3),
        bn1=norm(4), bn2=norm(6), bn3=norm(4)),
    "dense": lambda: Net(dense, a=conv(2, 3), b=conv(3, 4), c=conv(7, 2),
                         bn1=norm(3), bn2=norm(7), bn3=norm(2)),
    "normalised": Normalised,
    "constants": Constants,
    "vectors": lambda: Net(
        vectors, fc1=nn.Linear(336, 5), fc2=nn.Linear(5, 3), fc3=nn.Linear(5, 3, bias=False),
        bn1=nn.BatchNorm1d(5), bn2=nn.BatchNorm1d(5, affine=False)),
    "bare": Bare,
    "vector": lambda: Net(vector, fc=nn.Linear(336, 3), fc2=nn.Linear(336, 3),
                          deviation=nn.Parameter(torch.rand(336) + 0.5)),
    "shared": lambda: Net(shared, a=conv(2, 3), b=conv(3, 3), bn1=norm(3)),
}  # fmt: skip

#: The layers that have weights afterwards.
LAYERS = {
    "before activation": ["a", "bn1", "b", "c", "bn3", "fc"],
    "dense": ["a", "bn1", "b", "bn2", "c"],
    "normalised": ["sub", "b"],
    "constants": ["a", "mul_1", "b"],
    "vectors": ["fc1", "fc2", "fc3"],
    "bare": ["a", "w", "mul_1", "mul_2", "b"],
    "vector": ["fc", "fc2"],
    "shared": ["a", "bn1", "b"],
}


@pytest.mark.parametrize("kind", NETS)
def test_affine_calls_become_weights(kind):
    torch.manual_seed(2)
    model = lived_in(NETS[kind](), IMAGES)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d) and part.affine:
            nn.init.uniform_(part.weight, -0.5, 1.5)
    program = load(model, torch.from_numpy(IMAGES))
    network = check(quantize(program, IMAGES, Settings(6, 8)))
    assert [n.name for n in network if isinstance(n.op, Conv2d | Linear)] == LAYERS[kind]
    close(model, quantize(program, IMAGES, FINEST))


def test_bits_of_a_batch_norm_of_its_own():
    torch.manual_seed(2)
    model = lived_in(NETS["shared"](), IMAGES)
    settings = Settings({"bn1": 2, "default": 8}, {"bn1": 5, "default": 8})
    network = check(quantize(model, IMAGES, settings))
    assert network["bn1"].op.groups == 3 and network["bn1"].op.weight_bits == 2
    assert network["bn1.requantise"].type.bits == 5
