"""Counting the cells of a netlist as vendors count them.

- ecp5: a CCU2C takes both LUTs of its slice; a 16 x 4 LUT memory takes three slices, 6 LUTs.
- xcup: carry chains and wide multiplexers are not LUTs; LUT memories and shift registers are.
- asic: two-input gates and inverters; memories in blocks of 18 kbit, counted apart.
"""

from collections.abc import Mapping

from hwgen.cost import Area

__all__ = ["count"]

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

# LUTs of memories and shift registers: UG574 (UltraScale CLB), distributed RAM and SRL tables.
XCUP = {
    **{f"LUT{inputs}": Area(lut=1) for inputs in range(1, 7)},
    "INV": Area(lut=1),
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "RAM32X1S", "RAM64X1S"), Area(lut=1)),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), Area(lut=2)),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), Area(lut=4)),
    **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM64X8SW", "RAM256X1D", "RAM512X1S"), Area(lut=8)),
    **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), Area(ff=1)),
    "DSP48E2": Area(dsp=1),
    "RAMB18E2": Area(bram=1),
    "RAMB36E2": Area(bram=2),
    **dict.fromkeys(("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "BUFG"), Area()),
}

ASIC = {
    **dict.fromkeys(("$_NAND_", "$_NOR_", "$_NOT_"), Area(lut=1)),
    **dict.fromkeys(("$_DFF_P_", "$_DFF_N_"), Area(ff=1)),
    "$mem_v2": Area(),
}

CELLS = {"ecp5": ECP5, "xcup": XCUP, "asic": ASIC}

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
