"""Torch to torch: networks made smaller, still in floats, before integers are read from them."""

from hwgen.compress.compare import Difference, compare
from hwgen.compress.quantize import quantize
from hwgen.compress.settings import Settings

__all__ = ["Difference", "Settings", "compare", "quantize"]
