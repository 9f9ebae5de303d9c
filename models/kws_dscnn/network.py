"""The definition of kws_dscnn."""

import torch
from torch import nn


class Block(nn.Module):
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution across channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu1(self.bn1(self.depthwise(x)))
        return self.relu2(self.bn2(self.pointwise(x)))


class KwsDSCNN(nn.Module):
    """Classify a 28x28 grey image into ten classes, with the layers of MLPerf Tiny's DS-CNN.

    Input: float, (N, 1, 28, 28), pixel / 255, so in [0, 1]. Output: logits, (N, 10), in the order
    of `fashion_cnn`'s classes.

    Zhang et al. 2017, arXiv:1711.07128; Banbury et al. 2021, arXiv:2106.07597. There, 49 frames of
    10 coefficients of sound come in and 12 words go out. Kernels, strides, channels and blocks are
    the same; the maps are 14x14 here and 25x5 there, and padding is symmetric.
    """

    def __init__(self, channels: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, (10, 4), 2, padding=(4, 1), bias=False)  # 28 -> 14
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.block1 = Block(channels)
        self.block2 = Block(channels)
        self.block3 = Block(channels)
        self.block4 = Block(channels)
        self.pool = nn.AvgPool2d(14)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 28, 28) pixels in [0, 1] -> (N, 10) logits."""
        x = self.relu(self.bn(self.conv(x)))
        x = self.block4(self.block3(self.block2(self.block1(x))))
        return self.fc(self.dropout(self.flatten(self.pool(x))))
