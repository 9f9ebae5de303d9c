"""Every engine against its op: values, stalls, frames back to back, reset, and every cycle."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth import ResetInserter, Signal

from hwgen.beats import Beats
from hwgen.game import Link, play
from hwgen.network import (
    Add,
    Concat,
    Conv2d,
    Linear,
    MaxPool2d,
    Pad2d,
    Requantise,
    Slice,
    SumPool2d,
    TensorType,
    Threshold,
    Upsample2d,
    WinogradConv2d,
)
from hwgen.network.srbs import SubRows
from hwgen.plan.pipeline import input_ports, output_ports
from hwgen.rtl_templates import (
    AddSpec,
    ChannelwiseSpec,
    ConcatSpec,
    ConvertSpec,
    ConvSpec,
    FifoSpec,
    ForkSpec,
    PadSpec,
    RequantiseSpec,
    SliceSpec,
    SparseSpec,
    ThresholdSpec,
    UpsampleSpec,
    WinogradSpec,
)
from hwgen.rtl_templates.memory import words_of
from hwgen.rtl_templates.multiply import BLOCK, SOFT, Style

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import spiking_cases
from harness import run, stalls, stream_get, stream_put, wait
from sub_rows import chosen

FRAMES = 3

#: Cycles after the last frame in which no engine may say anything.
SILENT = 60


def numbers(rng, shape, lo, hi):
    """Random integers, the extremes among them more often than chance has it."""
    values = rng.integers(lo, hi + 1, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([lo, hi], shape), values)


def conv(rng, shape, channels, kernel, *, bits=(8, 8), signed=False, zero=0, **options):
    source = TensorType(shape, bits[0], signed, zero_point=zero)
    half = max(1, (1 << (bits[1] - 1)) - 1)
    weights = numbers(rng, (channels, *kernel, shape[2] // options.get("groups", 1)), -half, half)
    if bits[1] == 1:
        weights = np.where(weights > 0, 1, -1)
    return Conv2d(source, weights, rng.integers(-999, 999, channels), bits[1], **options)


def bipolar(rng, shape, channels, kernel, weight_bits=1, groups=1):
    """A convolution of -1 and +1."""
    source = TensorType(shape, 1, False, "bipolar")
    half = max(1, (1 << (weight_bits - 1)) - 1)
    weights = rng.integers(-half, half + 1, (channels, *kernel, shape[2] // groups))
    if weight_bits == 1:
        weights = np.where(weights > 0, 1, -1)
    return Conv2d(source, weights, rng.integers(-9, 9, channels), weight_bits, groups=groups)


def pruned(rng, weights, pattern):
    """``weights`` (..., C) with ``pattern``, by chance."""
    return np.where(chosen(rng, weights.shape, pattern), weights, 0)


def sparse():
    """Weights in banks: Winograd's, of either tile; direct, of any kernel and stride; one tap."""
    rng = np.random.default_rng(2)
    half, pad = SubRows(4, 2), (1, 1, 1, 1)
    quarter = SubRows(8, 2)
    for m, bits, zero, style in ((2, 0, 3, BLOCK), (4, 7, 5, BLOCK), (2, 6, 0, SOFT)):
        t, kind = m + 2, TensorType((3, 4, 8), 4, False, zero_point=zero)
        shifts = rng.integers(0, 4, (t, t)) if bits else np.zeros((t, t), int)
        weights = pruned(rng, numbers(rng, (t, t, 3, 8), -7, 7), half)
        more = rng.integers(-99, 99, 3), 4, m, rng.integers(0, 3, (t, t)), shifts, bits, pad
        op = WinogradConv2d(kind, weights, *more)
        yield SparseSpec(
            (op,), half, 2 if m == 2 else 1, 2 if style == BLOCK else 1, 2, style=style
        )
    kind = TensorType((2, 8, 8), 4, True)
    weights, zeros = pruned(rng, numbers(rng, (4, 4, 2, 8), -3, 3), quarter), np.zeros((4, 4), int)
    op = WinogradConv2d(kind, weights, np.arange(2), 3, 2, zeros, zeros, 0, pad)
    yield SparseSpec((op,), quarter, 1, 1, 2, 2, 4, 2, Style(pixels=2), "xcup")

    def direct(shape, kernel, pattern, **options):
        op = conv(rng, shape, 3, kernel, bits=(5, 4), **options)
        return replace(op, weights=pruned(rng, op.weights, pattern))

    yield SparseSpec(
        (direct((4, 6, 8), (3, 3), quarter, padding=pad, zero=7),), quarter, 1, 2, 2, 2
    )
    strided = direct((5, 8, 8), (2, 3), half, padding=(0, 1, 0, 1), stride=(2, 2))
    yield SparseSpec((strided,), half, 2, 1, 1, 2, 4, 2, Style(pixels=2), "xcup")
    yield SparseSpec((direct((5, 4, 8), (1, 1), half, stride=(2, 2)),), half, 1, 3, 2)
    for shape, lanes in (((16,), (1, 3, 4)), ((2, 2, 4), (2, 2, 2))):
        source = TensorType(shape, 6, False)
        weights = pruned(rng, numbers(rng, (5, 16), -31, 31), quarter).reshape(5, *shape)
        op = Linear(source, weights, rng.integers(-99, 99, 5), 6)
        yield SparseSpec((op,), quarter, *lanes)


