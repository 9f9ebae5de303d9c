"""The definition of cifar_vgg."""

import torch
from torch import nn

from ..cifar_resnet8.network import CLASSES

__all__ = ["CLASSES", "CifarVGG"]


def stage(channels: int, features: int) -> nn.Sequential:
    """A 3x3 convolution, a batch norm and a ReLU: (N, C, H, W) to (N, K, H, W)."""
    return nn.Sequential(
        nn.Conv2d(channels, features, 3, padding=1, bias=False),
        nn.BatchNorm2d(features),
        nn.ReLU(),
    )


class CifarVGG(nn.Module):
    """Classify a 32x32 colour image into ten classes by 3x3 convolutions of stride 1 alone.

    Input: float, (N, 3, 32, 32), pixel / 255, so in [0, 1]; red, green, blue. Output: logits,
    (N, 10), in the order of `CLASSES`.

    Simonyan and Zisserman 2014, arXiv:1409.1556, with batch norms, and far narrower.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = stage(3, 32)
        self.pool1 = nn.MaxPool2d(2)  # 32 -> 16
        self.stage2 = stage(32, 64)
        self.stage3 = stage(64, 64)
        self.pool2 = nn.MaxPool2d(2)  # 16 -> 8
        self.stage4 = stage(64, 128)
        self.stage5 = stage(128, 128)
        self.pool3 = nn.MaxPool2d(2)  # 8 -> 4
        self.stage6 = stage(128, 256)
        self.pool4 = nn.AvgPool2d(4)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 32, 32) pixels in [0, 1] -> (N, 10) logits."""
        x = self.pool1(self.stage1(x))
        x = self.pool2(self.stage3(self.stage2(x)))
        x = self.pool3(self.stage5(self.stage4(x)))
        return self.fc(self.flatten(self.pool4(self.stage6(x))))
