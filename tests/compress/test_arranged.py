"""Concatenation, parts, upsampling and padding: networks that compute what torch does."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.compress import Settings, quantize
from hwgen.errors import UserError
from hwgen.frontend import load, read
from hwgen.network import Concat, MaxPool2d, Pad2d, Requantise, Slice, Upsample2d

sys.path.insert(0, str(Path(__file__).parent))
from branching import FINEST, IMAGES, Net, check, close


def conv(a: int, b: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(a, b, size, padding=size // 2)


def fire(s, x):
    """A module of SqueezeNet, whose ReLU comes after the concatenation."""
    x = torch.relu(s.squeeze(x))
    return s.last(torch.relu(torch.cat([s.one(x), s.three(x)], 1)))


def dense(s, x):
    """DenseNet: all that came before beside what is new; the first is the input itself."""
    found = [x]
    for layer in (s.a, s.b, s.c):
        found.append(F.relu(layer(torch.cat(found, 1))))
    return s.last(torch.cat(found, dim=-3))


def u_net(s, x):
    """Down and up again, beside what went straight."""
    high = F.relu(s.a(x))
    low = F.relu(s.b(F.max_pool2d(high, 2)))
    up = F.interpolate(low, scale_factor=2)
    return s.last(torch.cat([up, high], 1))


def halves(s, x):
    a, b = s.a(x).chunk(2, 1)
    c, d, e = torch.split(F.relu(s.b(x)), [1, 4, 2], 1)
    return s.last(torch.cat([d, F.relu(a) + b, c], 1)) + e.narrow(1, 0, 2)


def crops(s, x):
    x = F.relu(s.a(x))
    y = F.relu(s.valid(x))
    return s.last(y + x[:, :, 1:-1, 1:13])


def heads(s, x):
    return torch.cat([s.a(x), s.b(x)], 1)


def flat(s, x):
    x = F.relu(s.a(x))
    y = torch.cat([x.flatten(1), s.b(x).flatten(1)], 1)
    z = F.relu(s.fc(y))
    return s.fc2(torch.cat([z[:, 2:], s.fc3(z)], 1))


def through_add(s, x):
    """A concatenation in an addition, and the sum beside its own operand."""
    x = F.relu(s.a(x))
    y = torch.cat([x, s.b(x)], 1)
    y = y + s.c(y)
    return s.last(torch.cat([y, x], 1))


def padded(s, x):
    x = F.relu(s.a(F.pad(x, (1, 2, 0, 1), value=0.4)))
    x = s.b(F.pad(x, (1, 0, 2, 1)))
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 0)), 2)
    y = F.max_pool2d(F.pad(x, (1, 1, 0, 1), value=float("-inf")), 2)
    return F.pad(F.avg_pool2d(F.pad(y, (1, 1, 0, 0)), 2, 1), (0, 1, 0, 0), value=-0.25)


def every(s, x):
    """Some rows and columns of several, as in PixelUnshuffle by hand, and a line of them."""
    x = F.relu(s.a(x))
    parts = [x[:, :, ::2, ::2], x[:, :, 1::2, ::2], x[:, 1:, ::2, 1::2]]
    return s.last(torch.cat(parts, 1))[:, :, ::5]


def alone(s, x):
    """Activations of what is no sum: the input, a concatenation, a part, a map made larger."""
    x = F.leaky_relu(x, 0.25)
    y = torch.cat([x, s.a(x)], 1).clamp(-0.1, 0.2)
    z = F.relu6(s.b(y)[:, :2]) + F.interpolate(s.c(F.max_pool2d(y, 2)), scale_factor=2).relu()
    return F.pad(z, (1, 0, 0, 0)).relu()


NETS = {
    "fire": lambda: Net(
        fire, squeeze=conv(2, 3), one=conv(3, 4, 1), three=conv(3, 5), last=conv(9, 3)),
    "dense": lambda: Net(dense, a=conv(2, 3), b=conv(5, 4), c=conv(9, 2, 1), last=conv(11, 3, 1)),
    "u net": lambda: Net(u_net, a=conv(2, 4), b=conv(4, 6), last=conv(10, 3)),
    "halves": lambda: Net(halves, a=conv(2, 6), b=conv(2, 7), last=conv(8, 2)),
    "crops": lambda: Net(crops, a=conv(2, 4), valid=nn.Conv2d(4, 4, 3), last=conv(4, 2)),
    "heads": lambda: Net(heads, a=conv(2, 3), b=conv(2, 2)),
    "flat": lambda: Net(flat, a=nn.Conv2d(2, 2, 5, 3), b=conv(2, 3), fc=nn.Linear(60, 6),
                        fc2=nn.Linear(9, 3), fc3=nn.Linear(6, 5)),
    "through add": lambda: Net(
        through_add, a=conv(2, 3), b=conv(3, 2), c=conv(5, 5), last=conv(8, 3)),
    "every": lambda: Net(every, a=conv(2, 3), last=conv(8, 3)),
    "padded": lambda: Net(padded, a=conv(2, 3), b=conv(3, 2)),
    "alone": lambda: Net(alone, a=conv(2, 3), b=conv(5, 4), c=conv(5, 2)),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETS)
def test_networks_that_rearrange(kind):
    torch.manual_seed(2)
    model = NETS[kind]()
    program = load(model, torch.from_numpy(IMAGES))
    for bits in (2, 8):
        check(quantize(program, IMAGES, Settings(8, bits)))
    close(model, quantize(program, IMAGES, FINEST))


def test_concatenated_tensors_share_a_grid():
    torch.manual_seed(0)
    network = check(quantize(NETS["dense"](), IMAGES))
    grids = {(n.type.scale, n.type.zero_point, n.type.bits)
             for n in network if n.name == "input" or n.name[2:] == "requantise"}  # fmt: skip
    assert len(grids) == 1
    cats = [node for node in network if isinstance(node.op, Concat)]
    assert [node.name for node in cats] == ["cat_1", "cat_2", "cat_3"]
    assert all(node.op.is_plain for node in cats)
    assert cats[2].inputs == ("input", "a.requantise", "b.requantise", "c.requantise")
    heads = check(quantize(NETS["heads"](), IMAGES))
    assert heads.output.op.is_plain and heads.output.type.bits == 16


def test_an_activation_behind_a_concatenation_is_done_before_it():
    torch.manual_seed(0)
    network = check(quantize(NETS["fire"](), IMAGES))
    rounded = [node.name for node in network if isinstance(node.op, Requantise)]
    assert rounded == [f"{name}.requantise" for name in ("squeeze", "one", "three", "last")]
    (cat,) = (node for node in network if isinstance(node.op, Concat))
    assert cat.op.is_plain and not cat.type.signed
    assert all(network[f"{name}.requantise"].op.lo == 0 for name in ("one", "three"))


def test_tensors_of_other_bits_are_aligned_exactly():
    torch.manual_seed(0)
    activations = {"a": 4, "b": 7, "default": 8}
    network = check(quantize(NETS["dense"](), IMAGES, Settings(8, activations)))
    assert network["cat_3"].op.shifts == (0, 4, 1, 0)
    assert network["cat_3"].type.bits == 8 and not network["cat_3"].type.signed
    assert network["a.requantise"].type.bits == 4


def test_what_windows_pad_themselves_is_no_engine():
    torch.manual_seed(0)
    network = check(quantize(NETS["padded"](), IMAGES))
    pads = {node.name: node.op.padding for node in network if isinstance(node.op, Pad2d)}
    assert pads == {"pad": (0, 1, 1, 2), "pad_2": (1, 0, 1, 1), "pad_5": (0, 0, 0, 1)}
    assert network["b"].op.padding == (3, 2, 2, 1)
    pools = [node.op.padding for node in network if isinstance(node.op, MaxPool2d)]
    assert pools == [(0, 0, 0, 0), (0, 1, 1, 1)]
    for name, value in (("pad", 0.4), ("pad_2", 0.0), ("pad_5", -0.25)):
        kind, op = network[name].type, network[name].op
        assert abs((op.value - kind.zero_point) * kind.scale - value) <= kind.scale / 2 + 1e-9


def test_parts_and_repeats_by_their_ops():
    torch.manual_seed(0)
    network = check(quantize(NETS["halves"](), IMAGES))
    assert [(n.name, n.op.start[2], n.op.stop[2]) for n in network if isinstance(n.op, Slice)] == [
        ("chunk_0", 0, 3), ("chunk_1", 3, 6), ("split_with_sizes_0", 0, 1),
        ("split_with_sizes_1", 1, 5), ("split_with_sizes_2", 5, 7), ("narrow_1", 0, 2),
    ]  # fmt: skip
    network = check(quantize(NETS["u net"](), IMAGES))
    (up,) = (node.op for node in network if isinstance(node.op, Upsample2d))
    assert up.factor == (2, 2)


def test_a_number_that_is_not_on_the_grid_is_refused():
    model = Net(lambda s, x: s.a(F.pad(x, (1, 1, 1, 1), value=0.3)), a=conv(2, 2))
    program = quantize(model, IMAGES)
    (pad,) = (node for node in program.graph.nodes if "pad" in node.name and node.op != "get_attr")
    for value in (0.3, 99.0):
        pad.update_arg(3, value)
        with pytest.raises(UserError, match=f"^pad: pads with {value:g}, which its tensor cannot "):
            read(program)


class Written(nn.Module):
    """Roundings that were put into the program by hand, one of them after a concatenation."""

    def __init__(self, **grids):
        super().__init__()
        for name, (scale, zero) in grids.items():
            self.register_buffer(f"{name}_scale", torch.tensor(scale, dtype=torch.float64))
            self.register_buffer(f"{name}_zero", torch.tensor(zero))

    def grid(self, x, name):
        scale, zero = getattr(self, f"{name}_scale"), getattr(self, f"{name}_zero")
        return torch.ops.hwgen.fake_quantize(x, scale, zero, 0, 255, -1)

    def forward(self, x):
        x = self.grid(x, "input")
        pools = F.max_pool2d(x, 2), self.grid(F.avg_pool2d(x, 2), "mean")
        return self.grid(F.leaky_relu(torch.cat(pools, 1), 0.3), "cat")


def test_tensors_of_any_scales_are_rounded_together():
    model = Written(input=(0.004, 75), mean=(0.0031, 90), cat=(0.0047, 60))
    program = load(model, torch.from_numpy(IMAGES))
    network = check(program)
    op = network["cat.requantise"].op
    assert isinstance(op, Requantise) and len(set(op.multiplier.tolist())) == 2
    assert network["cat"].inputs == ("max_pool2d", "avg_pool2d.requantise")
    close(model, program, within=0.02)