def requantise(rng, shape, *, bits=8, signed=False, zero=0, shift=14, multiplier=None, wide=18):
    source = TensorType(shape, wide, True)
    if multiplier is None:
        multiplier = rng.integers(1, 1 << 10, shape[-1])
    lo, hi = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return Requantise(source, multiplier, shift, bits, signed, zero, lo, hi)


def cases():
    rng = np.random.default_rng(1)
    pad = (1, 1, 1, 1)
    yield ConvSpec((conv(rng, (5, 6, 3), 4, (3, 3), padding=pad),), 3, 2)
    yield ConvSpec((conv(rng, (5, 6, 3), 5, (3, 3), padding=pad, zero=7),), 2, 3)
    yield ConvSpec((conv(rng, (5, 6, 4), 4, (3, 3), padding=pad),), 2, 2, 2)
    yield ConvSpec((conv(rng, (4, 8, 2), 3, (3, 3), padding=pad),), 1, 3, 8)
    yield ConvSpec((conv(rng, (6, 6, 2), 2, (3, 3), padding=pad, stride=(2, 2)),), 1, 1)
    yield ConvSpec((conv(rng, (8, 8, 2), 2, (3, 3), padding=pad, stride=(2, 2)),), 2, 1, 2)
    yield ConvSpec((conv(rng, (7, 5, 1), 3, (2, 3), padding=(0, 1, 2, 0)),), 1, 3)
    yield ConvSpec((conv(rng, (4, 4, 6), 7, (1, 1)),), 3, 7)
    yield ConvSpec((conv(rng, (5, 5, 2), 2, (5, 5), padding=(2, 2, 2, 2)),), 1, 2, 5)
    alone = conv(rng, (3, 4, 2), 3, (1, 1), padding=(1, 0, 2, 0), zero=5)  # windows of padding
    yield ConvSpec((alone,), 2, 3)
    yield ConvSpec((alone,), 1, 1, 2)
    yield ConvSpec((conv(rng, (4, 4, 2), 3, (3, 3), bits=(16, 16), signed=True),), 2, 3)
    yield ConvSpec((conv(rng, (4, 4, 4), 3, (3, 3), bits=(1, 1)),), 4, 2)
    yield ConvSpec((conv(rng, (4, 4, 4), 3, (3, 3), bits=(1, 1)),), 4, 3)
    yield ConvSpec((conv(rng, (4, 4, 4), 3, (3, 3), bits=(5, 1), zero=3, padding=pad),), 3, 2)
    yield ConvSpec((conv(rng, (4, 4, 4), 4, (3, 3), bits=(4, 1), signed=True, padding=pad),), 2, 2)
    yield ConvSpec((conv(rng, (4, 4, 4), 4, (3, 3), bits=(6, 2), padding=pad),), 2, 2)
    yield ConvSpec((conv(rng, (9, 7, 1), 2, (3, 3), stride=(3, 2)),), 1, 1)
    yield ConvSpec((conv(rng, (1, 1, 4), 2, (1, 1)),), 4, 2)
    small = conv(rng, (4, 4, 2), 4, (3, 3), padding=pad)
    yield WinogradSpec((small,), 4, 1, 1, 1, 4, 2)
    odd = conv(rng, (5, 6, 3), 5, (3, 3), padding=pad, zero=7)
    yield WinogradSpec((odd,), 2, 2, 2)
    yield WinogradSpec((odd,), 4, 2, 1, 2)
    yield WinogradSpec((conv(rng, (3, 3, 2), 2, (3, 3), padding=(4, 0, 1, 1)),), 2, 1, 1)
    wide = conv(rng, (4, 8, 3), 4, (3, 3), padding=(0, 2, 1, 1), bits=(4, 3), signed=True)
    yield WinogradSpec((wide,), 2, 1, 3, 4, 8, 8)
    for style in (Style(pixels=2), Style(lanes=2)):
        yield WinogradSpec((wide,), 2, 2, 2, 2, 4, 2, style, "xcup")
    yield WinogradSpec((small,), 2, 2, 1, style=SOFT)
    for m, bits, zero in ((2, 0, 3), (2, 6, 0), (4, 7, 5)):
        t, kind = m + 2, TensorType((5, 4, 3), 4, False, zero_point=zero)
        shifts = rng.integers(0, 4, (t, t)) if bits else np.zeros((t, t), int)
        align = rng.integers(0, 3, (t, t))
        weights, bias = numbers(rng, (t, t, 4, 3), -7, 7), rng.integers(-99, 99, 4)
        op = WinogradConv2d(kind, weights, bias, 4, m, align, shifts, bits, pad)
        yield WinogradSpec((op,), m, 2, 1)
    yield WinogradSpec((conv(rng, (3, 9, 2), 3, (3, 3), bits=(1, 1)),), 2, 1, 3, 2)
    for shape, lanes in (((12,), (4, 5)), ((3, 2, 5), (2, 1)), ((7,), (7, 10)), ((16,), (1, 1))):
        source = TensorType(shape, 6, False)
        weights = numbers(rng, (10, *shape), -31, 31)
        yield ConvSpec((Linear(source, weights, rng.integers(-99, 99, 10), 6),), *lanes)
    eight = conv(rng, (4, 4, 4), 4, (3, 3), padding=pad, zero=9)
    four = conv(rng, (4, 6, 3), 5, (3, 3), bits=(4, 4), signed=True)
    least = replace(four, weights=np.where(four.weights == 7, -8, four.weights))
    for spec in (ConvSpec((eight,), 2, 2), ConvSpec((four,), 3, 5, 2), ConvSpec((least,), 1, 3, 2)):
        yield replace(spec, style=SOFT)
        yield replace(spec, style=Style(pixels=spec.pixels, lanes=2))
    yield ConvSpec((bipolar(rng, (5, 5, 14), 4, (3, 3)),), 14, 2)
    yield ConvSpec((bipolar(rng, (4, 6, 7), 5, (3, 3)),), 4, 3, 2)
    yield ConvSpec((bipolar(rng, (3, 3, 4), 6, (2, 2), groups=2),), 1, 3)
    yield ConvSpec((bipolar(rng, (4, 4, 5), 3, (3, 3), weight_bits=5),), 2, 2, 2)
    yield ConvSpec((bipolar(rng, (4, 4, 5), 3, (1, 1), weight_bits=2),), 3, 3)
    source = TensorType((3, 4, 5), 9, True)
    yield ThresholdSpec((Threshold(source, np.array([0, -256, 256, 7, -1])),), 2, 2)
    yield ThresholdSpec((Threshold(source, np.zeros(5, int)),), 5)
    signs = TensorType((6, 8, 3), 1, False, "bipolar")
    yield ChannelwiseSpec((MaxPool2d(signs, (3, 3), (2, 2), (1, 1, 1, 1)),), 2)
    yield RequantiseSpec((requantise(rng, (3, 4, 5)),), 2)
    yield RequantiseSpec((requantise(rng, (3, 4, 6), zero=9),), 6, 2)
    for limb, wide in ((17, 18), (17, 19), (8, 18), (17, 26)):
        yield RequantiseSpec((requantise(rng, (3, 2, 4), wide=wide, zero=3),), 2, limb=limb)
    yield RequantiseSpec((requantise(rng, (3, 2, 4), wide=19, zero=3),), 2, 2, style=SOFT)
    yield RequantiseSpec((requantise(rng, (3, 2, 3), zero=-3, signed=True),), 3, style=SOFT)
    yield RequantiseSpec((requantise(rng, (10,), bits=16, signed=True, zero=-3, shift=3),), 3)
    yield RequantiseSpec(
        (requantise(rng, (2, 2, 3), multiplier=np.ones(3, np.int64), shift=9, zero=1),), 2
    )
    yield RequantiseSpec(
        (requantise(rng, (2, 2, 3), multiplier=np.ones(3, np.int64), shift=0, wide=9),), 3
    )
    for slopes, pixels in (((0, 99, 1024), 1), ((-300, 99, 4), 2)):
        some = requantise(rng, (3, 2, 5), zero=7)
        leaky = replace(some, negative=np.resize(slopes, 5))
        yield RequantiseSpec((leaky,), 2, pixels, limb=9)
        yield RequantiseSpec((leaky,), 5)
        flat = replace(some, multiplier=np.full(5, 700), negative=np.full(5, slopes[1]))
        yield RequantiseSpec((flat,), 2, pixels)
    ones = np.ones(4, int)  # multipliers of one bit, and powers of two, with slopes such as -1
    for multiplier, slopes in (
        (ones, (0, 1, -1, 0)),
        (ones, (1, 0, 1, 0)),
        (4 * ones, (0, 8, -4, 1)),
    ):
        source = TensorType((3, 4, 4), 6, True)
        op = Requantise(source, multiplier, 1, 8, True, 0, -128, 127, np.array(slopes))
        for lanes, pixels, limb in ((2, 2, 0), (4, 4, 0), (2, 1, 3)):
            yield RequantiseSpec((op,), lanes, pixels, limb)
    for zero, scale in ((200, 1), (17, 33)):  # rounded once more, from another zero point
        source = TensorType((3, 2, 4), 8, False, zero_point=zero)
        again = Requantise(source, np.full(4, scale), 0, 8, False, 90, 90, 250, None)
        yield RequantiseSpec((again,), 2)
    narrow = TensorType((2, 2, 4), 6, True)  # its clipped values are narrower than their slots
    yield RequantiseSpec((Requantise(narrow, np.ones(4, int), 4, 8, False, 0, 0, 3),), 4)
    for signed in (False, True):
        source = TensorType((6, 8, 3), 5, signed)
        yield ChannelwiseSpec((MaxPool2d(source, (2, 2), (2, 2)),), 2)
        yield ChannelwiseSpec((MaxPool2d(source, (2, 2), (2, 2)),), 3, 2)
        yield ChannelwiseSpec((MaxPool2d(source, (3, 3), (2, 2), (1, 1, 1, 1)),), 1)
        yield ChannelwiseSpec((MaxPool2d(source, (3, 3), (1, 1), (1, 1, 1, 1)),), 3, 4)
    for shape, lanes in (((7, 7, 4), 1), ((3, 3, 5), 1), ((5, 7, 2), 2)):
        yield ChannelwiseSpec((MaxPool2d(TensorType(shape, 8, False), (2, 2), (2, 2)),), lanes)
    for groups, dilation in ((2, (1, 1)), (1, (2, 2)), (4, (1, 2))):
        op = conv(
            rng,
            (8, 8, 4),
            8,
            (3, 3),
            padding=(2, 2, 2, 2),
            zero=5,
            groups=groups,
            dilation=dilation,
        )
        yield ConvSpec((op,), 1, 2)
        yield ConvSpec((op,), 1, 1, 2)
    for zero, dilation in ((0, (1, 1)), (9, (2, 1))):
        op = conv(rng, (6, 6, 5), 5, (3, 3), padding=pad, zero=zero, groups=5, dilation=dilation)
        yield ChannelwiseSpec((op,), 2)
        yield ChannelwiseSpec((op,), 5, 2)
        yield ChannelwiseSpec((op,), 2, 3, Style(pixels=2))
        yield ChannelwiseSpec((op,), 3, 1, SOFT)
        pool = SumPool2d(TensorType((4, 6, 5), 6, False, zero_point=zero), (2, 2), (2, 2))
        yield ChannelwiseSpec((pool,), 2, 3)
        yield ChannelwiseSpec((SumPool2d(pool.input, (4, 6), (1, 1)),), 3)
    source = TensorType((3, 4, 10), 5, True)
    for a, b in ((1, 5), (10, 2), (4, 3), (3, 4), (10, 10), (2, 10), (7, 1)):
        yield ConvertSpec(Beats(source, a), Beats(source, b))
        yield ConvertSpec(Beats(source, a, 2), Beats(source, b, 2))
    for (a, p), (b, q) in (((1, 1), (10, 4)), ((10, 4), (3, 1)), ((10, 2), (10, 4))):
        yield ConvertSpec(Beats(source, a, p), Beats(source, b, q))
    for ways in (2, 3):
        yield ForkSpec(Beats(source, 5, 2), ways)
    for zero, factors in ((0, (1, 1)), (5, (4, 1)), (-3, (1, 8)), (7, (119, 46)), (0, (3, 683))):
        other = TensorType((3, 4, 10), 4, True, zero_point=min(zero, 3))
        first = TensorType((3, 4, 10), 6, False, zero_point=max(zero, 0))
        yield AddSpec((Add(first, other, factors),), 2, 4)
        yield AddSpec((Add(other, first, factors),), 10)
    vector, pixel = (TensorType(shape, 5, True) for shape in ((10,), (1, 1, 10)))
    yield AddSpec((Add(vector, pixel, (3, 1)),), 5)
    yield from arranging()
    yield from sparse()
    for depth in (1, 2, 5, 33, 40):
        yield FifoSpec(Beats(source, 3), depth)
    yield from spiking_cases.cases()


