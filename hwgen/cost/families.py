"""Constants of each family.

All are averages over what Yosys 0.70 made of our own engines; ``python -m hwgen.cost.calibrate``
measures them again and writes ``docs/benchmarks/area.json``.
"""

from dataclasses import dataclass

__all__ = ["CONSTANTS", "Constants"]


@dataclass(frozen=True)
class Constants:
    """LUTs (asic: gates) for each bit of a part, and shapes of LUT memories."""

    inputs: int  # of one LUT
    carry: int  # bits of a carry slice
    adder: float
    compare: float
    compare_constant: float
    mux: float  # a bit and way beyond the first
    logic: float  # for a four-input function
    product: float  # a soft multiplier's bit product
    product_length: float  # and its rows' ends
    register: float  # flip-flops for each bit of a register
    rom: float  # a bit of a ROM that a single LUT can hold
    lutram: float  # LUTs of one LUT-memory cell
    lutram_depth: int
    lutram_width: int


CONSTANTS = {
    "ecp5": Constants(
        inputs=4,
        carry=2,  # CCU2C: two bits, two LUTs
        adder=1.0,
        compare=1.0,
        compare_constant=0.5,
        mux=0.75,
        logic=1.0,
        product=1.5,
        product_length=0.5,
        register=1.0,
        rom=0.9,
        lutram=6.0,  # TRELLIS_DPR16X4 blocks three slices: FPGA-DS-02012, RAM mode
        lutram_depth=16,
        lutram_width=4,
    ),
    "xcup": Constants(
        inputs=6,
        carry=1,
        adder=1.0,
        compare=0.5,
        compare_constant=0.3,
        mux=0.4,
        logic=0.6,
        product=1.1,
        product_length=0.5,
        register=1.0,
        rom=0.9,
        lutram=8.0,  # RAM32M16 holds 32 words of 14 bits: UG574
        lutram_depth=32,
        lutram_width=14,
    ),
    "asic": Constants(
        inputs=1,
        carry=1,
        adder=6.0,
        compare=4.0,
        compare_constant=1.5,
        mux=3.0,
        logic=4.0,
        product=7.0,
        product_length=1.0,
        register=1.0,
        rom=0.9,
        lutram=0.0,
        lutram_depth=1,
        lutram_width=1,
    ),
}
