"""Measured area and clock: Yosys and nextpnr on emitted Verilog."""

from hwgen.synth.ecp5 import Routed, route_ecp5
from hwgen.synth.tools import ToolError
from hwgen.synth.yosys import synthesise

__all__ = ["Routed", "ToolError", "route_ecp5", "synthesise"]
