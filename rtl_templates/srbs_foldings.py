"""Which foldings of the sparse array are worth offering."""

from collections.abc import Callable, Iterator
from functools import partial
from math import gcd, log
from typing import Any

from hwgen.beats import useful_lanes
from hwgen.network import Conv2d, Linear, WinogradConv2d
from hwgen.network.direct import direct
from hwgen.network.srbs import SubRows, obstacle, pattern_of
from hwgen.rtl_templates.tiled_foldings import STARVED, narrowest, unbeaten
from hwgen.rtl_templates.tiled_styles import styled

__all__ = ["foldings"]

#: Makes a spec of ops, pattern, banks, output lanes, stream lanes, tiles, source and target pixels.
Make = Callable[..., Any]

#: Ratio of the steps of one folding that is offered to those of the next.
STEP = 1.12

#: Foldings of about as many steps that are offered.
TIES = 2

#: Tiles side by side that the planner is offered.
MOST_TILES = 8


def foldings(make: Make, op: WinogradConv2d | Conv2d | Linear, family: str) -> Iterator[Any]:
    """Foldings about ``STEP`` apart in cycles that nothing but the array slows down: those that
    waste least, and of these the ones with most banks, whose memories are smallest."""
    if obstacle(op):
        return
    pattern = pattern_of(op)
    assert pattern is not None
    domain = op.domain if isinstance(op, WinogradConv2d) else direct(op)
    down, across = domain.counts
    parts = pattern.count(domain.input.channels)
    rungs: dict[int, list[tuple[int, ...]]] = {}
    for tiles in (n for n in range(1, MOST_TILES + 1) if across % n == 0):
        for banks in (n for n in range(1, parts + 1) if parts % n == 0):
            for outs in useful_lanes(op.output.channels):
                folds = -(-op.output.channels // outs) * (parts // banks) * pattern.kept
                steps = down * across // tiles * folds
                sized = steps * tiles * banks * outs, -banks, steps, outs, tiles
                rungs.setdefault(int(log(steps, STEP)), []).append(sized)
    offers = []
    for rung in rungs.values():
        # Beats of one pixel suit every neighbour; of several, those with as many.
        for widest, most in ((None, TIES), (1, 1)):
            offered = 0
            for _, banks, steps, outs, tiles in sorted(rung):
                spec = _balanced(make, op, pattern, -banks, outs, tiles, steps, widest)
                if spec is not None:
                    offered += 1
                    offers.append(spec)
                if offered == most:
                    break
    offers += _simple(make, op, pattern)
    for spec in {_shape(spec): spec for spec in offers}.values():
        yield from styled(spec, family)


def _simple(make: Make, op, pattern: SubRows) -> Iterator[Any]:
    """Small foldings of one tile at a time, with beats of one pixel, which suit every neighbour,
    that no other beats in steps and multipliers, whether or not streams slow them down."""
    one = make((op,), pattern, 1, 1)
    specs = [
        make((op,), pattern, banks, outs, lanes)
        for banks in (n for n in range(1, one.sub_rows + 1) if one.sub_rows % n == 0)
        for outs in useful_lanes(op.output.channels)
        if banks * outs * one.multipliers < STARVED
        for lanes in _stream_lanes(op, pattern)
    ]
    return unbeaten(specs or [one])


def _shape(spec) -> tuple[int, ...]:
    """All that makes foldings of one op differ."""
    array = spec.in_lanes, spec.out_lanes, spec.tiles
    return *array, spec.stream_lanes, spec.source_pixels, spec.target_pixels


def _stream_lanes(op, pattern: SubRows) -> Iterator[int]:
    """Channels that a beat may carry."""
    channels = op.input.channels
    for lanes in (1 << n for n in range(pattern.length.bit_length())):
        if lanes <= channels and not (isinstance(op, Linear) and channels % lanes):
            yield lanes


def _balanced(
    make: Make,
    op,
    pattern: SubRows,
    banks: int,
    outs: int,
    tiles: int,
    steps: int,
    widest: int | None,
) -> Any:
    """The narrowest streams, of beats of at most ``widest`` pixels, that do not slow the array
    down; None if there are none."""
    source = op.input.map_shape
    width = op.output.map_shape[1]
    for lanes in _stream_lanes(op, pattern):
        spec = make((op,), pattern, banks, outs, lanes, tiles)
        most = gcd(spec.strips.new_columns, source[1]), gcd(spec.group_pixels, width)
        if isinstance(op, Linear) or widest == 1:
            most = 1, 1
        found = narrowest(partial(make, (op,), pattern, banks, outs, lanes, tiles), most, steps)
        if found is not None:
            return found
    return None
