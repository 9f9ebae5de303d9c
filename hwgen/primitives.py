"""What hardware is made of, before any family: the parts list of an engine.

A part says what is there, not what it costs; ``cost`` turns a list of them into LUT, FF, DSP and
BRAM of a family.
"""

from dataclasses import dataclass

__all__ = [
    "AT_ONCE",
    "ROM_WORDS",
    "Accumulator",
    "Adder",
    "Around",
    "Clip",
    "Compare",
    "Delay",
    "Hold",
    "Logic",
    "Memory",
    "Multiplier",
    "Mux",
    "Part",
    "Register",
    "SoftProduct",
    "memory_style",
]


@dataclass(frozen=True)
class Multiplier:
    """``count`` signed products of ``a`` by ``b`` bits; ``role`` is "mac" or "requantise".

    ``product`` is the bits of each product that are used, ``a + b`` unless given: an unsigned
    factor has a zero sign bit, which lengthens the factor and not the product. ``around`` is what
    blocks with registers and an adder of their own may take in; they are parts as any others.
    ``ones``: of a constant operand, how many bits are set.
    """

    a: int
    b: int
    count: int = 1
    role: str = "mac"
    product: int | None = None
    around: "Around | None" = None
    ones: int | None = None


@dataclass(frozen=True)
class Around:
    """Parts right before and behind products: bits of the registers of ``signed`` and of
    ``unsigned`` operands, of those that are right ``before`` them, and of the registers of the
    products; ``sums``: what alone reads those registers, adders and what holds their results;
    ``rounding``: adders of a constant that do."""

    signed: int = 0
    unsigned: int = 0
    before: int = 0
    product: int = 0
    sums: tuple["Part", ...] = ()
    rounding: tuple["Part", ...] = ()


@dataclass(frozen=True)
class SoftProduct:
    """``count`` products of ``a`` signed bits with weights of ``b`` bits, built in LUTs: for every
    two bits of the weight a choice among 0, the factor and its double, negated or not, and an adder
    for each such row but the first."""

    a: int
    b: int
    count: int = 1


@dataclass(frozen=True)
class Adder:
    """``count`` adders or subtractors of ``width`` bits; ``constant``: of a constant or a single
    bit, as in a counter, which some carry chains do without LUTs. Each adds ``terms`` numbers:
    where nothing else reads a sum of some of them, synthesis makes rows of full adders, and one
    carry chain (Yosys: ``alumacc``, ``maccmap``)."""

    width: int
    count: int = 1
    constant: bool = False
    terms: int = 2


@dataclass(frozen=True)
class Accumulator:
    """``count`` adders of ``width`` bits, one operand of which is chosen: a sum so far or a first
    value; one of some constants by which an address moves."""

    width: int
    count: int = 1


@dataclass(frozen=True)
class Compare:
    """``count`` comparisons of ``width``-bit numbers; by a constant is cheaper on most families."""

    width: int
    count: int = 1
    constant: bool = False


@dataclass(frozen=True)
class Clip:
    """``count`` numbers of ``width`` bits clipped to constants of ``bits`` bits, on one side or on
    both ``sides``. A bound on one side is a reset."""

    width: int
    bits: int
    sides: int
    count: int = 1


@dataclass(frozen=True)
class Hold:
    """``bits`` flip-flops, listed elsewhere, that keep their value unless enabled: flip-flops of
    FPGAs have an enable, gates choose."""

    bits: int


@dataclass(frozen=True)
class Mux:
    """``count`` choices of one out of ``ways`` words of ``width`` bits."""

    width: int
    ways: int = 2
    count: int = 1


@dataclass(frozen=True)
class Register:
    """``bits`` flip-flops."""

    bits: int


@dataclass(frozen=True)
class Delay:
    """``bits`` that wait ``cycles`` in flip-flops that have no reset and that nothing else reads:
    shift registers, where LUTs can be those."""

    bits: int
    cycles: int


@dataclass(frozen=True)
class Logic:
    """Glue: ``luts`` four-input functions that no other part stands for."""

    luts: int


@dataclass(frozen=True)
class Memory:
    """``depth`` words of ``width`` bits; ``kind`` is "rom", "ram" (both with a registered read),
    "lutram" (read in the same cycle) or "bank" (likewise, and in every step). Bits that are the
    same in every word of a ROM do not count: synthesis leaves them out; nor do those that repeat
    others, if it is made of LUTs. ``reads`` words are read at once, of as many copies; one
    is enough of flip-flops."""

    depth: int
    width: int
    kind: str
    reads: int = 1


#: A ROM of up to so many words is made of LUTs.
ROM_WORDS = 32

#: Kinds of memories that show a word in the same cycle.
AT_ONCE = ("lutram", "bank")

#: Families whose LUTs cannot be written: iCE40 (Lattice FPGA-TN-02002), and gates.
WITHOUT_LUTRAM = ("ice40", "asic")

Part = (
    Multiplier
    | SoftProduct
    | Adder
    | Accumulator
    | Clip
    | Compare
    | Mux
    | Register
    | Delay
    | Hold
    | Logic
    | Memory
)


def memory_style(memory: Memory, family: str) -> str:
    """Where a memory goes: ``"block"``, ``"distributed"`` (LUTs) or ``"logic"`` (flip-flops).

    Up to 32 words, a LUT-based memory costs at most one LUT a bit; block RAM is for the rest. Where
    LUTs are no memories, each bit takes a flip-flop and about a LUT to choose it: from some eight
    words on, a block is cheaper, unless the word is needed in the same cycle.
    """
    if memory.kind == "rom":
        return "distributed" if memory.depth <= ROM_WORDS else "block"
    if family in WITHOUT_LUTRAM:
        return "logic" if memory.kind in AT_ONCE or memory.depth <= 8 else "block"
    return "distributed" if memory.kind in AT_ONCE or memory.depth <= 32 else "block"
