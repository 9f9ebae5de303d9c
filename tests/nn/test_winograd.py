"""The torch twin of convolutions in Winograd's domain: it trains, and is read as it computes."""

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.errors import UserError
from hwgen.frontend import read
from hwgen.network import WinogradConv2d as Integers
from hwgen.nn.quantize import fake_quantize
from hwgen.nn.winograd import WinogradConv2d, domain_weights, winograd_conv2d

STEP = 0.037


class Net(nn.Module):
    """One layer between two grids."""

    def __init__(self, conv, out_step=0.2):
        super().__init__()
        self.conv = conv
        self.register_buffer("step", torch.tensor(conv.input_scale, dtype=torch.float64))
        self.register_buffer("zero", torch.tensor(3))
        self.register_buffer("out_step", torch.tensor(out_step, dtype=torch.float64))
        self.register_buffer("out_zero", torch.tensor(0))

    def forward(self, x):
        x = fake_quantize(x, self.step, self.zero, 0, 31, -1)
        x = torch.relu(self.conv(x))
        return fake_quantize(x, self.out_step, self.out_zero, 0, 255, -1)


def made(tile, bits=0, seed=0, **options):
    torch.manual_seed(seed)
    conv = nn.Conv2d(3, 4, 3, padding=1)
    layer = WinogradConv2d.from_conv(conv, tile, STEP, transform_bits=bits, **options)
    if bits:
        layer.fit(-3, 28)
    return conv, layer


def exported(net, x):
    shape = ({0: torch.export.Dim.AUTO},)
    return torch.export.export(net.eval(), (x,), dynamic_shapes=shape)


@pytest.mark.parametrize("tile", [2, 4])
def test_it_stands_for_the_convolution(tile):
    """In float, with unrounded weights, it is that convolution."""
    torch.manual_seed(1)
    conv = nn.Conv2d(3, 4, 3, padding=(1, 1)).double()
    x = STEP * torch.randint(-3, 28, (2, 3, 7, 6)).double()
    weights = domain_weights(conv.weight, tile)
    y = winograd_conv2d(x, weights, conv.bias, STEP, [0] * len(weights), tile, (1,) * 4, 0)
    torch.testing.assert_close(y, conv(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bits", [0, 6])
@pytest.mark.parametrize("tile", [2, 4])
def test_the_network_computes_the_same(tile, bits):
    _, layer = made(tile, bits)
    x = torch.from_numpy(np.random.default_rng(2).normal(0.5, 0.6, (5, 3, 7, 6)))
    network = read(exported(Net(layer), x.float()))
    node = network["conv"]
    assert isinstance(node.op, Integers)
    assert (node.op.tile, node.op.transform_bits) == (tile, bits)
    assert bool(node.op.shifts.any()) == bool(bits)
    given = np.rint(x.float().double().numpy() / STEP).clip(-3, 28).astype(int) + 3
    trace = network.trace(np.moveaxis(given, 1, -1))
    with torch.no_grad():
        on_grid = torch.from_numpy((given - 3) * STEP)
        sums = layer.double()(on_grid).numpy()
        found = Net(layer).double()(x.float().double()).numpy()
    exact = np.moveaxis(trace["conv"], -1, 1) * np.array(node.type.scale).reshape(-1, 1, 1)
    np.testing.assert_allclose(sums, exact, rtol=1e-9, atol=1e-9)
    out = np.moveaxis(trace[network.outputs[0]], -1, 1)
    assert np.abs(found / 0.2 - out).max() <= 1


@pytest.mark.parametrize("bits", [0, 6])
def test_it_trains(bits):
    """Gradients reach weights, bias and input; training from noise finds the convolution."""
    conv, layer = made(2, bits)
    with torch.no_grad():
        layer.weight.add_(0.1 * torch.randn_like(layer.weight))
    layer.settle()
    x = STEP * torch.randint(-3, 28, (64, 3, 8, 8)).float()
    optimiser = torch.optim.Adam(layer.parameters(), 3e-3)
    wanted = conv(x).detach()
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (layer(x) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
    assert layer.bias.grad.abs().sum() > 0
    entry = x[:1].clone().requires_grad_()
    layer(entry).square().sum().backward()
    assert entry.grad.abs().sum() > 0


def test_gradients_are_those_of_the_formula():
    torch.manual_seed(4)
    given = [torch.randn(1, 2, 5, 4), torch.randn(16, 2, 2), torch.randn(2)]
    given = [one.double().requires_grad_() for one in given]
    # A tiny step: rounding the input, which gradients pass, changes nothing to speak of.
    given[0].data = torch.round(given[0].data * 8) / 8
    options = 2**-30, [0] * 16, 2, (1, 1, 1, 1), 0
    assert torch.autograd.gradcheck(
        lambda u, b: winograd_conv2d(given[0], u, b, *options), given[1:]
    )


def test_mistakes_name_the_layer():
    x = torch.rand(2, 3, 7, 6)
    _, layer = made(2)
    with torch.no_grad():
        layer.weight[5] *= 3
    with pytest.raises(
        UserError, match=r"conv: \d+ weights exceed the 8 bits of their taps \(1, 1\)"
    ):
        read(exported(Net(layer), x))
    _, layer = made(2)
    layer.scale[3] *= 1.5
    with pytest.raises(UserError, match="conv: the scales of its taps are not powers of two"):
        read(exported(Net(layer), x))
    _, layer = made(4)
    net = Net(layer)
    layer.input_scale = 0.5
    with pytest.raises(UserError, match=r"conv: is made for inputs in steps of 0\.5, not 0\.037"):
        read(exported(net, x))
    for wrong in (nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=2)):
        with pytest.raises(ValueError, match="is no 3 x 3 convolution of stride 1"):
            WinogradConv2d.from_conv(wrong, 2, STEP)
