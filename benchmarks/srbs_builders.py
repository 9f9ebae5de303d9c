"""VGG16 and ResNet-18 as integer networks of random weights, dense or of a sub-row pattern."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.srbs import CHANNELS, pruned
from benchmarks.vgg16 import LAYERS
from hwgen.network import (
    Add,
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    Op,
    Requantise,
    SumPool2d,
    TensorType,
    WinogradConv2d,
)
from hwgen.network.srbs import SubRows

__all__ = ["Weights", "resnet18", "vgg16"]


@dataclass(frozen=True)
class Weights:
    """Random 8-bit weights of ``pattern``, or dense; of 3x3 convolutions of stride 1 in Winograd's
    domain, F(2x2,3x3), or not. Layers of few input channels are dense and outside of it."""

    pattern: SubRows | None
    domain: bool
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def convolution(self, kind: TensorType, channels: int, kernel: int = 3, stride: int = 1) -> Op:
        """A convolution of as much padding as half its kernel."""
        bias, sides = self.rng.integers(-9999, 9999, channels), (kernel // 2,) * 4
        if self.domain and (kernel, stride) == (3, 1) and kind.channels >= CHANNELS:
            zeros = np.zeros((4, 4), np.int64)
            weights = self._drawn((4, 4, channels, kind.channels))
            return WinogradConv2d(kind, weights, bias, 8, 2, zeros, zeros, padding=sides)
        weights = self._drawn((channels, kernel, kernel, kind.channels))
        return Conv2d(kind, weights, bias, 8, stride=(stride, stride), padding=sides)

    def linear(self, kind: TensorType, classes: int) -> Op:
        """A fully connected layer."""
        weights = self._drawn((classes, *kind.shape))
        return Linear(kind, weights, np.zeros(classes, np.int64), 8)

    def _drawn(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.pattern is None or shape[-1] < CHANNELS:
            return self.rng.integers(-127, 128, shape).astype(np.int8)
        return pruned(self.rng, shape, self.pattern, 8)


class Growing:
    """A network under construction, and what its tensors are on some frames."""

    def __init__(self, frames: np.ndarray):
        kind = TensorType(frames.shape[1:], 8, False)
        self.nodes = {"input": Node("input", Input(kind), (), kind)}
        self.tensors = {"input": frames}

    def kind(self, name: str) -> TensorType:
        """Type of a tensor."""
        return self.nodes[name].type

    def add(self, name: str, op: Op, *sources: str) -> str:
        """``name``, of a new node."""
        self.nodes[name] = Node(name, op, sources, op.output)
        self.tensors[name] = op.compute(*(self.tensors[source] for source in sources))
        return name

    def requantised(self, name: str, op: Op, *sources: str, signed: bool = False) -> str:
        """The name of what ``op`` computes, as 8 bits: of numbers above zero, one in twenty clips.
        Those below zero become zero unless ``signed``."""
        sums = self.add(name, op, *sources)
        lo, hi = (-128, 127) if signed else (0, 255)
        above = self.tensors[sums][self.tensors[sums] > 0]
        top = np.quantile(above, 0.95) if above.size else 1
        # Multipliers of 45,000 or so, and more or less for some channels of a convolution.
        scale = np.full(op.output.channels, 45000)
        if not isinstance(op, Add):
            scale = np.random.default_rng(len(self.nodes)).integers(30000, 60000, scale.size)
        shift = max(1, round(np.log2(top * 45000 / hi)))
        kind = self.kind(sums)
        return self.add(
            f"{name}.requantise", Requantise(kind, scale, shift, 8, signed, 0, lo, hi), sums
        )

    def finished(self, name: str) -> Network:
        """The network, whose output is ``name``."""
        return Network(tuple(self.nodes.values()), (name,))


def vgg16(weights: Weights, frames: np.ndarray) -> Network:
    """VGG16 with one dense layer of ten classes, whose activations fill their range on ``frames``
    (N, H, W, C), of 8 bits."""
    net, last = Growing(frames), "input"
    for number, channels in enumerate(LAYERS, 1):
        kind = net.kind(last)
        if channels is None:
            last = net.add(f"pool{number}", MaxPool2d(kind, (2, 2), (2, 2)), last)
        else:
            last = net.requantised(f"conv{number}", weights.convolution(kind, channels), last)
    return net.finished(net.requantised("fc", weights.linear(net.kind(last), 10), last))


def resnet18(weights: Weights, frames: np.ndarray, width: int = 64, classes: int = 1000) -> Network:
    """ResNet-18 (K. He et al., 2016), ``width`` channels in its first blocks, whose activations
    fill their range on ``frames`` (N, H, W, C), of 8 bits."""
    net = Growing(frames)
    last = net.requantised("conv1", weights.convolution(net.kind("input"), width, 7, 2), "input")
    last = net.add("maxpool", MaxPool2d(net.kind(last), (3, 3), (2, 2), (1, 1, 1, 1)), last)
    for layer in range(4):
        for block in range(2):
            stride = 2 if layer and not block else 1
            name = f"layer{layer + 1}.{block}"
            last = _block(net, weights, name, last, width << layer, stride)
    kind = net.kind(last)
    last = net.requantised("avgpool", SumPool2d(kind, kind.shape[:2], kind.shape[:2]), last)
    return net.finished(net.requantised("fc", weights.linear(net.kind(last), classes), last))


def _block(
    net: Growing, weights: Weights, name: str, source: str, channels: int, stride: int
) -> str:
    """Two convolutions beside a shortcut, by a convolution of one tap where shapes change."""
    kind, beside = net.kind(source), source
    inner = net.requantised(f"{name}.conv1", weights.convolution(kind, channels, 3, stride), source)
    main = net.requantised(
        f"{name}.conv2", weights.convolution(net.kind(inner), channels), inner, signed=True
    )
    if stride > 1 or kind.channels != channels:
        short = weights.convolution(kind, channels, 1, stride)
        beside = net.requantised(f"{name}.downsample", short, source, signed=True)
    return net.requantised(f"{name}.add", Add(net.kind(main), net.kind(beside)), main, beside)
