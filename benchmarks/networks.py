"""Plain convolutional networks with random 8-bit weights, for what does not depend on accuracy."""

from collections.abc import Sequence

import numpy as np

from hwgen.network import Conv2d, Input, Linear, MaxPool2d, Network, Node, Requantise, TensorType

__all__ = ["plain"]


def plain(shape: tuple[int, int, int], layers: Sequence[int | None], classes: int = 10) -> Network:
    """3x3 convolutions of so many channels, padded and with ReLU, None for a 2x2 max-pooling; then
    one dense layer. Activations are unsigned 8-bit integers."""
    rng = np.random.default_rng(0)
    kind = TensorType(shape, 8, False)
    nodes = [Node("input", Input(kind), (), kind)]

    def add(name: str, op) -> TensorType:
        nodes.append(Node(name, op, (nodes[-1].name,), op.output))
        return op.output

    def requantised(name: str, op, shift: int) -> TensorType:
        sums = add(name, op)
        scales = rng.integers(30000, 60000, sums.channels)
        return add(f"{name}.requantise", Requantise(sums, scales, shift, 8, False, 0, 0, 255))

    for number, channels in enumerate(layers, 1):
        if channels is None:
            kind = add(f"pool{number}", MaxPool2d(kind, (2, 2), (2, 2)))
            continue
        weights = rng.integers(-127, 128, (channels, 3, 3, kind.channels)).astype(np.int8)
        bias = rng.integers(-9999, 9999, channels)
        op = Conv2d(kind, weights, bias, 8, padding=(1, 1, 1, 1))
        kind = requantised(f"conv{number}", op, 26)
    weights = rng.integers(-127, 128, (classes, *kind.shape)).astype(np.int8)
    requantised("fc", Linear(kind, weights, rng.integers(-99, 99, classes), 8), 24)
    return Network(tuple(nodes), (nodes[-1].name,))
