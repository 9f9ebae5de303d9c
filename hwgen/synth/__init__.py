"""Measured area and clock: Yosys and nextpnr on emitted Verilog."""

from hwgen.synth.route import Routed, route
from hwgen.synth.tools import ToolError
from hwgen.synth.yosys import LARGE, synthesise

__all__ = ["LARGE", "Routed", "ToolError", "route", "synthesise"]
