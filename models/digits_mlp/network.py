"""The definition of digits_mlp."""

import torch
from torch import nn


class DigitsMLP(nn.Module):
    """Tell apart the ten digits in grey images of 8x8 pixels.

    Input: float, (N, 1, 8, 8), in [0, 1]; 1 is full ink. Output: logits, (N, 10), for 0 to 9.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(64, 32)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 8, 8) pixels in [0, 1] -> (N, 10) logits."""
        return self.fc2(self.relu1(self.fc1(self.flatten(x))))