def arranging():
    """Engines that move values and compute nothing."""
    first, second = TensorType((3, 4, 4), 5, False), TensorType((3, 4, 5), 5, False)
    for lanes, pixels in ((1, 1), (2, 2), (4, 1), (9, 4)):
        yield ConcatSpec((Concat((first, second), (0, 0)),), lanes, pixels)
    narrow, odd = TensorType((3, 4, 6), 3, True, zero_point=1), TensorType((3, 4, 2), 4, False)
    for lanes, pixels in ((1, 4), (2, 1), (12, 2)):
        yield ConcatSpec((Concat((first, narrow, odd), (0, 2, 1), -3),), lanes, pixels)
    yield ConcatSpec((Concat((narrow, second), (1, 0), 7),), 3)
    yield ConcatSpec((Concat((TensorType((4,), 3, False), TensorType((7,), 8, True)), (0, 0)),), 2)
    whole = TensorType((4, 6, 9), 3, True)
    for start, stop, lanes, pixels in (
        ((0, 0, 3), (4, 6, 9), 3, 2),
        ((0, 0, 3), (4, 6, 7), 3, 6),
        ((0, 0, 2), (4, 6, 3), 9, 3),
        ((0, 0, 5), (4, 6, 9), 1, 1),
        ((1, 2, 0), (3, 4, 8), 5, 2),
        ((0, 1, 0), (1, 6, 9), 9, 1),
    ):
        yield SliceSpec((Slice(whole, start, stop),), lanes, pixels)
    yield SliceSpec((Slice(TensorType((9,), 4, False), (0, 0, 4), (1, 1, 7)),), 2)
    for padding, value, lanes, pixels in (
        ((1, 0, 2, 1), -4, 4, 1),
        ((0, 2, 3, 0), 2, 2, 3),
        ((0, 0, 2, 4), 3, 9, 2),
    ):
        yield PadSpec((Pad2d(whole, padding, value),), lanes, pixels)
    for factor, lanes, pixels, wide in (
        ((2, 2), 4, 1, False),
        ((2, 3), 4, 2, True),
        ((1, 2), 9, 1, False),
        ((1, 2), 3, 6, True),
        ((3, 1), 2, 3, True),
    ):
        yield UpsampleSpec((Upsample2d(whole, factor),), lanes, pixels, wide)


