"""The definition of cifar_resnet8."""

import torch
from torch import nn

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
"""What output k stands for, in the order of the data set."""


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: (N, C, H, W) to (N, K, H/stride, W/stride).

    The shortcut is the input itself where the shapes agree, else a 1x1 convolution (He et al. 2015,
    arXiv:1512.03385, option B).
    """

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, features, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(features)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(features)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != features:
            self.shortcut = nn.Conv2d(channels, features, 1, stride, bias=False)
            self.bn3: nn.Module = nn.BatchNorm2d(features)
        else:
            self.bn3 = nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.bn3(self.shortcut(x)))


class CifarResNet8(nn.Module):
    """Classify a 32x32 colour image into ten classes, in the shape of MLPerf Tiny's ResNet-8.

    Input: float, (N, 3, 32, 32), pixel / 255, so in [0, 1]; red, green, blue. Output: logits,
    (N, 10), in the order of `CLASSES`.

    Banbury et al. 2021, arXiv:2106.07597. Two departures: padding is symmetric, and a batch norm
    follows the convolution of a shortcut; both cost nothing in hardware.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.block1 = Block(16, 16, 1)
        self.block2 = Block(16, 32, 2)
        self.block3 = Block(32, 64, 2)
        self.pool = nn.AvgPool2d(8)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 32, 32) pixels in [0, 1] -> (N, 10) logits."""
        x = self.relu(self.bn(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(self.flatten(self.pool(x)))
