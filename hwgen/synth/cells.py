"""Counting the cells of a netlist as vendors count them.

- ice40: a carry sits beside the LUT that it feeds.
- ecp5: a CCU2C takes both LUTs of its slice; a 16 x 4 LUT memory takes three slices, 6 LUTs.
- gowin: an ALU is a LUT with a carry; a 16 x 4 memory takes the LUTs of three slices; DSP blocks
  are counted in 9 x 9 multipliers.
- xc7, xcup: carry chains and wide multiplexers are not LUTs; LUT memories and shift registers are.
- asic: two-input gates and inverters; memories in blocks of 18 kbit, counted apart.
"""

from collections.abc import Mapping

from hwgen.cost import Area

__all__ = ["MACRO", "count"]

BLOCK = Area(bram=1)

#: Stands for a block of a memory macro, which Yosys leaves to others.
MACRO = "memory block"

#: Enables, resets and sets of an iCE40's flip-flops.
KINDS = ("", "E", "SR", "R", "SS", "S", "ESR", "ER", "ESS", "ES")

ECP5 = {
    "LUT4": Area(lut=1),
    "CCU2C": Area(lut=2),  # FPGA-DS-02012, ripple mode
    "TRELLIS_DPR16X4": Area(lut=6),  # FPGA-DS-02012, RAM mode: three slices
    "TRELLIS_FF": Area(ff=1),
    "MULT18X18D": Area(dsp=1),
    "DP16KD": Area(bram=1),
    "PDPW16KD": Area(bram=1),
    **dict.fromkeys(("PFUMX", "L6MUX21", "GSR", "PUR"), Area()),
}

ICE40 = {
    "SB_LUT4": Area(lut=1),
    "SB_CARRY": Area(),
    **{f"SB_DFF{edge}{kind}": Area(ff=1) for edge in ("", "N") for kind in KINDS},
    "SB_MAC16": Area(dsp=1),
    **{f"SB_RAM40_4K{edges}": Area(bram=1) for edges in ("", "NR", "NW", "NRNW")},
}

GOWIN = {
    **{f"LUT{inputs}": Area(lut=1) for inputs in range(1, 5)},
    "ALU": Area(lut=1),
    "RAM16SDP4": Area(lut=6),  # Gowin UG288, shadow SRAM: three slices of a CFU
    **{f"DFF{kind}": Area(ff=1) for kind in ("", "E", "R", "RE", "S", "SE", "C", "CE", "P", "PE")},
    **{f"DFFN{kind}": Area(ff=1) for kind in ("", "E", "R", "RE", "S", "SE", "C", "CE", "P", "PE")},
    "MULT9X9": Area(dsp=1),
    "MULT18X18": Area(dsp=2),
    "MULT36X36": Area(dsp=8),
    **dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9"), BLOCK),
    **{f"MUX2_LUT{inputs}": Area() for inputs in range(5, 9)},
    **dict.fromkeys(("VCC", "GND", "GSR", "IBUF", "OBUF"), Area()),
}

# LUTs of memories and shift registers: UG574 (UltraScale CLB), distributed RAM and SRL tables.
XILINX = {
    **{f"LUT{inputs}": Area(lut=1) for inputs in range(1, 7)},
    "INV": Area(lut=1),
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "RAM32X1S", "RAM64X1S"), Area(lut=1)),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), Area(lut=2)),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), Area(lut=4)),
    **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM64X8SW", "RAM256X1D", "RAM512X1S"), Area(lut=8)),
    **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), Area(ff=1)),
    **dict.fromkeys(("DSP48E1", "DSP48E2"), Area(dsp=1)),
    **dict.fromkeys(("RAMB18E1", "RAMB18E2"), BLOCK),
    **dict.fromkeys(("RAMB36E1", "RAMB36E2"), Area(bram=2)),
    **dict.fromkeys(("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "BUFG"), Area()),
}

ASIC = {
    **dict.fromkeys(("$_NAND_", "$_NOR_", "$_NOT_"), Area(lut=1)),
    **dict.fromkeys(("$_DFF_P_", "$_DFF_N_"), Area(ff=1)),
    "$mem_v2": Area(),
    MACRO: BLOCK,
}

CELLS = {
    "ice40": ICE40,
    "ecp5": ECP5,
    "gowin": GOWIN,
    "xc7": XILINX,
    "xcup": XILINX,
    "asic": ASIC,
}

#: Yosys' notes to itself, no hardware.
NOTES = ("$scopeinfo",)


def count(cells: Mapping[str, int], family: str) -> Area:
    """Area of a netlist, given how many cells of each type it has.

    ValueError for a type that the family's table does not know.
    """
    table = CELLS[family]
    unknown = sorted(set(cells) - set(table) - set(NOTES))
    if unknown:
        raise ValueError(f"cells of unknown size on {family}: {', '.join(unknown)}")
    lut = sum(table[name].lut * n for name, n in cells.items() if name in table)
    ff = sum(table[name].ff * n for name, n in cells.items() if name in table)
    dsp = sum(table[name].dsp * n for name, n in cells.items() if name in table)
    bram = sum(table[name].bram * n for name, n in cells.items() if name in table)
    return Area(lut, ff, dsp, bram)
