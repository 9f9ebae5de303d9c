"""What PT2E can make and hwgen cannot build; and grids that are hard to keep within one step."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from quantised import (
    Bits,
    PerChannelMinMaxObserver,
    QuantizationAnnotation,
    prepare_pt2e,
    quantised,
)
from torch import nn

from hwgen import flow
from hwgen.compress import compare, quantize
from hwgen.errors import UserError
from hwgen.frontend import adopt, load, read
from hwgen.model import find

torch.manual_seed(0)
IMAGES = torch.rand(20, 2, 6, 6)


def refusal(model, quantizer=None) -> str:
    module = quantised(model.eval(), IMAGES, quantizer or Bits())
    with pytest.raises(UserError) as error:
        read(module)
    return str(error.value)


class Branches(nn.Module):
    """A branch that its Quantizer may leave in float."""

    def __init__(self, last=None):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1)
        self.last = last or nn.Identity()

    def forward(self, x):
        x = self.a(x)
        return self.last(x + self.b(x))


class Forgetful(Bits):
    """Leaves alone what is in its list of names."""

    def _annotate(self, node):
        if node.name not in ("add", "conv2d_1"):
            super()._annotate(node)


class AlongInputs(Bits):
    """A scale for each input channel of the weights."""

    def _weight(self, bits):
        spec = super()._weight(bits)
        observer = PerChannelMinMaxObserver.with_args(ch_axis=1)
        return replace(spec, observer_or_fake_quant_ctr=observer, ch_axis=1)


@pytest.mark.parametrize("channels", [2, 3])
def test_scales_of_input_channels(channels):
    assert refusal(nn.Conv2d(2, channels, 1), AlongInputs()) == (
        "conv2d: its weight has a scale for each place of axis 1; "
        "use one for each output channel: ch_axis=0"
    )


def test_outputs_by_name():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 2, 1)

        def forward(self, x):
            y, z = self.a(x).chunk(3, 1)[:2]
            return {"boxes": y + z, "scores": self.b(x)}

    assert read(quantised(Heads().eval(), IMAGES, Bits())).output_names == ("boxes", "scores")


def test_lines_without_data():
    class Lines(Bits):
        def _annotate(self, node):
            if node.target == torch.ops.aten.conv1d.default:
                reads = {node.args[0]: self._activation(8), node.args[1]: self._weight(8)}
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    reads, self._activation(8), _annotated=True
                )

    lines = torch.rand(20, 2, 16)
    module = quantised(nn.Conv1d(2, 4, 3).eval(), lines, Lines())
    assert flow.integers(find(module)).distance <= 1


def test_an_output_in_float_under_a_steep_slope():
    model = nn.Sequential(nn.Conv2d(2, 3, 6), nn.PReLU(init=3.0))
    with torch.no_grad():
        model[0].weight.copy_(-model[0].weight.abs())
        model[0].bias.fill_(0)
    network = read(quantised(model.eval(), IMAGES, Bits(only_layers=True)))
    last = network.output.op
    kind = network[network.output.inputs[0]].type
    assert kind.lo * int(last.negative.max()) / 2.0**last.shift > -(2**15)


def test_a_number_that_is_padded_before_it_is_rounded():
    layers = [nn.Conv2d(2, 3, 1), nn.ReLU(), nn.ConstantPad2d(1, 0.3), nn.Conv2d(3, 2, 3)]
    assert largest(nn.Sequential(*layers), Bits(only_layers=True)) <= 1


PARTLY = "annotate it in the Quantizer, or its inputs where they are read"


def test_what_is_not_quantised():
    assert refusal(Branches(), Forgetful()) == f"b: its weight is not quantised; {PARTLY}"


def test_what_has_no_hardware_is_named_with_the_rest():
    text = refusal(Branches(nn.Sequential(nn.GELU(), nn.Softmax(1))))
    assert text == (
        "last.0: aten.gelu is not supported; use ReLU, ReLU6, LeakyReLU or Hardtanh\n"
        "last.1: aten.softmax is not supported; leave it out: the largest output is the same"
    )


class Plus(nn.Module):
    def forward(self, x):
        return x + 1.5


def test_constants_in_float():
    text = refusal(nn.Sequential(nn.Conv2d(2, 4, 1), Plus(), nn.Conv2d(4, 2, 1)))
    assert text == (
        "1.add: computes add with a constant in float; "
        "put it into the weights or the bias of the layer before"
    )


def edited(change) -> str:
    module = quantised(Branches().eval(), IMAGES, Bits())
    for node in module.graph.nodes:
        if "quantized_decomposed" in str(node.target):
            change(node)
    module.recompile()
    with pytest.raises(UserError) as error:
        read(module)
    return str(error.value)


def test_sums_too_coarse_for_their_bias():
    def fine(node):
        source = node.args[0]
        made = source.args[0] if "dequantize_per_tensor" in str(node.target) else source
        if made.name == "conv2d_1":
            node.args = (source, 1e-8, *node.args[2:])

    text = edited(fine)
    assert text.startswith("b: one step of its sums is up to ")
    assert text.endswith(
        " steps of its output, too coarse for its bias; "
        "use fewer bits for its output, or more for its weights or its input"
    )


def test_integers_that_do_not_come_from_floats():
    def other_grid(node):
        if "dequantize_per_tensor" in str(node.target):
            node.args = (node.args[0], 0.5, *node.args[2:])

    assert edited(other_grid).splitlines()[0] == (
        "input: is dequantised on another grid than it was quantised on; "
        "use convert_pt2e with use_reference_representation=False"
    )


def test_grids_without_zero_or_of_too_many_bits():
    def outside(node):
        if "quantize_per_tensor" in str(node.target):
            node.args = (*node.args[:2], 300, -(2**17), 2**17 - 1, torch.int32)

    assert "input: its activations have 18 bits; use at most 16" in edited(outside)

    def beyond(node):
        if "quantize_per_tensor" in str(node.target):
            node.args = (*node.args[:2], 9, -8, 7, torch.int8)

    assert edited(beyond).splitlines()[0] == (
        "input: its zero point 9 lies outside of -8 to 7; use a range that holds zero"
    )


def test_scales_that_are_no_numbers():
    def nothing(node):
        if "quantize_per_tensor" in str(node.target):
            node.args = (node.args[0], 0.0, *node.args[2:])

    assert "has a scale that is not a positive number; quantise it again" in edited(nothing)


def test_it_is_converted_first():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Branches().eval(), (IMAGES,)).module()
        prepared = prepare_pt2e(program, Bits())
    with pytest.raises(UserError) as error:
        quantize(prepared, IMAGES)
    assert str(error.value) == "PT2E has prepared the network only; call convert_pt2e"


def test_it_is_not_quantised_again():
    with pytest.raises(UserError) as error:
        quantize(quantised(Branches().eval(), IMAGES, Bits()), IMAGES)
    assert str(error.value) == (
        "the network is already quantised; build it as it is, or give the float network"
    )


def largest(model, quantizer) -> int:
    module = quantised(model.eval(), IMAGES, quantizer)
    network, images = read(module), np.concatenate([IMAGES.numpy(), 3 * IMAGES.numpy()])
    return max(d.largest for d in compare(adopt(load(module)), network, images).values())


@pytest.mark.parametrize("tiny", [0.0, 1e-7, 1e-5, 1e-3])
def test_channels_of_tiny_weights_keep_their_bias(tiny):
    model = Branches(nn.Sequential(nn.Flatten(), nn.Linear(144, 4)))
    with torch.no_grad():
        model.b.weight[1:3] *= tiny
        model.b.bias[:] = torch.tensor([0.1, 0.9, -0.7, 0.2])
        model.last[1].weight[2] *= tiny
    assert largest(model, Bits()) <= 1


@pytest.mark.parametrize("weights", [2, 3])
def test_sums_coarser_than_what_they_are_rounded_to(weights):
    """Two bits of weights for outputs of twelve: a bias lies between two steps of the sums."""
    model = Branches()
    special = {"a": (weights, 12), "b": (weights, 12)}
    assert largest(model, Bits(8, 4, signed=False, special=special)) <= 1


def test_a_quantizer_of_torchaos_own():
    """It leaves what is pooled, and the output, in float."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2)]
    layers += [nn.ReLU6(), nn.Flatten(), nn.Linear(6, 5)]
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    model = nn.Sequential(*layers)
    assert largest(model, quantizer) <= 1
    output = read(quantised(model, IMAGES, quantizer)).output
    assert (output.name, output.type.bits) == ("7.requantise", 16)


def test_activations_behind_pools_of_what_is_rounded_already():
    layers = [nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.Hardtanh(-0.2, 0.3), nn.Flatten()]
    assert largest(nn.Sequential(*layers, nn.Linear(16, 5)), Bits(only_layers=True)) <= 1


def test_what_is_padded_or_flattened_before_it_is_rounded():
    layers = [nn.ZeroPad2d(1), nn.Conv2d(2, 4, 3), nn.ReLU(), nn.ZeroPad2d((1, 0, 0, 1))]
    assert largest(nn.Sequential(*layers, nn.Conv2d(4, 2, 3)), Bits(only_layers=True)) <= 1
    layers = [nn.Flatten(), nn.Linear(72, 8), nn.ReLU(), nn.Linear(8, 3)]
    assert largest(nn.Sequential(*layers), Bits()) <= 1
