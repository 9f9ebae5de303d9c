"""The definition of mnist_snn."""

import torch
from torch import nn

from hwgen.nn.spiking import Leaky, rate_code

STEPS = 10

#: Other sizes: one that is right more often, and one for an iCE40 UltraPlus.
SIZES = {"large": {"hidden": 160, "steps": 8}, "small": {"hidden": 32, "bits": 4}}


class MnistSNN(nn.Module):
    """Tell apart the ten handwritten digits in grey images of 28x28 pixels, by spikes.

    Input: float, (N, 1, 28, 28), in [0, 1]; 1 is full ink, and spikes in almost every step. Output:
    the largest membrane that each of ten neurons ever has, (N, 10), for 0 to 9; they never reset.
    Pixels have `bits` bits.
    """

    def __init__(self, hidden: int = 128, steps: int = STEPS, bits: int = 8) -> None:
        super().__init__()
        self.steps, self.bits = steps, bits
        self.fc1 = nn.Linear(784, hidden)
        self.lif1 = Leaky(beta=0.9375)
        self.fc2 = nn.Linear(hidden, 10)
        self.lif2 = Leaky(beta=0.9375, reset_mechanism="none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 28, 28) pixels in [0, 1] -> (N, 10) membranes."""
        train = rate_code(x.flatten(1), self.steps, self.bits)
        mem1 = mem2 = None
        membranes = []
        for t in range(self.steps):
            spikes, mem1 = self.lif1(self.fc1(train[t]), mem1)
            _, mem2 = self.lif2(self.fc2(spikes), mem2)
            membranes.append(mem2)
        return torch.stack(membranes).amax(0)
