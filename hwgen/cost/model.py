"""Parts to LUTs, flip-flops, DSP blocks and block RAMs of a family.

DSP blocks and block RAMs follow the rules by which Yosys maps them. LUTs and flip-flops follow
constants measured by ``python -m hwgen.cost.calibrate``, which says how far off they are.
"""

from collections.abc import Iterable
from math import ceil, log2

from hwgen.cost import memory, multiply
from hwgen.cost.area import Area
from hwgen.cost.families import CONSTANTS, Constants
from hwgen.primitives import Adder, Compare, Logic, Memory, Multiplier, Mux, Part, Register

__all__ = ["area"]

DSP_RULES = {"ecp5": multiply.ECP5, "xcup": multiply.XCUP}
SHAPES = {"ecp5": memory.ECP5, "xcup": memory.XCUP}

#: Bits of one block RAM: the unit in which memories are counted on every family.
BLOCK_BITS = 18 * 1024


def area(parts: Iterable[Part], family: str) -> Area:
    """Estimated area of ``parts`` on ``"ecp5"``, ``"xcup"`` or ``"asic"``."""
    if family not in CONSTANTS:
        raise ValueError(f"family must be one of {', '.join(CONSTANTS)}, not {family!r}")
    constants = CONSTANTS[family]
    lut = ff = 0.0
    dsp = bram = 0
    for part in parts:
        match part:
            case Multiplier(a, b, count):
                blocks, left = _products(family, a, b)
                dsp += blocks * count
                lut += count * sum(_soft_product(constants, *widths) for widths in left)
            case Adder(width, count):
                lut += count * _adder(constants, width)
            case Compare(width, count, constant):
                per_bit = constants.compare_constant if constant else constants.compare
                lut += count * ceil(width * per_bit)
            case Mux(width, ways, count):
                lut += count * width * (ways - 1) * constants.mux
            case Register(bits):
                ff += bits * constants.register
            case Logic(luts):
                lut += luts * constants.logic
            case Memory(depth, width, kind, "block"):
                units, extra = _block(family, constants, depth, width, kind)
                bram += units
                lut += extra
            case Memory(depth, width, kind):
                more_lut, more_ff = _distributed(family, constants, depth, width, kind)
                lut += more_lut
                ff += more_ff
            case _:
                raise TypeError(f"not a part: {part!r}")
    return Area(round(lut), round(ff), dsp, bram)


def _products(family: str, a: int, b: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    if family not in DSP_RULES:
        return 0, ((max(a, b), min(a, b)),)
    return multiply.split(DSP_RULES[family], a, b)


def _soft_product(constants: Constants, a: int, b: int) -> float:
    """One-bit factors select or negate; others cost by the bit product, and by their length."""
    if b == 1:
        return a * constants.mux
    return constants.product * a * b + constants.product_length * (a + b)


def _adder(constants: Constants, width: int) -> float:
    """Carry chains come in whole slices of ``carry`` bits."""
    return ceil(width / constants.carry) * constants.carry * constants.adder


def _block(
    family: str, constants: Constants, depth: int, width: int, kind: str
) -> tuple[int, float]:
    if family == "asic":
        return ceil(depth * width / BLOCK_BITS), 0
    units, rows = memory.blocks(SHAPES[family], depth, width, kind != "rom")
    return units, (rows - 1) * width * constants.mux


def _distributed(
    family: str, constants: Constants, depth: int, width: int, kind: str
) -> tuple[float, float]:
    """LUTs and flip-flops; all but ``lutram`` register what they read."""
    ff = 0 if kind == "lutram" else width
    if kind == "rom":
        inputs = max(1, ceil(log2(depth)))
        return width * max(1.0, 2.0 ** (inputs - constants.inputs)) * constants.rom, ff
    if family == "asic":
        return depth * width * constants.mux * 2, ff + depth * width
    rows = ceil(depth / constants.lutram_depth)
    cells = ceil(width / constants.lutram_width) * rows
    return cells * constants.lutram + (rows - 1) * width * constants.mux, ff
