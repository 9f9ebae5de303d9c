"""Verilog text of a module, the same on every machine, that is right from time zero."""

import os
import re

from amaranth import Elaboratable, Signal
from amaranth.back import verilog

__all__ = ["verilog_text"]

#: ``always @*`` waits for a change, so Yosys has each such block read a register that it sets to
#: zero in its declaration. Event-driven simulators may do that before the block waits: where all
#: that the block reads is constant or at its initial value, its outputs then stay undefined.
TRIGGER = re.compile(r"^( *)reg (\\\$auto\$verilog_backend\S+) += 0;$", re.MULTILINE)


def verilog_text(top: Elaboratable, name: str, ports: list[Signal], platform=None) -> str:
    """``top`` as plain Verilog whose top module is called ``name``."""
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"  # so that the text depends on no installed tool
    text = verilog.convert(
        top,
        name=name,
        ports=ports,
        platform=platform,
        strip_internal_attrs=True,
        emit_src=False,
    )
    # Non-blocking assignments come after everything that starts at time zero has started.
    text, found = TRIGGER.subn(r"\1reg \2 ;\n\1initial \2 <= 0;", text)
    assert found or "always @*" not in text, "Yosys triggers always @* in another way"
    return text
