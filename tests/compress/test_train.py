"""Learned steps: their gradients, what training makes of a network, and that it still reads."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import models
from hwgen.compress import Recipe, Settings, quantize, train
from hwgen.compress.learned import Learned
from hwgen.errors import UserError
from hwgen.frontend import accuracy, load, read
from hwgen.frontend.calls import op_of
from hwgen.network import Add, Requantise
from hwgen.nn import lsq
from hwgen.nn.quantize import binarize, fake_quantize

sys.path.insert(0, str(Path(__file__).parent))
from branching import IMAGES, ResNet, check, lived_in, mobile

LO, HI = -3, 12


def values(shape, seed=0, spread=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * spread


@pytest.mark.parametrize("last", [False, True])
def test_rounding_is_that_of_fake_quantize(last):
    x = values((3, 4, 5, 6), spread=2.0)
    x = x.to(memory_format=torch.channels_last) if last else x
    scale = torch.tensor(0.25)
    zero = torch.tensor(3)
    wanted = fake_quantize(x, scale.double(), zero, LO + 3, HI + 3, -1)
    assert torch.equal(lsq.round_to_steps(x, scale, LO, HI), wanted)
    channels = torch.tensor([0.25, 0.5, 1.0])
    wanted = fake_quantize(x, channels.double(), torch.zeros(3), LO, HI, 0)
    assert torch.equal(lsq.round_to_steps(x.contiguous(), channels, LO, HI), wanted.contiguous())


@pytest.mark.parametrize("scale", [[0.3], [0.2, 0.7, 1.1]])
def test_gradients_by_the_formula(scale):
    """Esser et al., equation 3, written as torch writes it."""
    x, scale = values((3, 50)), torch.tensor(scale)
    upstream = values((3, 50), seed=1)
    x.requires_grad_()
    scale.requires_grad_()
    lsq.round_to_steps(x, scale, LO, HI).backward(upstream)
    v = x.detach() / scale.detach()[:, None]
    inside = (v >= LO) & (v <= HI)
    assert 0 < inside.sum() < x.numel()
    by_step = torch.where(inside, v.round() - v, v.clamp(LO, HI)) * upstream
    wanted = by_step.sum(1) if len(scale) > 1 else by_step.sum().reshape(1)
    torch.testing.assert_close(scale.grad, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(x.grad, upstream * inside)


def test_gradient_of_the_step_points_to_less_error():
    """Against a finite difference, where rounding is no obstacle: all values are clipped."""
    x, scale, small = torch.full((64,), 9.0), torch.tensor([0.5]), 1e-3
    scale.requires_grad_()
    (lsq.round_to_steps(x[None], scale, 0, 3) - x).square().mean().backward()

    def loss(step):
        return float((lsq.round_to_steps(x[None], torch.tensor([step]), 0, 3) - x).square().mean())

    slope = (loss(0.5 + small) - loss(0.5 - small)) / (2 * small)
    assert float(scale.grad) == pytest.approx(slope, rel=1e-3)


def test_a_learned_network_begins_as_it_was():
    program = quantize(MODELS["resnet"], IMAGES, Settings(4, 4))
    x = torch.from_numpy(IMAGES[:8])
    with torch.no_grad():
        near = (Learned(program)(x) - program(x)).abs().max() / program(x).abs().max()
    assert near < 1e-4
    again = Learned(program).settled()
    for name, value in program.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=2e-5, atol=0)


torch.manual_seed(0)
MODELS = {
    "resnet": lived_in(ResNet([(4, 1), (6, 2), (6, 1)]), IMAGES),
    "mobile": lived_in(mobile(), IMAGES),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("bits", [(1, 3), (3, 4), (8, 8)])
def test_what_is_trained_is_read_bit_for_bit(name, bits):
    program = quantize(MODELS[name], IMAGES, Settings(*bits))
    before = {key: value.clone() for key, value in program.state_dict().items()}
    labels = np.arange(len(IMAGES)) % 3
    trained = train(program, IMAGES, labels, Recipe(epochs=2, batch=16, step_lr=0.05))
    network = check(trained)
    assert {n.op.weight_bits for n in network if hasattr(n.op, "weight_bits")} == {
        n.op.weight_bits for n in read(program) if hasattr(n.op, "weight_bits")
    }
    after = trained.state_dict()
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert any(key.endswith("activation_scale") for key in moved)
    assert any(key.endswith("weight_scale") for key in moved)
    # The one that was given is as it was.
    assert all(torch.equal(before[key], program.state_dict()[key]) for key in before)
    assert torch.equal(before["input.activation_scale"], after["input.activation_scale"])


def test_additions_stay_exact():
    program = quantize(MODELS["resnet"], IMAGES, Settings(4, 4))
    learned = Learned(program)
    with torch.no_grad():
        learned.factors[0].copy_(torch.linspace(-0.4, 0.5, len(learned.factors[0])))
    settled = learned.settled()
    old, new = read(program), check(settled)
    factors = [[n.op.factors for n in net if isinstance(n.op, Add)] for net in (old, new)]
    assert factors[0] == factors[1] and factors[0]
    scales = [[n.type.scale for n in net if isinstance(n.op, Requantise)] for net in (old, new)]
    assert not set(scales[0][:-1]) & set(scales[1][:-1])
    assert scales[0][-1] == scales[1][-1], "outputs keep their steps"
    for node in new:  # and the multiples of sums without weights are exact
        if isinstance(node.op, Requantise) and new[node.inputs[0]].op.kind in ("add", "sum_pool2d"):
            multiple = new[node.inputs[0]].type.scale / node.type.scale
            exact = int(node.op.multiplier[0]) / 2.0**node.op.shift
            assert multiple == pytest.approx(exact, rel=1e-12)


def test_training_beats_what_comes_after_training():
    shipped = models.load("digits_mlp")
    from hwgen.models.digits_mlp import data
    from hwgen.models.reference import pixels

    dataset = data.read()
    settings = Settings(2, {"default": 2, "input": 8})
    program = quantize(shipped.module, shipped.calibration, settings)
    seen = []
    trained = train(
        program,
        dataset.train_images.transpose(0, 3, 1, 2),
        dataset.train_labels,
        Recipe(epochs=15, batch=64, peak_lr=2e-3, step_lr=2e-3),
        teacher=shipped.module,
        progress=lambda what, done, of: seen.append((what, done, of)),
    )
    images, labels = pixels(dataset.test_images), dataset.test_labels
    before, after = (accuracy(read(p), images, labels) for p in (program, trained))
    assert after >= before + 2
    assert after >= 96
    assert [done for _, done, _ in seen] == list(range(1, seen[0][2] + 1))
    assert seen[-1][0].startswith("epoch 15/15, loss 0.")


def test_the_seed_decides():
    program = quantize(MODELS["mobile"], IMAGES, Settings(4, 4))
    labels = np.arange(len(IMAGES)) % 3
    one, two, other = (
        train(program, IMAGES, labels, Recipe(epochs=1, batch=16, seed=seed)).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_mistakes():
    program = quantize(MODELS["mobile"], IMAGES)
    with pytest.raises(
        ValueError, match=rf"^{len(IMAGES)} images with 3 labels: need one for each$"
    ):
        train(program, IMAGES, np.zeros(3, int))
    for field, wrong in {"epochs": 0, "batch": 0, "peak_lr": -1, "distil": 2, "warmup": -1}.items():
        with pytest.raises(ValueError, match=f"^{field} must be "):
            Recipe(**{field: wrong})


def test_layers_that_share_an_input_are_tied():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
            self.c, self.relu, self.pool = nn.Conv2d(4, 4, 1), nn.ReLU(), nn.MaxPool2d(2)
            self.d = nn.Conv2d(4, 3, 1)

        def forward(self, x):
            x = self.relu(self.a(x))
            return self.d(self.pool(self.relu(self.b(x) + self.c(x))))

    program = quantize(Net().eval(), IMAGES, Settings(4, 4))
    learned = Learned(program)
    sets = {node.args[1].target: n for node, n in learned._set_of.items()}
    assert sets.pop("input.activation_scale") is None
    assert sets.pop("d.activation_scale") is None
    assert sets["b.activation_scale"] == sets["c.activation_scale"]
    assert len(sets) == 4 and len(set(sets.values())) == 3
    assert all(op_of(node) == "fake_quantize" for node in learned._set_of)


class Woven(nn.Module):
    """Concatenation, padding with a number, slices, LeakyReLU, averages and upsampling."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1)
        self.leaky, self.relu, self.pool = nn.LeakyReLU(0.25), nn.ReLU(), nn.AvgPool2d(2)
        self.c, self.d = nn.Conv2d(7, 4, 3), nn.Conv2d(4, 4, 1)
        self.up, self.flatten, self.fc = nn.Upsample(scale_factor=2), nn.Flatten(), nn.LazyLinear(3)

    def forward(self, x):
        x = torch.cat([self.leaky(self.a(x)), self.relu(self.b(x))], 1)
        x = nn.functional.pad(self.pool(x), (1, 1, 1, 1), value=0.3)
        x = self.relu(self.c(x))
        x = self.up(self.pool(self.d(x) + x))
        return self.fc(self.flatten(x[:, 1:]))


