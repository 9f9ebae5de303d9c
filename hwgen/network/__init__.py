"""The integer network: types, ops with their exact meaning, graph, and how it is stored."""

from hwgen.network.arrange import Concat, Pad2d, Slice, Upsample2d
from hwgen.network.coding import FirstSpike, RateCode, SpikeCount
from hwgen.network.graph import Frames, Network, Node
from hwgen.network.ops import Conv2d, Input, Linear, Op
from hwgen.network.pooling import Add, MaxPool2d, SumPool2d
from hwgen.network.requantise import Requantise
from hwgen.network.spiking import Leaky, SpikingLinear, spike_train
from hwgen.network.store import StoreError, load_network, save_network
from hwgen.network.table import OPS
from hwgen.network.threshold import Threshold
from hwgen.network.types import TensorType, bits_for, range_of
from hwgen.network.winograd_conv import WinogradConv2d

__all__ = [
    "OPS",
    "Add",
    "Concat",
    "Conv2d",
    "FirstSpike",
    "Frames",
    "Input",
    "Leaky",
    "Linear",
    "MaxPool2d",
    "Network",
    "Node",
    "Op",
    "Pad2d",
    "RateCode",
    "Requantise",
    "Slice",
    "SpikeCount",
    "SpikingLinear",
    "StoreError",
    "SumPool2d",
    "TensorType",
    "Threshold",
    "Upsample2d",
    "WinogradConv2d",
    "bits_for",
    "load_network",
    "range_of",
    "save_network",
    "spike_train",
]
