"""Torch to torch: networks made smaller, still in floats, before integers are read from them."""

from hwgen.compress.compare import Difference, compare
from hwgen.compress.decisions import Decisions, decisions
from hwgen.compress.quantize import quantize
from hwgen.compress.settings import Settings

__all__ = ["Decisions", "Difference", "Settings", "compare", "decisions", "quantize"]
