"""Parts to LUTs, flip-flops, DSP blocks and block RAMs of a family.

DSP blocks and block RAMs follow the rules by which Yosys maps them, and are exact. LUTs and
flip-flops are sums over features of the parts, each times a constant of the family.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil

from hwgen.cost import memory, multiply
from hwgen.cost.area import Area
from hwgen.cost.families import FAMILIES
from hwgen.primitives import (
    AT_ONCE,
    Accumulator,
    Adder,
    Clip,
    Compare,
    Delay,
    Hold,
    Logic,
    Memory,
    Multiplier,
    Mux,
    Part,
    Register,
    SoftProduct,
    memory_style,
)

__all__ = ["area", "features", "of_features"]

#: Families whose LUTs are shift registers: of flip-flops in a row, from so many on (Yosys,
#: synth_xilinx: xilinx_srl -fixed -minlen 3), each LUT holding up to so many (UG474, UG574).
SHIFTS, LEAST_SHIFT, MOST_SHIFT = ("xc7", "xcup"), 3, 32

#: Up to this width an adder is made of LUTs alone (Yosys, arith_map_ccu2c.v).
SMALL = 4


def area(parts: Iterable[Part], family: str) -> Area:
    """Estimated area of ``parts`` on a family of ``FAMILIES``."""
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
    constants = FAMILIES[family]
    return of_features(features(parts, family), constants.lut, constants.ff)


def of_features(
    found: Mapping[str, float], lut: Mapping[str, float], ff: Mapping[str, float]
) -> Area:
    """Area of a design with these ``features``, given what a unit of each takes."""
    luts = sum(per * found[name] for name, per in lut.items())
    ffs = sum(per * found[name] for name, per in ff.items())
    return Area(round(luts), round(ffs), round(found["dsp"]), round(found["bram"]))


def features(parts: Iterable[Part], family: str) -> Counter[str]:
    """How much there is, in all ``parts``, of everything that a family has a constant for.

    ``adder``, ``adder_constant``, ``small_adder``, ``full_adder`` (for terms beyond two),
    ``accumulator``, ``compare``, ``compare_constant``, ``clip``, ``hold``: bits.
    ``mux``: LUTs that choose. ``product``: bit products of soft multipliers; ``table``: bits of
    those so short that a LUT holds a bit; ``select``: bits of those with a one-bit factor.
    ``digit``, ``digits``, ``digit_adder``: bits of the first rows of products by digits, of their
    other rows, and of the adders between rows. ``shift``: LUTs that are shift registers.
    ``cell``: LUT-memory cells. ``rom``: LUT-sized pieces of small ROMs. ``row``: bits of every row
    of memory cells or blocks beyond the first. ``register``, ``read``: bits of registers, and of
    the read registers of LUT memories. ``dsp``, ``bram``: blocks.
    """
    found: Counter[str] = Counter()
    for part in parts:
        match part:
            case Multiplier(a, b, count, _, product, around, ones):
                blocks, left = multiply.split(family, a, b, product)
                found["dsp"] += count * blocks
                whole = blocks == 1 and not left
                found.update(features(multiply.outside(around, family, whole), family))
                spare = a + b - (product or a + b)
                if ones is not None and not blocks:  # a row for each of its bits that is set
                    left = ((a, min(ones, b)),)
                for wide, narrow in left:
                    name, size = _soft(family, wide - spare, narrow)
                    found[name] += count * size
            case SoftProduct(a, b, count):
                rows = ceil(b / 2)
                found["digit"] += count * (a + (b > 1))
                found["digits"] += count * (rows - 1) * (a + 1)
                found["digit_adder"] += count * (rows - 1) * (a + 3)
            case Adder(width, count, constant, terms):
                found["full_adder"] += count * width * (terms - 1) * (terms - 2) // 2
                step = FAMILIES[family].carry
                if width <= SMALL:
                    found["small_adder"] += count * width
                else:
                    name = "adder_constant" if constant else "adder"
                    found[name] += count * ceil(width / step) * step
            case Accumulator(width, count):
                found["accumulator"] += count * width
            case Compare(width, count, constant):
                found["compare_constant" if constant else "compare"] += count * width
            case Clip(width, bits, sides, count):
                found["clip"] += count * bits * (sides == 2)
                found["logic"] += count * sides * ceil((width - bits) / 4)
            case Hold(bits):
                found["hold"] += bits
            case Mux(width, ways, count):
                found["mux"] += count * width * ceil((ways - 1) / FAMILIES[family].choices)
            case Register(bits):
                found["register"] += bits
            case Delay(bits, cycles) if family in SHIFTS and cycles >= LEAST_SHIFT:
                found["shift"] += bits * ceil(cycles / MOST_SHIFT)
            case Delay(bits, cycles):
                found["register"] += bits * cycles
            case Logic(luts):
                found["logic"] += luts
            case Memory(depth, width, kind) if memory_style(part, family) == "block":
                found += _block(family, depth, width, kind)
            case Memory(depth, width, kind, reads):
                found += _distributed(family, depth, width, kind, reads)
            case _:
                raise TypeError(f"not a part: {part!r}")
    return found


def _soft(family: str, wide: int, narrow: int) -> tuple[str, int]:
    """Feature and amount of a product in LUTs."""
    if wide + narrow <= FAMILIES[family].inputs:
        return "table", wide + narrow
    return ("select", wide) if narrow == 1 else ("product", wide * narrow)


def _block(family: str, depth: int, width: int, kind: str) -> Counter[str]:
    if family not in memory.SHAPES:
        return Counter(bram=ceil(depth * width / (FAMILIES[family].block_kbit << 10)))
    units, rows = memory.blocks(family, depth, width, kind != "rom")
    return Counter(bram=units, row=(rows - 1) * width)


def _distributed(family: str, depth: int, width: int, kind: str, reads: int) -> Counter[str]:
    shape = FAMILIES[family]
    if kind == "rom":
        # Of few words, many bits are alike, and synthesis merges them: of two words, each bit is
        # the address or its complement.
        distinct = min(width, 2**depth - 2)
        pieces = 1 << max(0, (depth - 1).bit_length() - shape.inputs)
        return Counter(rom=distinct * pieces, read=distinct)
    read = 0 if kind in AT_ONCE else width
    rows = ceil(depth / shape.cell_depth)
    cells = rows * ceil(width / shape.cell_width) * (1 if shape.cell_depth == 1 else reads)
    return Counter(cell=cells, row=(rows - 1) * width * reads, read=read * reads)
