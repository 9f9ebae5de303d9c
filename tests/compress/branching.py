"""Networks that branch, and what every quantised network must hold."""

import numpy as np
import torch
from torch import nn

from hwgen.compress import Settings, compare
from hwgen.frontend import quantise_input, read
from hwgen.network import Concat, MaxPool2d, Network, Pad2d, Requantise, Slice, Upsample2d


def pictures(count: int, channels: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Smooth random images in [-0.3, 0.7], float32 (N, C, H, W)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((count, channels, 4, 4), dtype=np.float32) - 0.3)
    return nn.functional.interpolate(coarse, size, mode="bilinear").numpy()


def lived_in(model: nn.Module, images: np.ndarray) -> nn.Module:
    """The model in eval mode, its batch norms with statistics and gains of their own."""
    torch.manual_seed(1)
    model.train()
    for _ in range(10):
        model(torch.from_numpy(images))
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return model.eval()


class Basic(nn.Module):
    """The basic block of ResNet, written as torchvision writes it."""

    def __init__(self, inside: int, outside: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """A stem, blocks of the given (channels, stride), an average and a classifier."""

    def __init__(self, blocks, classes: int = 5):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [4, *(width for width, _ in blocks)]
        self.layer1 = nn.Sequential(
            *(Basic(a, *block) for a, block in zip(widths, blocks, strict=False))
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer1(x)), 1))


class Net(nn.Module):
    """Layers by name, and a forward that is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def separable(a: int, b: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(a, a, 3, stride, 1, groups=a, bias=False),
        nn.BatchNorm2d(a),
        nn.ReLU6(inplace=True),
        nn.Conv2d(a, b, 1, bias=False),
        nn.BatchNorm2d(b),
        nn.ReLU6(inplace=True),
    )


def mobile() -> nn.Module:
    """Depthwise separable, with an inverted residual that has no activation at its end."""

    def forward(s, x):
        x = s.first(x)
        x = x + s.expand(x)
        return s.fc(s.second(x).mean((2, 3)))

    return Net(
        forward,
        first=separable(2, 4, 2),
        expand=nn.Sequential(separable(4, 6), nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4)),
        second=separable(4, 7),
        fc=nn.Linear(7, 3),
    )


#: Ops that compute nothing.
ARRANGES = (Concat, Pad2d, Slice, Upsample2d)

IMAGES = pictures(40, 2, (12, 14))


def check(program, images: np.ndarray = IMAGES) -> Network:
    """Contract: fed the integer network's own input, each layer differs by at most one LSB."""
    network = read(program)
    differences = compare(program, network, images)
    rounded = [n.name for n in network if isinstance(n.op, Requantise | MaxPool2d)]
    assert [name for name in differences if not isinstance(network[name].op, ARRANGES)] == [
        "input", *rounded,
    ]  # fmt: skip
    for name, difference in differences.items():
        exact = not isinstance(network[name].op, Requantise)
        assert difference.largest <= (0 if exact else 1), (name, difference)
        # Halves are rounded up by integers, and to even by floats: shifts make many of them.
        limit = 0 if exact else 0.3 if network[name].op.is_shift else 0.05
        assert difference.share <= limit, (name, difference)
    return network


def close(model: nn.Module, program, images: np.ndarray = IMAGES, within: float = 2e-3) -> None:
    """The integers stand for what the float network computes."""
    network = read(program)
    kind = network.output.type
    real = (network.compute(quantise_input(network, images)) - kind.zero_point) * kind.scale
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(images)).numpy()
    if real.ndim == 4:
        real = real.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(
        real.reshape(expected.shape), expected, atol=within * np.ptp(expected)
    )


FINEST = Settings(16, 16, calibration="minmax")