def describe(spec):
    name = type(spec).__name__.removesuffix("Spec")
    style = f", {spec.style}" if hasattr(spec, "style") else ""
    return f"{name}[{spec.inputs[-1]} to {spec.outputs[0]}{style}]"


CASES = [pytest.param(spec, id=describe(spec)) for spec in cases()]


def draw(spec, seed):
    """A few frames of each input, extreme ones first."""
    rng = np.random.default_rng(seed)
    frames = []
    for source in spec.inputs:
        kind = source.type
        some = numbers(rng, (FRAMES, *kind.shape), kind.lo, kind.hi)
        some[0] = rng.choice([kind.lo, kind.hi])
        if kind.encoding == "bipolar":
            some = np.where(some > 0, 1, -1)
        frames.append(some)
    return frames


def golden(spec, seed):
    """Payloads of a few frames by input port and by output port."""
    frames = draw(spec, seed)
    result = spec.ops[0].compute(*frames) if hasattr(spec, "ops") else frames[0]
    given = {
        port: words_of(source.pack(some), source.type.bits)
        for port, source, some in zip(input_ports(spec), spec.inputs, frames, strict=True)
    }
    expected = {
        port: words_of(target.pack(result), target.type.bits)
        for port, target in zip(output_ports(spec), spec.outputs, strict=True)
    }
    return given, expected


