"""Sums of many terms: adders with a carry input, and a pipelined tree of them.

A term is a number and a carry bit that is to be added to it, or None. An adder adds two numbers and
one carry, so that a tree over ``n`` terms with ``n`` carries leaves one term with one carry.
"""

from collections.abc import Iterator, Sequence

from amaranth import C, Cat
from amaranth.hdl import Value

from hwgen.primitives import Adder, Delay, Logic, Part, Register
from hwgen.rtl_templates.pipeline import register

__all__ = ["COUNTED", "Term", "counts", "counts_parts", "levels", "plus", "tree", "tree_parts"]

#: A number, and a bit to add to it.
Term = tuple[Value, Value | None]


def plus(a, b, carry=None):
    """``a + b + carry``, signed, by one adder: a carry input is one more bit below."""
    if carry is None:
        return a + b
    low = Cat(C(1, 1), a).as_signed() + Cat(carry, b).as_signed()
    return low[1:].as_signed()


def levels(terms: int) -> int:
    """Levels, and cycles, of a tree over so many terms."""
    return (terms - 1).bit_length()


def tree(m, terms: Sequence[Term]) -> Term:
    """The sum of ``terms``, ``levels(len(terms))`` cycles later."""
    numbers = [number for number, _ in terms]
    carries = [carry for _, carry in terms if carry is not None]
    while len(numbers) > 1:
        pairs = list(zip(numbers[0::2], numbers[1::2], strict=False))
        used, carries = carries[: len(pairs)], carries[len(pairs) :]
        used += [None] * (len(pairs) - len(used))
        rest = [register(m, numbers[-1])] if len(numbers) % 2 else []
        numbers = [register(m, plus(a, b, c)) for (a, b), c in zip(pairs, used, strict=True)]
        numbers += rest
        carries = [register(m, carry) for carry in carries]
    return numbers[0], carries[0] if carries else None


#: Bits that are counted in one go: the inputs of a large LUT.
COUNTED = 6


def counts(m, bits: Sequence[Value]) -> list[Term]:
    """How many of each few ``bits`` are set, a cycle later; their sum is that of all bits."""
    return [
        (register(m, _count(bits[n : n + COUNTED])), None) for n in range(0, len(bits), COUNTED)
    ]


def counts_parts(bits: int, count: int) -> Iterator[Part]:
    """Parts of ``count`` times ``counts`` of so many bits that are each an XNOR."""
    groups = -(-bits // COUNTED)
    last = bits - (groups - 1) * COUNTED
    yield Register((3 * (groups - 1) + last.bit_length()) * count)
    yield Logic((2 * bits + groups) * count)


def _count(bits: Sequence[Value]) -> Value:
    """The number of up to six bits that are set: two full adders, and one over their results."""
    low, high = [], []
    for n in range(0, len(bits), 3):
        some = [*bits[n : n + 3], C(0, 1), C(0, 1)][:3]
        low.append(some[0] ^ some[1] ^ some[2])
        high.append((some[0] & some[1]) | (some[2] & (some[0] ^ some[1])))
    if len(low) == 1:
        return Cat(low[0], high[0])[: len(bits).bit_length()]
    both = low[0] & low[1]
    total = Cat(
        low[0] ^ low[1],
        high[0] ^ high[1] ^ both,
        (high[0] & high[1]) | (both & (high[0] ^ high[1])),
    )
    return total[: len(bits).bit_length()]


def tree_parts(
    bits: int, terms: int, carries: int, count: int, shared: int = 1, waited: int = 0
) -> Iterator[Part]:
    """Parts of ``count`` trees over ``terms`` numbers of ``bits`` bits, ``carries`` of them with a
    carry. ``shared`` trees have the same carries, which have waited for so many cycles when the
    numbers come; all that time counts as part of the tree."""
    while terms > 1:
        pairs, bits = terms // 2, bits + 1
        carried = min(pairs, carries)
        yield Adder(bits + 1, carried * count)
        yield Adder(bits, (pairs - carried) * count)
        yield Delay(carried * count // shared, waited)
        terms, carries, waited = terms - pairs, carries - carried, waited + 1
        yield Register(bits * terms * count)
    yield Delay(carries * count // shared, waited)
