"""Quantised networks: what becomes of each layer, and integers against floats, layer by layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import models
from hwgen.compress import Settings, compare, quantize
from hwgen.frontend import accuracy, load, quantise_input, read
from hwgen.frontend.ratios import multipliers
from hwgen.network import Conv2d, Linear, Network, Requantise


def pictures(count: int, channels: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Smooth random images in [0, 1], float32 (N, C, H, W)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((count, channels, 4, 4), dtype=np.float32))
    return nn.functional.interpolate(coarse, size, mode="bilinear").numpy()


def lived_in(model: nn.Module, images: np.ndarray) -> nn.Module:
    """The model in eval mode, its batch norms with statistics and gains of their own."""
    torch.manual_seed(0)
    model.train()
    for _ in range(20):
        model(torch.from_numpy(images))
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return model.eval()


def cnn(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, (3, 2), stride=(1, 2), padding=(1, 0)),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(6 * 5 * 3, 7),
        nn.BatchNorm1d(7),
    )


IMAGES = pictures(60, 2, (10, 12))
CNN = lived_in(cnn(), IMAGES)
PROGRAM = load(CNN, torch.from_numpy(IMAGES))  # exported once: that takes the longest


def check(program, network: Network, images: np.ndarray) -> None:
    """Contract: fed the integer network's own input, each layer differs by at most one LSB."""
    differences = compare(program, network, images)
    assert max(difference.largest for difference in differences.values()) <= 1
    for name, difference in differences.items():
        limit = 0 if network[name].op.kind in ("input", "max_pool2d") else 0.05
        assert difference.share <= limit, (name, difference)


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_width_of_weights_and_activations(bits):
    program = quantize(PROGRAM, IMAGES, Settings(bits, 17 - bits))
    network = read(program)
    check(program, network, IMAGES)
    assert [n.op.weight_bits for n in network if isinstance(n.op, Conv2d | Linear)] == [bits] * 3
    roundings = [n.op for n in network if isinstance(n.op, Requantise)]
    assert [op.bits for op in roundings] == [17 - bits, 17 - bits, 16]
    assert network.input.type.bits == 17 - bits
    assert not any(node.type.signed for node in network if node.op.kind == "requantise")


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_every_calibration(calibration, bits):
    program = quantize(PROGRAM, IMAGES, Settings(bits, bits, calibration=calibration))
    check(program, read(program), IMAGES)


def test_integers_are_close_to_the_float_network():
    network = read(quantize(PROGRAM, IMAGES, Settings(16, 16, calibration="minmax")))
    outputs = network.compute(quantise_input(network, IMAGES))
    kind = network.output.type
    with torch.no_grad():
        expected = CNN(torch.from_numpy(IMAGES)).numpy()
    real = (outputs - kind.zero_point) * kind.scale
    np.testing.assert_allclose(real, expected, atol=2e-3 * np.ptp(expected))


def test_names_order_and_absorbed_relus():
    network = read(quantize(PROGRAM, IMAGES))
    assert [node.name for node in network] == [
        "input", "0", "0.requantise", "3", "4", "4.requantise", "8", "8.requantise",
    ]  # fmt: skip
    assert network["0.requantise"].op.zero_point == 0 == network["4.requantise"].op.lo
    assert network["8.requantise"].op.zero_point > 0
    assert network["8"].op.weights.shape == (7, 5, 3, 6)
    assert network["4"].op.padding == (1, 1, 0, 0) and network["4"].op.stride == (1, 2)
    assert dict(network.notes) == {
        "input": f"real = {network.input.type.scale!r} * (integer - 0)",
        "weight bits": "0 8, 4 8, 8 8",
        "activation bits": "input 8, 0 8, 4 8, 8 16",
        "calibration": "mse, 60 frames",
    }


