"""What a family is made of, and what one unit of each feature of a design takes there.

Shapes follow from data sheets. The LUTs (asic: gates) and flip-flops of one unit of each feature
(``model.features``) are data, in ``constants.json``, which ``hwgen calibrate`` fits to what Yosys
makes of our own engines.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["CONSTANTS", "FAMILIES", "Family"]

#: The file of fitted constants, in this package.
CONSTANTS = "constants.json"


@dataclass(frozen=True)
class Family:
    """``inputs`` of one LUT; bits of a ``carry`` slice; ``choices`` that one LUT adds to a
    multiplexer; depth and width of the cells of LUT memories (1: of flip-flops); ``block_kbit`` of
    the block RAM that ``bram`` counts. ``lut`` and ``ff`` by feature. ``expected_error``: by
    resource, the relative error that nine of ten estimates stay below; nothing before a family is
    calibrated. DSP blocks and block RAMs are exact.
    """

    title: str
    inputs: int
    carry: int
    choices: int
    cell_depth: int
    cell_width: int
    block_kbit: int
    lut: Mapping[str, float]
    ff: Mapping[str, float]
    expected_error: Mapping[str, float]


def _families() -> dict[str, Family]:
    fitted = json.loads(files("hwgen.cost").joinpath(CONSTANTS).read_text())["families"]
    shapes = {
        # LUT4, SB_CARRY of one bit, SB_RAM40_4K (Lattice FPGA-DS-02008, iCE40 UltraPlus).
        "ice40": ("Lattice iCE40", 4, 1, 1, 1, 1, 4),
        # LUT4, CCU2C of two bits, TRELLIS_DPR16X4, DP16KD (Lattice FPGA-DS-02012).
        "ecp5": ("Lattice ECP5", 4, 2, 1, 16, 4, 18),
        # LUT4, ALU of one bit, RAM16SDP4, BSRAM (Gowin DS117).
        "gowin": ("Gowin LittleBee", 4, 1, 1, 16, 4, 18),
        # LUT6, RAM32M, RAMB18E1 (AMD UG474, UG473).
        "xc7": ("AMD 7 series", 6, 1, 2, 32, 6, 18),
        # LUT6, RAM32M16, RAMB18E2 (AMD UG574, UG573).
        "xcup": ("AMD UltraScale+", 6, 1, 2, 32, 14, 18),
        # Two-input gates; memory macros are counted as if of 18 kbit.
        "asic": ("generic gates", 1, 1, 1, 1, 1, 18),
    }
    made = {}
    for name, shape in shapes.items():
        known = fitted[name]
        error = known.get("expected_error", {})
        made[name] = Family(*shape, known["lut"], known["ff"], error)  # type: ignore[arg-type]
    return made


FAMILIES = _families()