@pytest.mark.parametrize("bits", [(2, 3), (6, 8)])
def test_all_kinds_of_layers_learn(bits):
    torch.manual_seed(0)
    model = Woven()
    model(torch.from_numpy(IMAGES[:2]))
    program = quantize(model.eval(), IMAGES, Settings(*bits))
    labels = np.arange(len(IMAGES)) % 3
    trained = train(program, IMAGES, labels, Recipe(epochs=2, batch=16, step_lr=0.05))
    check(trained)
    before, after = program.state_dict(), trained.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert "d.weight" in moved and "add.activation_scale" in moved


def test_one_input_and_one_output():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1)

        def forward(self, x):
            return self.a(x), self.b(x)

    program = quantize(Two().eval(), IMAGES)
    with pytest.raises(UserError, match="several inputs or outputs cannot be trained"):
        train(program, IMAGES, np.zeros(len(IMAGES), int))


def test_what_was_not_quantised_here_is_refused_by_layer():
    class Signs(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.b(binarize(self.a(x), torch.ones(()), -1))

    program = load(Signs().eval(), torch.from_numpy(IMAGES))
    with pytest.raises(UserError) as caught:
        train(program, IMAGES, np.zeros(len(IMAGES), int))
    text = str(caught.value)
    assert "a: its weight is not quantised; call hwgen.compress.quantize first" in text
    assert "b: its bias is not quantised" in text
    assert "takes the signs of activations, which have no step to learn" in text
