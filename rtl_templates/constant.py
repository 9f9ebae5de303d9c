"""Products with a number that is known beforehand: shifts and adders, no multiplier."""

from collections.abc import Iterator

from hwgen.primitives import Adder, Part

__all__ = ["is_shift", "parts", "times"]


def _digits(factor: int) -> Iterator[tuple[int, int]]:
    """``(place, sign)`` with ``factor = sum(sign << place)``: the canonical signed digits, of which
    no sum has fewer (Reitwiesner, "Binary arithmetic", 1960)."""
    place = 0
    while factor:
        if factor & 1:
            sign = 2 - (factor & 3)  # of two ones in a row, the lower is subtracted
            yield place, sign
            factor -= sign
        factor, place = factor >> 1, place + 1


def is_shift(factor: int) -> bool:
    """Whether ``factor``, at least 1, is a power of two."""
    return factor & (factor - 1) == 0


def times(value, factor: int):
    """``value * factor`` as shifts and sums, added two by two."""
    terms = [(value << place, sign) for place, sign in _digits(factor)][::-1]
    while len(terms) > 1:  # the first is the highest, and so always positive
        pairs = zip(terms[::2], terms[1::2], strict=False)
        odd = terms[len(terms) // 2 * 2 :]
        terms = [(a + b if sign == other else a - b, sign) for (a, sign), (b, other) in pairs] + odd
    return terms[0][0]


def parts(bits: int, factor: int, count: int) -> list[Part]:
    """What ``count`` products of ``bits``-bit values take."""
    adders = len(list(_digits(factor))) - 1
    return [Adder(bits + factor.bit_length(), adders * count)] if adders else []
