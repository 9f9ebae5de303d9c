"""Hardware of products (``multiply.Products``): in DSP blocks, several to a block, or in LUTs."""

from collections.abc import Sequence
from itertools import product as pairs_of

from amaranth import C, Cat, Mux
from amaranth.hdl import Value

from hwgen.rtl_templates.adders import Term, plus
from hwgen.rtl_templates.multiply import Products, Weights
from hwgen.rtl_templates.pipeline import register

__all__ = ["multiplied"]


def multiplied(m, kind: Products, x: Sequence, w: Sequence) -> list[list[Term]]:
    """Every product [pixel][lane] of factors ``x`` and stored weights ``w``, ``kind.latency``
    cycles later."""
    if not kind.soft:
        return _in_blocks(m, kind, x, w)
    if kind.counted:
        return [[(~(factor[0] ^ weight[0]), None) for weight in w] for factor in x]
    return (_negated if kind.x_bipolar else _recoded)(m, kind, x, w)


def _in_blocks(m, kind: Products, x, w) -> list[list[Term]]:
    if kind.latency > 1:
        w = [register(m, weight) for weight in w]
    factors: dict[tuple[range, int], Value] = {}
    made: list[list[Term]] = [[(C(0), None)] * kind.lanes for _ in x]
    for pixels, lanes in kind.groups:
        apart = len(lanes) * kind.bits
        if (pixels, apart) not in factors:
            factors[pixels, apart] = _packed(m, kind, [x[n] for n in pixels], apart)
        weights = _side_by_side([w[n] for n in lanes], kind.bits).as_signed()
        product = register(m, (factors[pixels, apart] * weights)[: len(pixels) * apart])
        for field, (pixel, lane) in enumerate(pairs_of(pixels, lanes)):
            start = field * kind.bits
            number = product[start : start + kind.bits].as_signed()
            made[pixel][lane] = number, product[start - 1] if start else None
    return made


def _packed(m, kind: Products, x, apart: int):
    """One operand of factors that lie ``apart`` bits apart."""
    if not kind.x_signed:
        return _side_by_side(x, apart)
    packed = [x[0]]
    for factor in x[1:]:
        lent = factor - packed[-1][-1]  # the lower one borrows if it is negative
        packed.append(lent if kind.x_least else _fit(lent, kind.x_bits))
    operand = _side_by_side(packed, apart).as_signed()
    return register(m, operand) if kind.latency > 1 else operand


def _negated(m, kind: Products, x, w) -> list[list[Term]]:
    """Weights times bits that mean -1 and +1."""
    minus = [~factor[0] for factor in x]
    carries = [register(m, negative) for negative in minus]
    return [
        [(register(m, _complement(weight, negative)), carry) for weight in w]
        for negative, carry in zip(minus, carries, strict=True)
    ]


def _recoded(m, kind: Products, x, w) -> list[list[Term]]:
    """Booth, radix 4: two digits of the weights a cycle."""
    made: list[list] = [[(None, None)] * kind.lanes for _ in x]
    carries = [~weight[0] if kind.weights is Weights.SIGN else weight[1] for weight in w]
    for stage in range(kind.latency):
        last = stage + 1 == kind.latency
        carries = [register(m, carry) for carry in carries]
        for pixel, lane in pairs_of(range(kind.pixels), range(kind.lanes)):
            total = _add_digits(kind, x[pixel], w[lane], made[pixel][lane][0], stage)
            bits = kind.bits if last else kind.x_bits + 4 * (stage + 1)
            made[pixel][lane] = register(m, _fit(total, bits)), carries[lane]
        if not last:
            x = [register(m, factor) for factor in x]
            w = [register(m, weight) for weight in w]
    return made


def _add_digits(kind: Products, x, w, total, stage: int):
    """``total``, and what the two digits of ``stage`` add to it."""
    for digit in range(2 * stage, min(2 * stage + 2, kind.rows)):
        row, negative = _row(kind, x, w, digit)
        if digit == 0:
            total = row
        else:
            upper = plus(total[2 * digit :].as_signed(), row, negative)
            total = Cat(total[: 2 * digit], upper).as_signed()
    return total


def _row(kind: Products, x, w, digit: int):
    """A digit times ``x``, less one if the digit is negative; and whether it is."""
    factor = Cat(x, x[-1] if kind.x_signed else C(0, 1)).as_signed()
    if kind.weights is Weights.SIGN:
        return _complement(factor, ~w[0]), ~w[0]
    if kind.weights is Weights.TERNARY:
        return _complement(Mux(w[0], factor, 0), w[1]), w[1]
    below = w[2 * digit - 1] if digit else C(0, 1)
    low, high = w[2 * digit], w[min(2 * digit + 1, kind.w_bits - 1)]
    one, two = low ^ below, (high ^ low) & ~(low ^ below)
    double = Cat(C(0, 1), factor).as_signed()
    return _complement(Mux(one, factor, 0) | Mux(two, double, 0), high), high


def _side_by_side(numbers, apart: int):
    """``numbers`` with ``apart`` bits from one to the next, each extended as its sign asks."""
    return Cat(*(_fit(number, apart) for number in numbers[:-1]), numbers[-1])


def _fit(number, bits: int):
    """``number`` in ``bits`` bits."""
    if len(number) > bits:
        low = number[:bits]
        return low.as_signed() if number.shape().signed else low
    fill = number[-1] if number.shape().signed else C(0, 1)
    wide = Cat(number, fill.replicate(bits - len(number)))
    return wide.as_signed() if number.shape().signed else wide


def _complement(number, when):
    """``number``, or its complement."""
    return (number ^ when.replicate(len(number)))[: len(number)].as_signed()
