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

    ``inputs`` of one LUT; bits of a ``carry`` slice; ``choices`` that one LUT adds to a
    multiplexer; depth and width of the cells of LUT memories.
    """

    inputs: int
    carry: int
    choices: int
    cell_depth: int
    cell_width: int
    lut: Mapping[str, float]
    ff: Mapping[str, float]


FAMILIES = {
    "ecp5": Family(
        inputs=4,
        carry=2,  # CCU2C adds two bits in two LUTs
        choices=1,
        cell_depth=16,
        cell_width=4,
        lut={
            "adder": 1.0,
            "adder_constant": 1.55,
            "small_adder": 0.1,
            "compare": 0.5,
            "compare_constant": 0.05,
            "mux": 1.03,
            "logic": 1.0,
            "product": 1.5,
            "table": 1.0,
            "select": 2.05,
            "rom": 1.2,
            "cell": 6.0,  # data sheet: TRELLIS_DPR16X4 blocks three slices
            "row": 0.85,
        },
        ff={"register": 1.0, "read": 1.0},
    ),
    "xcup": Family(
        inputs=6,
        carry=1,
        choices=2,
        cell_depth=32,
        cell_width=14,
        lut={
            "adder": 0.7,
            "adder_constant": 0.44,
            "small_adder": 0.22,
            "compare": 0.1,
            "compare_constant": 0.0,
            "mux": 0.88,
            "logic": 0.6,
            "product": 1.4,
            "table": 0.95,
            "select": 1.0,
            "rom": 0.58,
            "cell": 8.0,  # data sheet: RAM32M16
            "row": 0.52,
        },
        ff={"register": 1.0, "read": 1.0},
    ),
    "asic": Family(
        inputs=1,
        carry=1,
        choices=1,
        cell_depth=1,
        cell_width=1,
        lut={
            "adder": 4.1,
            "adder_constant": 0.9,
            "small_adder": 3.1,
            "compare": 3.2,
            "compare_constant": 0.0,
            "mux": 5.3,
            "logic": 4.0,
            "product": 11.1,
            "table": 1.0,
            "select": 3.0,
            "rom": 0.3,
            "cell": 6.0,
            "row": 0.0,
        },
        ff={"register": 1.0, "read": 1.0, "cell": 1.0},
    ),
}
