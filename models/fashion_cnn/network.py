"""The definition of fashion_cnn."""

import torch
from torch import nn

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""What output k stands for, in the order of the data set."""


class FashionCNN(nn.Module):
    """Classify a 28x28 grey image of a piece of clothing into ten classes.

    Input: float, (N, 1, 28, 28), pixel / 255, so in [0, 1]; the first batch norm stands in for a
    normalisation by mean and deviation. Output: logits, (N, 10), in the order of `CLASSES`.

    Every operation is a named layer, because these names are what reports and messages show.
    """

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        # A batch norm follows each convolution: a bias there would be subtracted again.
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # 28 -> 14
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)  # 14 -> 7
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(64)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)  # 7 -> 3: the last row and column are dropped
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(64 * 3 * 3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 28, 28) pixels in [0, 1] -> (N, 10) logits."""
        x = self.pool1(self.relu1(self.bn1(self.conv1(x))))
        x = self.pool2(self.relu2(self.bn2(self.conv2(x))))
        x = self.pool3(self.relu3(self.bn3(self.conv3(x))))
        return self.fc(self.dropout(self.flatten(x)))
