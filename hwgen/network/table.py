"""Every op by the name it has on disk."""

from hwgen.network.coding import FirstSpike, RateCode, SpikeCount
from hwgen.network.ops import Conv2d, Input, Linear, Requantise
from hwgen.network.pooling import Add, MaxPool2d, SumPool2d
from hwgen.network.spiking import Leaky, SpikingLinear

__all__ = ["OPS"]

OPS: dict[str, type] = {
    op.kind: op
    for op in (
        *(Input, Conv2d, Linear, MaxPool2d, SumPool2d, Add, Requantise),
        *(RateCode, Leaky, SpikingLinear, SpikeCount, FirstSpike),
    )
}
