"""The definition of fashion_vgg."""

import torch
from torch import nn

from ..cifar_vgg.network import stage
from ..fashion_cnn.network import CLASSES

__all__ = ["CLASSES", "FashionVGG"]


class FashionVGG(nn.Module):
    """Classify a 28x28 grey image of a piece of clothing by 3x3 convolutions of stride 1 alone.

    Input: float, (N, 1, 28, 28), pixel / 255, so in [0, 1]. Output: logits, (N, 10), in the order
    of `CLASSES`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = stage(1, 16)
        self.stage2 = stage(16, 32)
        self.pool1 = nn.MaxPool2d(2)  # 28 -> 14
        self.stage3 = stage(32, 64)
        self.stage4 = stage(64, 64)
        self.pool2 = nn.MaxPool2d(2)  # 14 -> 7
        self.stage5 = stage(64, 128)
        self.pool3 = nn.AvgPool2d(7)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 28, 28) pixels in [0, 1] -> (N, 10) logits."""
        x = self.pool1(self.stage2(self.stage1(x)))
        x = self.pool2(self.stage4(self.stage3(x)))
        return self.fc(self.flatten(self.pool3(self.stage5(x))))
