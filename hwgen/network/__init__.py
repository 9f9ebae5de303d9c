"""The integer network: types, ops with their exact meaning, graph, and how it is stored."""

from hwgen.network.graph import Network, Node
from hwgen.network.ops import Conv2d, Input, Linear, Op, Requantise
from hwgen.network.pooling import Add, MaxPool2d, SumPool2d
from hwgen.network.store import StoreError, load_network, save_network
from hwgen.network.table import OPS
from hwgen.network.types import TensorType, bits_for, range_of

__all__ = [
    "OPS",
    "Add",
    "Conv2d",
    "Input",
    "Linear",
    "MaxPool2d",
    "Network",
    "Node",
    "Op",
    "Requantise",
    "StoreError",
    "SumPool2d",
    "TensorType",
    "bits_for",
    "load_network",
    "range_of",
    "save_network",
]