def source(stream, payloads, rate=0.0, seed=0, before=None):
    """A testbench that offers ``payloads`` one after another."""

    async def bench(ctx):
        if before:
            await before(ctx)
        idle = stalls(rate, seed)
        for payload in payloads:
            await wait(ctx, next(idle))
            await stream_put(ctx, stream, payload)

    return bench


def sink(stream, payloads, rate=0.0, seed=0, before=None):
    """A testbench that takes beats and compares them with ``payloads``."""

    async def bench(ctx):
        if before:
            await before(ctx)
        idle = stalls(rate, seed)
        for number, payload in enumerate(payloads):
            await wait(ctx, next(idle))
            assert await stream_get(ctx, stream) == payload, f"beat {number}"
        for _ in range(SILENT):
            assert not ctx.get(stream.valid), "a beat of a frame that has not come"
            await ctx.tick()

    return bench


@pytest.mark.parametrize("rate", [0, 0.4])
@pytest.mark.parametrize("spec", CASES)
def test_values(spec, rate):
    given, expected = golden(spec, seed=2)
    dut = spec.create()
    ends = (
        *(source(getattr(dut, port), words, rate, port) for port, words in given.items()),
        *(sink(getattr(dut, port), words, rate, port) for port, words in expected.items()),
    )
    run(dut, *ends)


