"""The integer network: types, ops with their exact meaning, graph, and how it is stored."""

from hwgen.network.coding import FirstSpike, RateCode, SpikeCount
from hwgen.network.graph import Network, Node
from hwgen.network.ops import Conv2d, Input, Linear, Op, Requantise
from hwgen.network.pooling import Add, MaxPool2d, SumPool2d
from hwgen.network.spiking import Leaky, SpikingLinear, spike_train
from hwgen.network.store import StoreError, load_network, save_network
from hwgen.network.table import OPS
from hwgen.network.types import TensorType, bits_for, range_of

__all__ = [
    "OPS",
    "Add",
    "Conv2d",
    "FirstSpike",
    "Input",
    "Leaky",
    "Linear",
    "MaxPool2d",
    "Network",
    "Node",
    "Op",
    "RateCode",
    "Requantise",
    "SpikeCount",
    "SpikingLinear",
    "StoreError",
    "SumPool2d",
    "TensorType",
    "bits_for",
    "load_network",
    "range_of",
    "save_network",
    "spike_train",
]
