"""Small parts that every data path is made of."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hwgen.beats import Beats

__all__ = ["delay", "join", "padding_beat", "ports", "register", "split", "wheel"]


def ports(spec):
    """Members of an engine with one input and one output."""
    return {
        "i": In(stream.Signature(spec.inputs[0].width)),
        "o": Out(stream.Signature(spec.outputs[0].width)),
    }


def delay(m: Module, value, cycles: int, name: str, reset_less: bool = False):
    """``value``, ``cycles`` later."""
    for n in range(cycles):
        later = Signal(value.shape(), name=f"{name}{n}", reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value


def register(m: Module, value, name: str = "r"):
    """``value``, one cycle later; data, so not reset."""
    later = Signal(value.shape(), reset_less=True, name=name)
    m.d.sync += later.eq(value)
    return later


def split(bits, count: int, width: int, is_signed: bool):
    """``bits`` as ``count`` numbers of ``width`` bits, the first lowest."""
    words = [bits.word_select(n, width) for n in range(count)]
    return [word.as_signed() for word in words] if is_signed else words


def join(values, width: int):
    """The opposite of ``split``: the low ``width`` bits of each value, the first lowest."""
    values = list(values)
    assert all(len(value) >= width for value in values), "a narrow value would shift the others"
    return Cat(value[:width] for value in values)


def padding_beat(beats: Beats, fill: int, fold):
    """A beat whose values are ``fill``; spare lanes of the last fold hold zeros, as on the map."""
    last = beats.folds - 1
    used = beats.type.channels - last * beats.lanes
    value = C(fill, beats.type.bits)
    lanes = [
        value if lane < used or not fill else Mux(fold == last, 0, value)
        for lane in range(beats.lanes)
    ]
    return Cat(lanes * beats.pixels)


def wheel(m, step, count: int, name: str):
    """A counter modulo ``count`` that ``step`` moves on."""
    value = Signal(range(max(2, count)), name=name)
    with m.If(step):
        m.d.sync += value.eq(Mux(value == count - 1, 0, value + 1))
    return value
