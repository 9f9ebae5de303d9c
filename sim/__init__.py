"""Simulation of a build directory: Verilator builds, exact comparison, the place of a mistake."""

from hwgen.sim.result import Deadlock, Mismatch, Result, Standing
from hwgen.sim.run import check_stall, simulate
from hwgen.sim.verilator import SimulationError, build_binary, environment

__all__ = [
    "Deadlock",
    "Mismatch",
    "Result",
    "SimulationError",
    "Standing",
    "build_binary",
    "check_stall",
    "environment",
    "simulate",
]