def test_bits_layer_by_layer():
    weights, activations = {"4": 3, "default": 6}, {"input": 5, "0": 2, "8": 9}
    network = read(quantize(PROGRAM, IMAGES, Settings(weights, activations)))
    assert [n.op.weight_bits for n in network if hasattr(n.op, "weight_bits")] == [6, 3, 6]
    roundings = [n.op.bits for n in network if isinstance(n.op, Requantise)]
    assert (network.input.type.bits, *roundings) == (5, 2, 8, 9)


def test_one_bit_weights_are_bipolar_and_two_bits_ternary():
    for bits, values in ((1, {-1, 1}), (2, {-1, 0, 1})):
        network = read(quantize(PROGRAM, IMAGES, Settings(bits)))
        assert set(np.unique(network["4"].op.weights)) == values


class Oddities(nn.Module):
    """Functional calls, shared pools and ReLUs, a pool before the ReLU, negative inputs."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 4, padding="same")
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2, padding=1)
        self.block = nn.ModuleDict({"conv": nn.Conv2d(4, 4, 3, padding="valid")})
        self.fc1, self.fc2 = nn.Linear(4 * 3 * 3, 8), nn.Linear(8, 3, bias=False)

    def forward(self, x):
        x = self.relu(self.pool(self.conv1(x)))
        x = self.pool(torch.relu(self.block["conv"](x)).contiguous())
        x = x.reshape(x.shape[0], -1).relu_()
        return self.fc2(nn.functional.dropout(self.fc1(x.float()), training=self.training))


@pytest.mark.parametrize("bits", [2, 8, 16])
def test_oddities(bits):
    torch.manual_seed(0)
    images = pictures(40, 2, (10, 12)) - 0.4
    model = Oddities().train()
    program = quantize(model, images, Settings(bits, bits))
    assert model.training and model.pool.training
    network = read(program)
    assert [node.name for node in network] == [
        "input", "conv1", "conv1.requantise", "pool", "block.conv", "block.conv.requantise",
        "pool.2", "fc1", "fc1.requantise", "fc2", "fc2.requantise",
    ]  # fmt: skip
    assert network.input.type.zero_point > 0
    assert network["conv1"].op.padding == (1, 2, 1, 2)
    check(program, network, images)
    if bits == 16:
        kind = network.output.type
        real = (network.compute(quantise_input(network, images)) - kind.zero_point) * kind.scale
        with torch.no_grad():
            expected = model.eval()(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(real, expected, atol=2e-3 * np.ptp(expected))


def test_vectors_in_and_maps_out():
    torch.manual_seed(0)
    vectors = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    model = nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 2))
    program = quantize(model, vectors)
    network = read(program)
    assert network.input.type.shape == (9,)
    check(program, network, vectors)

    program = quantize(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), IMAGES)
    network = read(program)
    assert network.output.type.shape == (8, 10, 3)
    check(program, network, IMAGES)


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_channels_that_are_all_but_switched_off(bits):
    """Weights near or at zero beside a large bias, as training leaves them, widen no sums."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))
    plain = read(quantize(model, IMAGES, Settings(bits, bits)))
    with torch.no_grad():
        model[0].weight[0] *= 1e-12
        model[0].weight[1] = 0
        model[0].bias[:2] = torch.tensor([0.7, -0.3])
    program = quantize(model, IMAGES, Settings(bits, bits))
    network = read(program)
    check(program, network, IMAGES)
    if bits > 1:
        assert network["0"].type.bits <= plain["0"].type.bits + 4


@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_very_small_and_very_large_numbers(gain):
    images = IMAGES * np.float32(gain)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))
    with torch.no_grad():
        model[0].bias *= gain
        model[2].bias *= gain
    program = quantize(model, images)
    check(program, read(program), images)


def test_a_layer_that_is_always_zero():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))
    with torch.no_grad():
        model[0].weight.fill_(-1)
        model[0].bias.fill_(-1)
    program = quantize(model, IMAGES)
    network = read(program)
    check(program, network, IMAGES)
    assert not network.trace(quantise_input(network, IMAGES))["0.requantise"].any()


