"""Binarised networks, the whole way: trained, read, built, simulated; and what they cannot do."""

import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from hwgen import flow
from hwgen.board import load_board
from hwgen.emit import write_build
from hwgen.errors import UserError
from hwgen.frontend import quantise_input, read
from hwgen.frontend.load import load
from hwgen.network import Threshold
from hwgen.nn.quantize import binarize, fake_quantize
from hwgen.plan import plan
from hwgen.report import record
from hwgen.rtl_templates import ConvSpec
from hwgen.sim import simulate


class Binarised(nn.Module):
    """Weights and activations of one bit; pixels of digits are integers already."""

    def __init__(self, padding=0):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 24, 3, padding=padding)
        self.fc = nn.Linear(24 * (2 + padding) ** 2, 10, bias=False)
        self.register_buffer("one", torch.ones(1, dtype=torch.float64))
        self.register_buffer("none", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        x = fake_quantize(x, self.one, self.none, 0, 16, -1)
        x = self._signs(self._conv(self.conv1, x))
        x = F.max_pool2d(self._signs(self._conv(self.conv2, x)), 2)
        x = F.linear(torch.flatten(x, 1), binarize(self.fc.weight, self.one, -1))
        return fake_quantize(x, self.one, self.none, -512, 511, -1)

    def _signs(self, x):
        """-1 and +1; no gradient where sums are large."""
        return binarize(F.hardtanh(x, -16.0, 16.0), self.one, -1)

    def _conv(self, layer, x):
        weight = binarize(layer.weight, self.one, -1)
        return F.conv2d(x, weight, layer.bias, padding=layer.padding)


@pytest.fixture(scope="module")
def trained():
    """A network after a few seconds of training, and digits that it has not seen."""
    torch.manual_seed(1)
    digits = load_digits()
    images = torch.tensor(digits.images[:, None], dtype=torch.float32)
    labels = torch.tensor(digits.target)
    model = Binarised()
    steps = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        some = torch.randint(1400, (256,))
        loss = F.cross_entropy(model(images[some]) / 16, labels[some])
        steps.zero_grad()
        loss.backward()
        steps.step()
    return model.eval(), images[1400:], labels[1400:]


def test_integers_are_those_of_torch(trained):
    model, images, labels = trained
    network = read(load(model, images[:2]))
    with torch.no_grad():
        wanted = model(images)
    assert (wanted.argmax(1) == labels).double().mean() > 0.6
    found = network.compute(quantise_input(network, images))
    assert np.array_equal(found, wanted.numpy())
    kinds = [type(node.op) for node in network]
    assert kinds.count(Threshold) == 2
    assert [str(node.type) for node in network if node.type.encoding == "bipolar"] == [
        "6x6x16 bipolar1",
        "4x4x24 bipolar1",
        "2x2x24 bipolar1",
    ]


def test_simulated(trained, tmp_path):
    model, images, _ = trained
    network = read(load(model, images[:2]))
    made = plan(network, load_board("ulx3s"), 20_000)
    counted = [
        s.spec for s in made.stages if isinstance(s.spec, ConvSpec) and s.spec.products.counted
    ]
    assert len(counted) == 2
    assert made.area.dsp == 0
    frames = quantise_input(network, images[:20])
    folder = tmp_path / "build"
    write_build(folder, "binarised", network, made, frames, record.fresh("binarised", made, {}))
    found = simulate(folder, frames)
    assert found.bit_exact and found.interval == made.interval


class Wrong(nn.Module):
    """What follows the signs of a convolution."""

    def __init__(self, after):
        super().__init__()
        self.conv, self.next, self.after = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, padding=1), after
        self.register_buffer("one", torch.ones(1, dtype=torch.float64))
        self.register_buffer("none", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        x = fake_quantize(x, self.one, self.none, 0, 15, -1)
        x = F.conv2d(x, binarize(self.conv.weight, self.one, -1), self.conv.bias)
        x = self.after(self, x)
        return fake_quantize(x, self.one, self.none, -512, 511, -1)


def padded(model, x):
    x = binarize(x, model.one, -1)
    return F.conv2d(x, binarize(model.next.weight, model.one, -1), padding=1)


@pytest.mark.parametrize(
    "after, text",
    [
        (padded, "next: pads -1 and +1 with zeros, which one bit cannot hold; use padding=0"),
        (
            lambda model, x: binarize(torch.relu(x), model.one, -1),
            "conv: is clipped to zero and more, so that its sign is always +1; "
            "leave the ReLU out, and keep the sign",
        ),
        (
            lambda model, x: F.avg_pool2d(binarize(x, model.one, -1), 2),
            "avg_pool2d: cannot read the signs that conv leaves; let a Conv2d, Linear or MaxPool2d "
            "layer read them, or quantise to more bits",
        ),
    ],
    ids=["padding", "relu", "average"],
)
def test_what_one_bit_cannot_do(after, text):
    with pytest.raises(UserError) as error:
        read(load(Wrong(after), torch.zeros(2, 1, 6, 6)))
    assert text in str(error.value)


@pytest.mark.parametrize(
    "activation, text",
    [
        (nn.PReLU(init=-0.25), "its slope is -0.25, so that its sign is always +1"),
        (nn.LeakyReLU(0.0), "its slope is 0, so that its sign is always +1"),
        (nn.Hardtanh(-3.0, -1.0), "is clipped to less than zero, so that its sign is always -1"),
    ],
)
def test_activations_that_change_signs(activation, text):
    with pytest.raises(UserError, match=re.escape(text)):
        model = Wrong(lambda model, x: binarize(activation(x), model.one, -1))
        read(load(model, torch.zeros(2, 1, 6, 6)))


def test_torch_sign_is_refused():
    with pytest.raises(UserError, match="sign is not supported"):
        read(load(Wrong(lambda model, x: torch.sign(x)), torch.zeros(2, 1, 6, 6)))


class Usual(nn.Module):
    """Convolution, batch norm and sign, as binarised networks are written; gains of both signs."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5)
        self.fc = nn.Linear(20, 4)
        self.act = nn.PReLU()
        for bn in (self.bn1, self.bn2):
            nn.init.uniform_(bn.weight, -1, 1)
            nn.init.uniform_(bn.bias, -1, 1)
            nn.init.uniform_(bn.running_mean, -8, 8)
            nn.init.uniform_(bn.running_var, 10, 100)
        with torch.no_grad():
            self.conv2.weight[:, 1] = 0  # whose sign is +1, and -1 when it is turned around
        self.register_buffer("one", torch.ones(1, dtype=torch.float64))
        self.register_buffer("none", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("eighth", torch.full((6,), 0.125, dtype=torch.float64))
        self.register_buffer("nones", torch.zeros(6, dtype=torch.int64))

    def forward(self, x):
        x = fake_quantize(x, self.one, self.none, 0, 15, -1)
        weight = fake_quantize(self.conv1.weight, self.eighth, self.nones, -2, 1, 0)
        x = torch.where(F.hardtanh(self.bn1(F.conv2d(x, weight))) >= 0, 1.0, -1.0)
        weight = torch.where(self.conv2.weight >= 0, 1.0, -1.0)
        x = binarize(self.act(self.bn2(F.conv2d(x, weight, self.conv2.bias))), self.one, -1)
        x = F.linear(torch.flatten(x, 1), binarize(self.fc.weight, self.one, -1))
        return fake_quantize(x, self.one, self.none, -32, 31, -1)


class Pooled(Usual):
    """With max-pooling before batch norm, as in BinaryNet (Courbariaux et al. 2016)."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, x):
        x = fake_quantize(x, self.one, self.none, 0, 15, -1)
        weight = fake_quantize(self.conv1.weight, self.eighth, self.nones, -2, 1, 0)
        x = F.max_pool2d(F.conv2d(x, weight), 2, padding=1)
        x = binarize(F.hardtanh(self.bn1(x)), self.one, -1)
        x = F.conv2d(x, binarize(self.conv2.weight, self.one, -1), self.conv2.bias)
        x = binarize(F.max_pool2d(x, 2), self.one, -1)
        x = F.linear(torch.flatten(x, 1), binarize(self.fc.weight, self.one, -1))
        return fake_quantize(x, self.one, self.none, -32, 31, -1)


def test_pooling_between_a_layer_and_its_signs(tmp_path):
    torch.manual_seed(3)
    model, images = Pooled().eval(), torch.randint(0, 16, (200, 1, 8, 8)).float()
    assert model.bn1.weight.min() < 0 < model.bn1.weight.max()
    network = read(load(model, images[:2]))
    names = [node.name for node in network]
    assert names == [
        "input", "conv1", "conv1.sign", "max_pool2d.before", "max_pool2d.before.sign",
        "max_pool2d", "max_pool2d.after", "max_pool2d.after.sign",
        "conv2", "conv2.sign", "max_pool2d_1", "fc", "fc.requantise",
    ]  # fmt: skip
    with torch.no_grad():
        wanted = model(images).numpy()
    assert len(np.unique(wanted)) > 5
    assert np.array_equal(network.compute(quantise_input(network, images)), wanted)
    report = flow.build(model, "ulx3s", tmp_path / "b", images.numpy(), fps=20_000)
    assert report["largest_lsb"] == 0
    found = flow.simulate(tmp_path / "b", 5)
    assert found.bit_exact and found.cycles_exact


def test_batch_norm_before_signs(tmp_path):
    torch.manual_seed(3)
    model, images = Usual().eval(), torch.randint(0, 16, (50, 1, 6, 6)).float()
    assert min(model.bn1.weight.min(), model.bn2.weight.min()) < 0
    network = read(load(model, images[:2]))
    assert [node.op.kind for node in network].count("threshold") == 2
    with torch.no_grad():
        wanted = model(images).numpy()
    assert len(np.unique(wanted)) > 5
    assert np.array_equal(network.compute(quantise_input(network, images)), wanted)
    report = flow.build(model, "ulx3s", tmp_path / "b", images.numpy(), fps=20_000)
    assert report["largest_lsb"] == 0
    found = flow.simulate(tmp_path / "b", 5)
    assert found.bit_exact and found.cycles_exact
