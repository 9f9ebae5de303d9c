"""Primitives to LUT, FF, DSP and BRAM of a family, ``cost.area(spec.primitives(), "ecp5")``; and,
with schedules, to the energy of a frame."""

from hwgen.cost.area import Area, total
from hwgen.cost.energy import Energy, Work, energy, work
from hwgen.cost.model import area, features

__all__ = ["Area", "Energy", "Work", "area", "energy", "features", "total", "work"]
