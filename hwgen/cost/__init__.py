"""Primitives to LUT, FF, DSP and BRAM of a family: ``cost.area(spec.primitives(), "ecp5")``."""

from hwgen.cost.area import Area, total
from hwgen.cost.model import area, features

__all__ = ["Area", "area", "features", "total"]
