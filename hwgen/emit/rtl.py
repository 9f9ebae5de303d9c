"""Plan to plain Verilog and the ``.hex`` files that its memories load."""

import warnings

from amaranth.hdl import UnusedElaboratable

from hwgen.emit.top import Accelerator
from hwgen.emit.verilog import verilog_text
from hwgen.plan import Plan
from hwgen.rtl_templates import VerilogTarget

__all__ = ["rtl_files"]

TOP = "accelerator"


def rtl_files(plan: Plan) -> dict[str, str]:
    """Contents by file name, the same for the same plan; ``accelerator.v`` has the top module."""
    top, target = Accelerator(plan), VerilogTarget(plan.board.family)
    try:
        text = verilog_text(top, TOP, top.ports, target)
    except BaseException:
        # Interrupted: that some parts were made and not used is then no news.
        warnings.filterwarnings("ignore", category=UnusedElaboratable)
        raise
    return {f"{TOP}.v": text, **target.files}
