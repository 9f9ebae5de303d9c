"""Training on the integers that hardware holds."""

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.compress.spiking_training import SpikingRecipe, fit, refine
from hwgen.frontend import accuracy, quantise_input
from hwgen.frontend.spiking import read_spiking
from hwgen.frontend.spiking_network import to_network
from hwgen.nn.spiking import Leaky, rate_code


class Net(nn.Module):
    def __init__(self, readout):
        super().__init__()
        self.readout = readout
        self.fc1, self.lif1 = nn.Linear(16, 12), Leaky(0.875)
        self.fc2, self.lif2 = nn.Linear(12, 2), Leaky(0.875)

    def forward(self, x):
        train, mem1, mem2, count, membranes = rate_code(x.flatten(1), 8), None, None, 0, []
        for t in range(8):
            spikes, mem1 = self.lif1(self.fc1(train[t]), mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            count = count + spikes
            membranes.append(mem2)
        return torch.stack(membranes).amax(0) if self.readout == "membrane" else count


def bars(count, seed=0):
    """Images of 4x4 with a bright row or a bright column."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 4, 4, 1)).astype(np.uint8)
    labels = rng.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(4)
        image[(place, slice(None)) if label else (slice(None), place)] = 230
    return images, labels


@pytest.mark.parametrize("readout", ["membrane", "count"])
def test_floats_then_codebooks(readout):
    images, labels = bars(600)
    torch.manual_seed(0)
    module, losses = Net(readout), []
    recipe = SpikingRecipe(epochs=6, batch=25, peak_lr=3e-2, max_shift=0)
    fit(module, images, labels, recipe, progress=lambda epoch, loss: losses.append(loss))
    assert losses[-1] < losses[0] / 1.3
    recipe = SpikingRecipe(epochs=2, batch=25, peak_lr=3e-3, max_shift=0)
    model = refine(read_spiking(module), 2, images, labels, recipe)
    network = to_network(model)
    codebooks = [node.op for node in network if node.op.kind == "spiking_linear"]
    assert [op.index_bits for op in codebooks] == [2, 2]
    tests, answers = bars(400, seed=1)
    pixels = tests.transpose(0, 3, 1, 2) / np.float32(255)
    assert accuracy(network, pixels, answers) >= 90
    # What is trained is what is built.
    for layer, (linear, leaky) in zip(
        model.layers, (("fc1", "lif1"), ("fc2", "lif2")), strict=True
    ):
        assert (layer.name, layer.neurons) == (linear, leaky)
        assert len(np.unique(layer.weight)) <= 4
    assert network.compute(quantise_input(network, pixels[:3])).shape == (3, 2)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        SpikingRecipe(epochs=0)
