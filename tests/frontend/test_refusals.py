"""Every unsupported network, by the full text that names what is wrong with it."""

import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.compress import Settings, compare, decisions, quantize
from hwgen.compress.decisions import BATCH
from hwgen.errors import UserError
from hwgen.frontend import load, load_calibration, load_labels, read
from hwgen.frontend.images import frames_of

RNG = np.random.default_rng(0)
IMAGES = RNG.random((4, 2, 8, 8), dtype=np.float32)


def refusal(model, images=IMAGES, settings=None) -> str:
    with pytest.raises(UserError) as error:
        quantize(model, images, settings)
    return str(error.value)


class Net(nn.Module):
    """Layers by name, and a forward that is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def conv(**options) -> nn.Conv2d:
    return nn.Conv2d(2, 4, 3, **options)


def after(*layers) -> nn.Module:
    """A convolution and then ``layers``, called 1, 2 and so on."""
    return nn.Sequential(conv(), *layers)


def two_shapes(s, x):
    y = s.a(x)
    z = y.flatten(1)
    y.relu_()
    return s.b(z)


NETWORKS = {
    "conv: pads in mode 'reflect'; pad with zeros, or another number":
        lambda: Net(lambda s, x: s.conv(x), conv=conv(padding_mode="reflect", padding=1)),
    "pad: pads with inf; pad with zeros, or another number":
        lambda: Net(lambda s, x: s.conv(s.pad(x)), conv=conv(),
                    pad=nn.ConstantPad2d(1, float("inf"))),
    "pad: pads what conv reads with -inf; put it straight before MaxPool2d":
        lambda: Net(lambda s, x: s.conv(s.pad(x)), conv=conv(),
                    pad=nn.ConstantPad2d(1, float("-inf"))),
    "pad: pads by (-1, 0, 0, 0); pad rows and columns alone, and crop by slices":
        lambda: Net(lambda s, x: s.conv(F.pad(x, (-1, 0, 0, 0))), conv=conv()),
    "pad: pads by (0, 0, 0, 0, 1, 0); pad rows and columns alone, and crop by slices":
        lambda: Net(lambda s, x: s.conv(F.pad(x, (0, 0, 0, 0, 1, 0))), conv=nn.Conv2d(3, 4, 3)),
    "1: ceil_mode=True is not supported; use ceil_mode=False, with padding if need be":
        lambda: after(nn.MaxPool2d(2, ceil_mode=True)),
    "1: dilation 2 is not supported; use dilation=1": lambda: after(nn.MaxPool2d(2, dilation=2)),
    "pool: aten.max_pool2d_with_indices is not supported; use return_indices=False":
        lambda: Net(
            lambda s, x: s.pool(s.conv(x))[0],
            conv=conv(), pool=nn.MaxPool2d(2, return_indices=True),
        ),
    "avg: ceil_mode=True is not supported; use ceil_mode=False, with padding if need be\n"
    "avg: count_include_pad=False is not supported; use count_include_pad=True, or padding=0":
        lambda: Net(
            lambda s, x: s.avg(s.conv(x)), conv=conv(),
            avg=nn.AvgPool2d(2, padding=1, ceil_mode=True, count_include_pad=False),
        ),
    "1: divides by -3; use a divisor above zero":
        lambda: after(nn.AvgPool2d(2, divisor_override=-3)),
    "1: makes (4, 1) of (6, 6), by windows of several sizes; use AdaptiveAvgPool2d(1), or sizes "
    "that divide those of the map": lambda: after(nn.AdaptiveAvgPool2d((4, 1))),
    "1: aten.adaptive_max_pool2d is not supported; use MaxPool2d with a fixed kernel":
        lambda: after(nn.AdaptiveMaxPool2d(1)),
    "mean: averages over everything; average over rows and columns: x.mean((2, 3))":
        lambda: Net(lambda s, x: s.conv(x).mean(), conv=conv()),
    "mean: averages over the axes (1,); average over rows and columns: x.mean((2, 3))":
        lambda: Net(lambda s, x: s.conv(x).mean(1, keepdim=True), conv=conv()),
    "mean: turns torch.float32 into torch.float64; keep to float32":
        lambda: Net(lambda s, x: s.conv(x).mean((2, 3), dtype=torch.float64), conv=conv()),
    "1: aten.gelu is not supported; use ReLU, ReLU6, LeakyReLU or Hardtanh":
        lambda: after(nn.GELU()),
    "clamp: its limits are tensors; use numbers":
        lambda: Net(lambda s, x: (y := s.conv(x)).clamp(y), conv=conv()),
    "clamp: clips to [2, 1]; give the smaller limit first":
        lambda: Net(lambda s, x: s.conv(x).clamp(2, 1), conv=conv()),
    "1: aten.softmax is not supported; leave it out: the largest output is the same":
        lambda: after(nn.Softmax(1)),
    "2: follows 1, is applied to vectors, and so has no weights to go into; put it straight after "
    "a layer that only it reads, or straight before Linear layers":
        lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(128), nn.ReLU(),
                              nn.Linear(128, 2)),
    "mul: is a mul of two tensors; tensors can only be added":
        lambda: Net(lambda s, x: (y := s.a(x)) * y, a=conv()),
    "mul: computes with a constant that is not one number a channel; use a number, or one a "
    "channel, and multiply rather than divide":
        lambda: Net(lambda s, x: s.a(x) * s.b.bias, a=conv(), b=nn.Linear(1, 6)),
    "1: has no running mean and variance; use track_running_stats=True":
        lambda: after(nn.BatchNorm2d(4, track_running_stats=False)),
    "1: is applied to the last axis of (?, 4, 6, 6); flatten first: torch.flatten(x, 1)":
        lambda: after(nn.Linear(6, 3)),
    "view: turns (?, 4, 6, 6) into (?, 16, 9); only a vector for each frame is supported: "
    "torch.flatten(x, 1)":
        lambda: Net(lambda s, x: s.conv(x).view(-1, 16, 9), conv=conv()),
    "shuffle: aten.channel_shuffle is not supported; let a Conv2d(C, C, 1) move channels, or order "
    "the next weights anew":
        lambda: Net(lambda s, x: s.shuffle(s.conv(x)), conv=conv(), shuffle=nn.ChannelShuffle(2)),
    "view: turns (?, 4, 6, 6) into (?, 72); only a vector for each frame is supported: "
    "torch.flatten(x, 1)":
        lambda: Net(lambda s, x: s.conv(x).view(-1, 72), conv=conv()),
    "relu_: changes in place what b reads in another shape or part; use the form that is not in "
    "place":
        lambda: Net(two_shapes, a=conv(), b=nn.Linear(144, 2)),
    "conv: is called 2 times; give each call a layer of its own":
        lambda: Net(lambda s, x: s.conv(s.conv(x)), conv=nn.Conv2d(2, 2, 3)),
    "input: this name stands for the network's input; rename the layer":
        lambda: Net(lambda s, x: s.input(x), input=conv()),
    "default: this name stands for the bits of every other layer; rename the layer":
        lambda: Net(lambda s, x: s.default(s.conv(x)), conv=conv(), default=nn.AvgPool2d(2)),
    "the network returns None; it must return tensors":
        lambda: Net(lambda s, x: (s.a(x), None), a=conv()),
    "the network returns what it is given; it must hold layers": nn.Identity,
    "add: multiplies by alpha=2; put the factor into a layer's weights":
        lambda: Net(lambda s, x: torch.add(y := s.a(x), y, alpha=2), a=conv()),
    "add: adds (?, 4, 1, 1) to (?, 4, 6, 6); add tensors of equal shape":
        lambda: Net(lambda s, x: (y := s.a(x)) + y.mean((2, 3), keepdim=True), a=conv()),
    "cat: joins (?, 4, 6, 6) along axis 2; join channels: torch.cat(tensors, 1)\n"
    "up: aten.upsample_bilinear2d is not supported; use mode='nearest', with whole factors":
        lambda: Net(lambda s, x: s.up(torch.cat([y := s.a(x), y], 2)), a=conv(),
                    up=nn.Upsample(scale_factor=2, mode="bilinear")),
    "1: makes (?, 4, 9, 9) of (?, 4, 6, 6); use whole factors":
        lambda: after(nn.Upsample(scale_factor=1.5)),
    "slice_2: takes one of 2 along axis 1; take all that lie in a row":
        lambda: Net(lambda s, x: s.a(x)[:, ::2], a=conv()),
    "slice_1: takes 0 to 1 along axis 0 of (?, 4, 6, 6); take a fixed part of rows, columns or "
    "channels: x[:, 0:4]": lambda: Net(lambda s, x: s.a(x)[:1], a=conv()),
    "select: aten.select is not supported; take parts by slices: x[:, 0:4]":
        lambda: Net(lambda s, x: s.line(x.select(1, 0)), line=nn.Conv1d(8, 4, 3)),
    "to: turns torch.float32 into torch.float64; keep to float32\n"
    "conv: its weight is torch.float64; call model.float()\n"
    "conv: its bias is torch.float64; call model.float()":
        lambda: Net(lambda s, x: s.conv(x.double()), conv=conv().double()),
    "linear: its weight is computed, not stored; use a plain parameter":
        lambda: Net(lambda s, x: F.linear(x.flatten(1), F.relu(s.w.weight)), w=nn.Linear(128, 3)),
    "pad: pads a vector (?, 128); pad maps or lines, before they are flattened":
        lambda: Net(lambda s, x: s.w(F.pad(x.flatten(1), (1, 1))), w=nn.Linear(130, 3)),
    "sub: computes with a constant that is not one number a channel; "
    "use a number, or one a channel, and multiply rather than divide":
        lambda: Net(lambda s, x: s.w(x[:, :1] - s.shift), w=nn.Conv2d(3, 3, 1),
                    shift=nn.Parameter(torch.rand(1, 3, 1, 1))),
}  # fmt: skip


@pytest.mark.parametrize("text", NETWORKS)
def test_unsupported_networks_are_refused(text):
    torch.manual_seed(0)
    assert refusal(NETWORKS[text]()) == text


def test_everything_wrong_is_named_at_once():
    model = nn.Sequential(
        conv(padding=1, padding_mode="circular"),
        nn.Sigmoid(),
        nn.Conv2d(4, 4, 1),
        nn.AvgPool2d(2, ceil_mode=True),
    )
    settings = Settings(weights={"9": 4, "3": 8}, activations={"1": 4, "3": 8, "input": 2})
    assert refusal(model, settings=settings) == (
        "0: pads in mode 'circular'; pad with zeros, or another number\n"
        "1: aten.sigmoid is not supported; use ReLU, ReLU6, LeakyReLU or Hardtanh\n"
        "3: ceil_mode=True is not supported; use ceil_mode=False, with padding if need be\n"
        "bits of weights are given for '9', which is no layer with weights; nearest are 0, 2\n"
        "bits of weights are given for '3', which is no layer with weights; nearest are 0, 2\n"
        "bits of activations are given for '1', which is no layer with weights, average or "
        "addition; nearest are 0, 2, 3, input"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(value):
    model = nn.Sequential(conv())
    with torch.no_grad():
        model[0].weight[0, 0, 0, :2] = value
    assert refusal(model) == (
        "0: 2 of 72 numbers in its weight are NaN or infinite; train it again"
    )


WANTED = "give float32 (N, C, H, W), (N, C, L) or (N, F), as the network takes them"


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (IMAGES[0, 0, 0], f"the inputs are float32 of shape (8,); {WANTED}"),
        (IMAGES[:0], f"the inputs are float32 of shape (0, 2, 8, 8); {WANTED}"),
        (IMAGES.astype(np.uint8), f"the inputs are uint8 of shape (4, 2, 8, 8); {WANTED}"),
        (IMAGES * 0, "the inputs are all zero; give real ones"),
        (np.where(IMAGES[1, 0, 0, 0] == IMAGES, np.nan, IMAGES),
         "1 of 4 inputs hold NaN or infinite numbers; leave them out"),
    ],
)  # fmt: skip
def test_bad_calibration_is_refused(images, text):
    assert refusal(nn.Sequential(conv()), images) == text


def test_calibration_of_another_shape_is_refused():
    assert refusal(nn.Sequential(conv()), IMAGES[:, :1]) == (
        "0: takes 2 channels, and is given (N, 1, 8, 8); the channels come first: (N, C, H, W)"
    )
    exported = torch.export.export(nn.Sequential(conv()).eval(), (torch.zeros(2, 2, 8, 8),))
    assert refusal(exported, IMAGES[:, :, :, :7]) == (
        "input: takes frames of shape (2, 8, 8), and was given (2, 8, 7); "
        "give inputs as the network takes them"
    )


def test_control_flow_on_data_is_refused_in_one_line():
    model = Net(lambda s, x: s.conv(x) if x.sum() > 0 else s.conv(-x), conv=conv())
    text = refusal(model)
    assert text == (
        "the model's control flow depends on its data; "
        "decide by sizes and constants, not by values of tensors"
    )


def no_forward() -> nn.Module:
    model = nn.Module()
    model.conv = conv()
    return model


def part(s, x):
    y = s.conv(x)
    y[:, 0] = 0
    return y


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        return torch.jit.script(conv())


def one_weight(s, x):
    return F.conv2d(x, s.w)


MISTAKES = {
    "the model has no forward; define forward(self, x)": no_forward,
    "0: its weight is torch.float64; call model.float()\n"
    "0: its bias is torch.float64; call model.float()": lambda: nn.Sequential(conv()).double(),
    "2: takes 100 features, and is given (N, 144); make it Linear(144, ...), or give other frames":
        lambda: after(nn.Flatten(), nn.Linear(100, 3)),
    "1: takes 5 channels, and is given (N, 4, 6, 6); the channels come first: (N, C, H, W)":
        lambda: after(nn.BatchNorm2d(5)),
    "1: its kernel (7, 7) is larger than its padded map, and is given (N, 4, 6, 6); use a smaller "
    "kernel, more padding, or larger frames": lambda: after(nn.Conv2d(4, 4, 7)),
    "1: fails on (N, 4, 6, 6): RuntimeError: unflatten: Provided sizes [3, 3] don't multiply up to "
    "the size of dim 1 (4) in the input tensor; correct it, or give frames as the network takes "
    "them": lambda: after(nn.Unflatten(1, (3, 3))),
    "fill_: changes in place what the output reads in another shape or part; use the form that is "
    "not in place": lambda: Net(part, conv=conv()),
    "the model is TorchScript; give the module that it was made from": scripted,
    "0: its weight has no shape yet; run the model once\n"
    "0: its bias has no shape yet; run the model once": lambda: nn.Sequential(nn.LazyConv2d(4, 3)),
    "0: is quantised by torch's eager mode; quantise with PT2E (docs/quantised.md), or give the "
    "float network": lambda: nn.Sequential(torch.ao.nn.quantized.ReLU6()),
    "mul: computes operator.mul with sizes; write the sizes of a frame as numbers\n"
    "reshape: turns (?, 4, 6, 6) into (?, 72); only a vector for each frame is supported: "
    "torch.flatten(x, 1)":
        lambda: Net(lambda s, x: s.conv(x).reshape(x.shape[0] * 2, -1), conv=conv()),
    "the network returns no tensor; it must return one": lambda: Net(lambda s, x: None, c=conv()),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_of_the_model_itself(text):
    assert refusal(MISTAKES[text]()) == text


def test_a_lone_activation_is_a_network():
    network = read(quantize(nn.ReLU(), IMAGES))
    assert [node.name for node in network] == ["input", "relu"]


def test_overflow_is_told_by_the_layer():
    model = after(nn.ReLU())
    text = refusal(model, IMAGES * 3e38)
    assert text == (
        "0: its results are NaN or infinite for some of the inputs; "
        "scale the inputs or the weights down"
    )


def test_compiled_modules_and_weights_that_belong_to_no_layer():
    plain = after(nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        compiled = torch.compile(plain)
    quantize(compiled, IMAGES)
    quantize(nn.DataParallel(plain), torch.from_numpy(IMAGES).bfloat16())
    model = Net(one_weight)
    model.w = nn.Parameter(torch.rand(4, 2, 3, 3))
    assert [node.name for node in read(quantize(model, IMAGES))] == ["input", "w", "w.requantise"]


def test_inputs_that_nothing_reads_are_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv()

        def forward(self, x, y):
            return self.conv(x)

    frames = torch.zeros(2, 2, 8, 8), torch.ones(2, 2, 8, 8)
    exported = torch.export.export(Two().eval(), frames)
    with pytest.raises(UserError) as error:
        quantize(exported, {"x": IMAGES, "y": IMAGES})
    assert str(error.value) == "y: nothing reads it; leave it out"


def test_sizes_other_than_the_batch_must_be_fixed():
    height = torch.export.Dim("height", min=4, max=64)
    exported = torch.export.export(
        nn.Sequential(conv()).eval(), (torch.zeros(2, 2, 8, 8),), dynamic_shapes=({2: height},)
    )
    assert refusal(exported) == (
        "input: its shape (2, 2, ?, 8) is not fixed; "
        "let only the batch vary: export with fixed sizes"
    )


def test_programs_exported_in_training_mode_are_refused():
    frames = torch.rand(2, 2, 8, 8)
    model = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Dropout())
    exported = torch.export.export(model.train(), (frames,))
    remedy = "was exported in training mode; call model.eval() before torch.export.export"
    assert refusal(exported) == f"1: {remedy}\n2: {remedy}"
    exported = torch.export.export(nn.Sequential(conv(), nn.Dropout()).train(), (frames,))
    assert refusal(exported) == f"1: {remedy}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": 0}, "weights: 0 bits; use 1 to 16"),
        ({"activations": {"a": 17, "b": 1.5}},
         "activations of a: 17 bits; use 1 to 16\nactivations of b: 1.5 bits; use 1 to 16"),
        ({"output_bits": True}, "output_bits: True bits; use 1 to 16"),
        ({"calibration": "best"},
         "calibration 'best' is unknown; use one of minmax, percentile, mse"),
    ],
)  # fmt: skip
def test_nonsense_settings_are_refused(options, text):
    with pytest.raises(UserError) as error:
        Settings(**options)
    assert str(error.value) == text


def test_a_float_network_is_not_read():
    exported = torch.export.export(
        nn.Sequential(conv(), nn.BatchNorm2d(4)).eval(), (torch.zeros(2, 2, 8, 8),)
    )
    with pytest.raises(UserError) as error:
        read(exported)
    assert str(error.value) == (
        "0: its weight is not quantised; call hwgen.compress.quantize first\n"
        "1: batch norm is not folded into weights; call hwgen.compress.quantize first"
    )


def test_sums_too_wide_to_round_are_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(40000, 2, bias=False))
    images = RNG.random((2, 1, 200, 200), dtype=np.float32)
    with torch.no_grad():
        model[1].weight.fill_(0.5)
    with pytest.raises(UserError) as error:
        read(quantize(model, images, Settings(16, 16)))
    assert str(error.value) == (
        "1: its sums need 47 bits, and hwgen rounds sums of up to 46; "
        "use fewer bits for its weights or its inputs"
    )


def test_a_map_flattened_at_the_end_is_refused():
    with pytest.raises(UserError) as error:
        read(quantize(nn.Sequential(conv(), nn.Flatten()), IMAGES))
    assert str(error.value) == (
        "1: flattens a map of 4 channels, which hwgen streams channels first; "
        "end the network with a Linear layer, or return the map itself"
    )


def test_averages_are_added_to_vectors_and_maps_are_not():
    def forward(s, x):
        x = s.conv(x).mean((2, 3))
        return x + s.fc(x)

    program = quantize(Net(forward, conv=conv(), fc=nn.Linear(4, 4)), IMAGES)
    network = read(program)
    assert max(d.largest for d in compare(program, network, IMAGES).values()) <= 1

    def wide(s, x):
        x = s.conv(x).flatten(1)
        return x + s.fc(x)

    program = quantize(Net(wide, conv=conv(), fc=nn.Linear(144, 144)), IMAGES)
    with pytest.raises(UserError) as error:
        read(program)
    assert str(error.value) == (
        "add: adds (144,) to (6, 6, 4) (rows, columns, channels); "
        "add maps to maps of the same shape, and vectors to vectors"
    )


def test_operands_of_an_addition_must_see_each_other():
    program = quantize(Net(lambda s, x: x + s.a(x), a=nn.Conv2d(2, 2, 1)), IMAGES)
    program.get_submodule("a").activation_scale.fill_(3e-8)
    program.input.activation_scale.fill_(1.0)
    program.a.weight_scale.mul_(0.25)
    program.get_submodule("a").bias_scale.copy_(program.a.weight_scale)
    with pytest.raises(UserError) as error:
        read(program)
    text = str(error.value)
    assert text.startswith("add: one step of one tensor is ")
    assert text.endswith(
        " steps of the other; quantise them with scales whose ratio is at most 2^24"
    )


def test_labels_that_are_no_numbers(tmp_path):
    path = tmp_path / "a.npz"
    for labels, text in (
        (np.array(["cat"] * 4), "labels <U3 (4,)"),
        (np.array(["cat"] * 4, object), "labels that are pickled objects, or damaged"),
    ):
        np.savez(path, images=IMAGES, labels=labels)
        with pytest.raises(UserError, match=re.escape(text)):
            load_labels(path, 4)
    np.savez(path, images=IMAGES)
    assert load_labels(path, 4) is None


def test_an_input_called_images_beside_another(tmp_path):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = conv(), conv()

        def forward(self, images, mask):
            return {"a": {"b_c": self.a(images)}, "a_b": {"c": self.b(mask)}}

    np.savez(tmp_path / "a.npz", images=IMAGES, mask=IMAGES)
    network = read(quantize(Masked(), load_calibration(tmp_path / "a.npz")))
    assert [node.name for node in network.inputs] == ["images", "mask"]
    assert network.output_names == ("a_b_c", "a_b_c_2")


def test_a_program_for_a_fixed_number_of_frames():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(x.view(BATCH, 4))

    program = load(torch.export.export(Fixed().eval(), (torch.rand(BATCH, 4),)))
    frames = RNG.random((BATCH + 50, 4), dtype=np.float32)
    assert decisions(program, read(quantize(program, frames)), frames).images == BATCH + 50


def test_one_table_of_bits_for_weights_and_activations():
    model = Net(lambda s, x: x + s.a(x), a=nn.Conv2d(2, 2, 1))
    table = {"input": 6, "a": 5, "add": 4}
    network = read(quantize(model, IMAGES, Settings(table, table)))
    assert (network["input"].type.bits, network["a"].op.weight_bits) == (6, 5)


def test_calibration_files(tmp_path):
    path = tmp_path / "a.npz"
    for arrays in ({"images": IMAGES, "labels": np.arange(4)}, {"x": IMAGES, "y": np.arange(4)},
                   {"whatever": IMAGES}):  # fmt: skip
        np.savez(path, **arrays)
        (found,) = frames_of(["input"], load_calibration(path)).values()
        np.testing.assert_array_equal(found, IMAGES)
    np.save(tmp_path / "a.npy", IMAGES)
    np.testing.assert_array_equal(load_calibration(tmp_path / "a.npy"), IMAGES)

    def text(file, names=("input",)) -> str:
        with pytest.raises(UserError) as error:
            frames_of(names, load_calibration(file))
        return str(error.value)

    np.savez(path, a=IMAGES, b=IMAGES)
    assert text(path) == (
        "of the arrays a, b none is known to be the input; call the array of inputs 'images'"
    )
    assert text(path, ["a", "left", "right"]) == (
        "left: there is no array of this name among a, b; "
        "save them with numpy.savez(a=..., left=..., right=...)\n"
        "right: there is no array of this name among a, b; "
        "save them with numpy.savez(a=..., left=..., right=...)"
    )
    np.savez(path, a=IMAGES, b=IMAGES[:-1], labels=np.arange(4))
    count = len(IMAGES)
    assert (
        text(path, ["a", "b"]) == f"there are {count} of a, {count - 1} of b; give as many of each"
    )
    np.savez(path, a=IMAGES, b=IMAGES.astype(int), c=IMAGES)
    assert text(path, ["a", "b", "c"]).startswith("b: the inputs are int64 of shape (")
    assert text(path, ["a", "b"]) == (
        "the network takes a, b, but the data also holds c; leave out what is no input"
    )
    np.savez(path, images=IMAGES)
    assert text(path, ["a", "b"]) == (
        "the network takes a, b, and was given one array; save them with numpy.savez(a=..., b=...)"
    )
    pickled = f"{path} is no array file, or holds pickled objects; "
    pickled += "save it with numpy.savez(images=...)"
    np.savez(path, images=np.array([object()], dtype=object))
    assert text(path) == pickled
    for content in (b"", b"nonsense", b"PK\x03\x04 but no zip"):
        path.write_bytes(content)
        assert text(path) == pickled
    gone = tmp_path / "gone.npz"
    assert text(gone) == f"{gone} cannot be read: No such file or directory; check the path"
