"""Codebooks, constants that hardware holds or is allowed to round, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from hwgen.compress import Settings, distance, spiking_network
from hwgen.compress.spiking import codebook, entry_fraction, quantize_spiking
from hwgen.errors import UserError
from hwgen.frontend.spiking import read_spiking
from hwgen.nn.spiking import Leaky, Steps


def network(beta=0.875, threshold=1.0, **options):
    torch.manual_seed(3)
    hidden = {"init_hidden": True}
    module = nn.Sequential()
    module.add_module("fc1", nn.Linear(20, 16))
    module.add_module("lif1", snntorch.Leaky(beta, threshold=threshold, **hidden))
    module.add_module("fc2", nn.Linear(16, 4))
    module.add_module("lif2", snntorch.Leaky(0.75, **hidden))
    return Steps(module, 6, **{"coding": "rate", **options})


def frames(count=40):
    return np.random.default_rng(1).random((count, 20), np.float32)


@pytest.mark.parametrize("bits", range(1, 9))
def test_codebook(bits):
    weight = np.random.default_rng(bits).laplace(size=(60, 70))
    made = codebook(weight, bits)
    values = np.unique(made)
    assert len(values) <= 1 << bits
    steps = values * 2.0 ** entry_fraction(values, bits)
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() < 1 << (max(8, bits + 4) - 1)
    nearest = np.abs(weight[..., None] - values).min(-1)
    assert np.array_equal(np.abs(weight - made), nearest)
    assert np.array_equal(codebook(made, bits), made)
    # no worse than as many values an equal way apart
    even = np.linspace(weight.min(), weight.max(), 1 << bits)
    uniform = even[np.abs(weight[..., None] - even).argmin(-1)]
    assert ((made - weight) ** 2).mean() <= ((uniform - weight) ** 2).mean()


def test_weights_of_few_values_are_kept():
    weight = np.random.default_rng(0).choice([-0.75, 0.125, 0.5], (9, 9))
    assert np.array_equal(codebook(weight, 4), weight)
    assert np.array_equal(codebook(np.full((3, 3), 0.5), 2), np.full((3, 3), 0.5))
    trained = np.random.default_rng(0).choice([-131, -2, 3, 40], (9, 9)) / 256
    assert np.array_equal(codebook(trained, 4), trained)


def test_biases_keep_their_grid():
    """Coarse weights make no coarse biases: those on a grid stay, others get steps of 8 bits."""
    module = network()
    with torch.no_grad():
        module.module.fc1.weight.sign_()
        module.module.fc1.bias.copy_(torch.arange(16) / 64)
        module.module.fc2.weight.sign_()
    made = quantize_spiking(read_spiking(module), Settings(weights=2), frames())
    first, second = made.layers
    assert np.array_equal(first.bias, np.arange(16) / 64)
    exact = module.module.fc2.bias.detach().numpy()
    assert 0 < np.abs(second.bias - exact).max() <= 2**-7


@pytest.mark.parametrize("coding", ["rate", "direct"])
def test_integers_are_the_torch_twin(coding):
    given = frames()
    made, rounded = spiking_network(network(coding=coding), Settings(weights=3), given)
    assert rounded is None
    assert distance(made, given) == 0
    layers = [node.op for node in made if node.op.kind == "spiking_linear"]
    assert all(op.index_bits <= 3 and op.activity > 0 for op in layers)
    spikes = made.trace((given[:20] * 255).astype(int))[layers and "lif1"]
    if coding == "rate":
        assert abs(layers[1].activity - spikes.sum((2, 3)).mean()) < 3


def test_inexact_constants_are_refused_and_all_named():
    module = network(beta=0.9, threshold=0.7)
    with pytest.raises(UserError) as raised:
        spiking_network(module, Settings(weights=4), frames())
    assert "lif1: beta=0.9 is no multiple of 2^-16" in str(raised.value)
    assert "lif1: threshold=0.7 is no multiple" in str(raised.value)
    assert "lif2" not in str(raised.value)


def test_inexact_constants_are_rounded_if_asked():
    module = network(beta=0.9, threshold=0.7)
    made, rounded = spiking_network(module, Settings(weights=4, approximate=True), frames())
    notes = dict(made.notes)
    assert notes["lif1.beta"].startswith("rounded to 2^-8, by at most 0.00156")
    assert "lif2.beta" not in notes
    op = made["lif1"].op
    assert 1 - op.decay / 2**op.decay_shift == 230 / 256
    assert rounded.module.lif1.beta == 230 / 256 and module.module.lif1.beta == 0.9


def test_bits_and_names_are_checked():
    settings = Settings(weights={"fc1": 9, "fc3": 4, "default": 4})
    with pytest.raises(UserError) as raised:
        spiking_network(network(), settings, frames())
    assert "fc1: 9 bits a synapse; use 1 to 8" in str(raised.value)
    assert "'fc3', which is no layer with weights" in str(raised.value)


def test_membranes_may_clip():
    model = read_spiking(network())
    narrow = tuple(replace(layer, membrane_bits=9) for layer in model.layers)
    settings = Settings(weights=4)
    quantised = quantize_spiking(replace(model, layers=narrow), settings, frames())
    assert [layer.membrane_bits for layer in quantised.layers] == [9, 9]


def test_twin_neurons_are_snntorchs():
    generator = torch.Generator().manual_seed(1)
    for reset in ("subtract", "zero", "none"):
        ours, theirs = Leaky(0.9, 0.8, reset), snntorch.Leaky(0.9, 0.8, reset_mechanism=reset)
        mem, other = None, theirs.reset_mem()
        for _ in range(12):
            current = torch.rand(5, 7, generator=generator)
            (spikes, mem), (expected, other) = ours(current, mem), theirs(current, other)
            assert torch.equal(spikes, expected)
            assert torch.equal(mem, other)
