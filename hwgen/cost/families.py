"""Constants of each family: LUTs (asic: gates) and flip-flops for one unit of each feature.

Features are counted by ``model.features``. Constants marked "data sheet" follow from the device;
the others are fitted to what Yosys 0.70 made of our own engines by
``python -m hwgen.synth.calibrate --fit``, which also writes ``docs/benchmarks/area.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FAMILIES", "Family"]


@dataclass(frozen=True)
class Family:
    """``lut`` and ``ff`` by feature; the rest are shapes.

    ``inputs`` of one LUT; bits of a ``carry`` slice; an LUT memory's depth and widths of its cells.
    """

    inputs: int
    carry: int
    cell_depth: int
    cell_width: int
    lut: Mapping[str, float]
    ff: Mapping[str, float]


FAMILIES = {
    "ecp5": Family(
        inputs=4,
        carry=2,  # CCU2C adds two bits in two LUTs
        cell_depth=16,
        cell_width=4,
        lut={
            "adder": 1.0,
            "small_adder": 1.0,
            "compare": 1.0,
            "compare_constant": 0.5,
            "mux": 0.75,
            "logic": 1.0,
            "product": 1.5,
            "select": 1.0,
            "rom": 0.9,
            "cell": 6.0,  # data sheet: TRELLIS_DPR16X4 blocks three slices
            "row": 0.8,
        },
        ff={"register": 1.0, "read": 1.0},
    ),
    "xcup": Family(
        inputs=6,
        carry=1,
        cell_depth=32,
        cell_width=14,
        lut={
            "adder": 1.0,
            "small_adder": 1.0,
            "compare": 0.5,
            "compare_constant": 0.3,
            "mux": 0.4,
            "logic": 0.6,
            "product": 1.1,
            "select": 1.0,
            "rom": 0.9,
            "cell": 8.0,  # data sheet: RAM32M16
            "row": 0.55,
        },
        ff={"register": 1.0, "read": 1.0},
    ),
    "asic": Family(
        inputs=1,
        carry=1,
        cell_depth=1,
        cell_width=1,
        lut={
            "adder": 6.0,
            "small_adder": 6.0,
            "compare": 4.0,
            "compare_constant": 1.5,
            "mux": 3.0,
            "logic": 4.0,
            "product": 7.0,
            "select": 3.0,
            "rom": 1.0,
            "cell": 6.0,
            "row": 0.0,
        },
        ff={"register": 1.0, "read": 1.0, "cell": 1.0},
    ),
}