@pytest.mark.parametrize("spec", CASES)
def test_cycles(spec):
    given, expected = golden(spec, seed=5)
    dut = spec.create()
    began, ends = [], [[] for _ in expected]

    def eager_source(stream, payloads):
        async def bench(ctx):
            ctx.set(stream.valid, 1)
            cycle = 0
            for payload in payloads:
                ctx.set(stream.payload, payload)
                taken = False
                while not taken:
                    *_, taken = await ctx.tick().sample(stream.ready)
                    if taken:
                        began.append(cycle)
                    cycle += 1
            ctx.set(stream.valid, 0)

        return bench

    def eager_sink(stream, count, beats, seen_ends):
        async def bench(ctx):
            ctx.set(stream.ready, 1)
            cycle = seen = 0
            while seen < count:
                *_, offered = await ctx.tick().sample(stream.valid)
                seen += offered
                if offered and seen % beats == 0:
                    seen_ends.append(cycle)
                cycle += 1

        return bench

    run(
        dut,
        *(eager_source(getattr(dut, port), words) for port, words in given.items()),
        *(
            eager_sink(getattr(dut, port), len(words), beats.count, seen)
            for (port, words), beats, seen in zip(expected.items(), spec.outputs, ends, strict=True)
        ),
    )
    links = [Link(None, ("dut", port)) for port in given]
    links += [Link(("dut", port), None) for port in expected]
    trips = spec.trips(*draw(spec, seed=5)) if hasattr(spec, "trips") else {}
    data = {("dut", name): counts for name, counts in trips.items()}
    played = play({"dut": spec.schedule()}, links, FRAMES, data=data)
    assert not played.deadlock
    assert [max(same) - min(began) for same in zip(*ends, strict=True)] == list(played.ends)


@pytest.mark.parametrize("spec", CASES[::3])
def test_reset_in_the_middle_of_a_frame(spec):
    given, expected = golden(spec, seed=6)
    clear, over, started = Signal(), [], []
    inner = spec.create()
    cycles = random.Random(7).randrange(1, max(map(len, given.values())))

    async def begin(ctx):
        while not started:
            await ctx.tick()

    def spoil(port, payloads):
        async def bench(ctx):
            stream = getattr(inner, port)
            ctx.set(stream.valid, 1)
            for payload in payloads:
                ctx.set(stream.payload, payload)
                taken = False
                while not taken and not over:
                    *_, taken = await ctx.tick().sample(stream.ready)
            ctx.set(stream.valid, 0)
            await begin(ctx)

        return bench

    async def reset(ctx):
        for port in expected:
            ctx.set(getattr(inner, port).ready, 1)
        await wait(ctx, cycles)
        ctx.set(clear, 1)
        over.append(True)
        await wait(ctx, 2)  # in which the sources fall silent
        ctx.set(clear, 0)
        for port in expected:
            ctx.set(getattr(inner, port).ready, 0)
        started.append(True)

    run(
        ResetInserter(clear)(inner),
        reset,
        *(
            source(getattr(inner, port), words, before=spoil(port, words))
            for port, words in given.items()
        ),
        *(sink(getattr(inner, port), words, before=begin) for port, words in expected.items()),
    )
