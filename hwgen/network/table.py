"""Every op by the name it has on disk."""

from hwgen.network.arrange import Concat, Pad2d, Slice, Upsample2d
from hwgen.network.coding import FirstSpike, RateCode, SpikeCount
from hwgen.network.ops import Conv2d, Input, Linear
from hwgen.network.pooling import Add, MaxPool2d, SumPool2d
from hwgen.network.requantise import Requantise
from hwgen.network.spiking import Leaky, SpikingLinear
from hwgen.network.threshold import Threshold
from hwgen.network.winograd_conv import WinogradConv2d

__all__ = ["OPS"]

OPS: dict[str, type] = {
    op.kind: op
    for op in (
        *(Input, Conv2d, WinogradConv2d, Linear, MaxPool2d, SumPool2d, Add, Requantise, Threshold),
        *(Concat, Slice, Pad2d, Upsample2d),
        *(RateCode, Leaky, SpikingLinear, SpikeCount, FirstSpike),
    )
}
