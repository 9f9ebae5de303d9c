"""Networks, and a Quantizer of our own, for every kind of grid that PT2E can put tensors on."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from hwgen import models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchao's own, on import
    from torchao.quantization.pt2e import (
        MinMaxObserver,
        PerChannelMinMaxObserver,
        move_exported_model_to_eval,
    )
    from torchao.quantization.pt2e.quantize_pt2e import (
        convert_pt2e,
        prepare_pt2e,
        prepare_qat_pt2e,
    )
    from torchao.quantization.pt2e.quantizer import (
        DerivedQuantizationSpec,
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
        SharedQuantizationSpec,
    )

aten = torch.ops.aten
LAYERS = (aten.conv2d.default, aten.linear.default)
ADDITIONS = (aten.add.Tensor, aten.add_.Tensor)
#: What is rounded together with the layer before it.
FOLLOWERS = (
    aten.batch_norm.default,
    aten.relu.default,
    aten.relu_.default,
    aten.hardtanh.default,
    aten.hardtanh_.default,
)
POOLS = (aten.max_pool2d.default, aten.adaptive_avg_pool2d.default)


class Net(nn.Module):
    """Residual, depthwise, every pool and activation; 1x28x28 or smaller to 10 classes."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(2)
        self.depth = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.act = nn.Hardtanh(0, 4)
        self.point = nn.Conv2d(width, width, 1)
        self.wide = nn.Conv2d(width, 2 * width, 3)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x):
        x = self.pool(self.stem(x))
        x = torch.relu(x + self.point(self.act(self.depth(x))))
        x = self.average(torch.relu(self.wide(x)))
        return self.head(torch.flatten(x, 1))


def train() -> tuple[nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A trained ``Net``, images to calibrate, and images and labels that it has not seen."""
    data = models.load("fashion_cnn")
    images = torch.from_numpy(np.ascontiguousarray(data.test_images))
    labels = torch.from_numpy(data.test_labels.astype(np.int64))
    torch.manual_seed(0)
    model = Net()
    steps = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(3):
        for chosen in torch.randperm(4000).split(100):
            steps.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            steps.step()
    return model.eval(), images[:200], images[8000:9000], labels[8000:9000]


@dataclass
class Bits(Quantizer):
    """One grid for each layer, by what a module is called; shared ones where nothing changes."""

    weights: int = 8
    activations: int = 8
    signed: bool = True
    per_channel: bool = True
    symmetric: bool = True
    integer_bias: bool = False
    only_layers: bool = False
    narrow: bool = False
    special: dict[str, tuple[int, int]] = field(default_factory=dict)

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        for node in model.graph.nodes:
            if node.op == "call_function":
                self._annotate(node)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        pass

    def _annotate(self, node: fx.Node) -> None:
        stack = list((node.meta.get("nn_module_stack") or {"": ("", "")}).values())
        weights, activations = self.special.get(stack[-1][0], (self.weights, self.activations))
        out = self._activation(activations)
        source = node.args[0]
        if node.target in LAYERS:
            weight, bias = node.args[1], node.args[2] if len(node.args) > 2 else None
            # What a layer reads is on the grid of the layer before.
            reads = {source: self._activation(self.activations), weight: self._weight(weights)}
            if bias is not None and self.integer_bias:
                reads[bias] = self._bias(source, weight, node)
        elif node.target in ADDITIONS and all(isinstance(one, fx.Node) for one in node.args):
            reads = {one: self._activation(self.activations) for one in node.args[:2]}
        elif node.target in POOLS[self.only_layers :]:
            reads, out = {source: out}, SharedQuantizationSpec((source, node))
        else:
            return
        if self.only_layers:
            out = None
        last = node
        while len(last.users) == 1 and next(iter(last.users)).target in FOLLOWERS:
            last = next(iter(last.users))
            last.meta["quantization_annotation"] = QuantizationAnnotation({}, None, _annotated=True)
        node.meta["quantization_annotation"] = QuantizationAnnotation(reads, _annotated=True)
        last.meta["quantization_annotation"].output_qspec = out

    def _activation(self, bits: int) -> QuantizationSpec:
        lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)
        return QuantizationSpec(
            torch.int8 if self.signed else torch.uint8,
            MinMaxObserver.with_args(eps=2.0**-12),
            lo + self.narrow,
            hi,
            torch.per_tensor_affine,
        )

    def _weight(self, bits: int) -> QuantizationSpec:
        top = (1 << (bits - 1)) - 1
        if not self.symmetric:
            kind, observer = torch.per_tensor_affine, MinMaxObserver
            return QuantizationSpec(torch.uint8, observer, 0, 2 * top + 1, kind)
        if self.per_channel:
            kind, observer = torch.per_channel_symmetric, PerChannelMinMaxObserver
            return QuantizationSpec(torch.int8, observer, -top, top, kind, ch_axis=0)
        return QuantizationSpec(torch.int8, MinMaxObserver, -top, top, torch.per_tensor_symmetric)

    def _bias(self, source, weight, node) -> DerivedQuantizationSpec:
        def grid(observers):
            (scale, _), (scales, _) = (each.calculate_qparams() for each in observers)
            scales = scale * scales
            return scales, torch.zeros_like(scales, dtype=torch.int64)

        kind = torch.per_channel_symmetric if self.per_channel else torch.per_tensor_symmetric
        return DerivedQuantizationSpec(
            [(source, node), (weight, node)],
            grid,
            torch.int32,
            -(2**31),
            2**31 - 1,
            kind,
            0 if self.per_channel else None,
        )


def quantised(
    model: nn.Module,
    images: torch.Tensor,
    quantizer: Quantizer,
    fold: bool = True,
    qat: bool = False,
) -> fx.GraphModule:
    """What PT2E makes of ``model``, calibrated (or trained for a step) on ``images``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchao's and torch.export's own
        batch = ({0: torch.export.Dim.AUTO},)
        if qat:
            model.train()
        exported = torch.export.export(model, (images[:4],), dynamic_shapes=batch).module()
        model.eval()
        prepared = (prepare_qat_pt2e if qat else prepare_pt2e)(exported, quantizer)
        if not qat:
            prepared(images)
        for _ in range(3 if qat else 0):
            F.cross_entropy(prepared(images), torch.arange(len(images)) % 10).backward()
            with torch.no_grad():
                for weight in prepared.parameters():
                    weight -= 1e-3 * weight.grad
                    weight.grad = None
        if qat:
            move_exported_model_to_eval(prepared)
        return convert_pt2e(prepared, fold_quantize=fold)
