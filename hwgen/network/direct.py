"""Direct convolution and fully connected layers as tiles of one result (``domain``)."""

from dataclasses import replace

import numpy as np

from hwgen.network.domain import Domain, input_limits, single
from hwgen.network.ops import Conv2d, Linear
from hwgen.network.srbs import tap_weights
from hwgen.network.values import kept

__all__ = ["direct"]


@kept
def direct(op: Conv2d | Linear) -> Domain:
    """``op`` tap by tap, to the same integers; a fully connected layer has one tap, all of its
    inputs being channels.

    ValueError where the kernel is dilated, the channels fall into groups or the input is bipolar.
    """
    if op.input.encoding == "bipolar":
        raise ValueError("its input is single bits: there is nothing to multiply")
    source, weights = op.input, tap_weights(op)
    padding, stride = (0, 0, 0, 0), (1, 1)
    if isinstance(op, Linear):
        source = replace(source, shape=(op.weights[0].size,))
    else:
        if op.dilation != (1, 1):
            raise ValueError(f"its dilation is {op.dilation}, not 1")
        padding, stride = op.padding, op.stride
    down, across = single(weights.shape[0]), single(weights.shape[1])
    zeros = np.zeros(weights.shape[:2], np.int64)
    return Domain(
        source,
        op.output,
        down,
        across,
        padding,
        weights,
        op.bias.astype(np.int64),
        zeros,
        zeros,
        zeros,
        input_limits(down, across, source),
        stride=stride,
    )