def test_quantising_changes_nothing_that_was_given():
    program = PROGRAM
    before = {name: tensor.clone() for name, tensor in CNN.state_dict().items()}
    first = read(quantize(program, IMAGES))
    assert read(quantize(program, IMAGES)) == first == read(quantize(CNN, IMAGES))
    assert all(torch.equal(tensor, before[name]) for name, tensor in CNN.state_dict().items())


def test_a_quantised_network_can_be_trained_further():
    torch.manual_seed(0)
    program = quantize(PROGRAM, IMAGES, Settings(3, 3))
    images = torch.from_numpy(IMAGES[:20])
    wanted = CNN(images).detach()
    optimiser = torch.optim.Adam(program.parameters(), 2e-3)

    def loss():
        return (program(images) - wanted).square().mean()

    before = loss().item()
    for _ in range(15):
        optimiser.zero_grad()
        step = loss()
        step.backward()
        optimiser.step()
    assert step.item() < before
    check(program, read(program), IMAGES)


def test_compare_sees_what_differs():
    program = quantize(PROGRAM, IMAGES)
    network = read(program)
    nodes = list(network.nodes)
    wrong = replace(nodes[2].op, multiplier=nodes[2].op.multiplier * 9 // 10)
    nodes[2] = replace(nodes[2], op=wrong)
    differences = compare(program, replace(network, nodes=tuple(nodes)), IMAGES)
    assert differences["0.requantise"].largest > 10
    assert differences["0.requantise"].share > 0.1
    # What follows is fed the same wrong integers, and so agrees again.
    assert differences["3"].largest == 0 and differences["4.requantise"].largest <= 1


@pytest.mark.parametrize(("bits", "points"), [(8, 1.0), (4, 4.0)])
def test_the_shipped_network_stays_accurate(bits, points):
    """On 500 images one is 0.2 points, so the bounds are wider than those of all 10,000."""
    shipped = models.load("fashion_cnn")
    images, labels = shipped.test_images[:500], shipped.test_labels[:500]
    program = quantize(shipped.module, shipped.calibration[:200], Settings(bits, bits))
    network = read(program)
    check(program, network, images[:50])
    with torch.no_grad():
        scores = shipped.module(torch.from_numpy(images)).numpy()
    in_floats = 100 * float((scores.argmax(1) == labels).mean())
    assert accuracy(network, images, labels) > in_floats - points


def test_accuracy_counts_the_largest_output():
    network = read(quantize(PROGRAM, IMAGES))
    labels = network.compute(quantise_input(network, IMAGES)).argmax(1)
    assert accuracy(network, IMAGES, labels) == 100.0
    labels[:15] += 1
    assert accuracy(network, IMAGES, labels) == 75.0
    with pytest.raises(ValueError, match=r"^60 images with 3 labels: need one for each$"):
        accuracy(network, IMAGES, labels[:3])


@pytest.mark.parametrize(
    ("ratios", "m", "shift"),
    [
        ([1.0, 1.0], [1, 1], 0),
        ([0.25, 0.25], [1, 1], 2),
        ([2.0**-40] * 2, [1, 1], 40),
        ([0.5, 0.125], [4, 1], 3),
        ([3.0, 65535.0], [3, 65535], 0),
        ([0.7, 0.1], [45875, 6554], 16),
        ([65535.4 / 65536, 0.5], [65535, 32768], 16),
        ([65535.6 / 65536, 0.5], [2, 1], 1),
        ([0.0, 0.0], [0, 0], 0),
    ],
)
def test_multipliers(ratios, m, shift):
    found, by = multipliers(np.array(ratios))
    assert (found.tolist(), by) == (m, shift)


@pytest.mark.parametrize("ratio", [65536.0, -1.0, np.nan, np.inf])
def test_ratios_without_a_multiplier_are_refused(ratio):
    with pytest.raises(ValueError, match=f"^a ratio of {ratio} has no 16-bit multiplier$"):
        multipliers(np.array([ratio]))
