"""Which foldings of Winograd's array are worth offering."""

from collections.abc import Callable, Iterator
from functools import partial
from math import gcd
from typing import Any

import numpy as np

from hwgen.beats import useful_lanes
from hwgen.network import Conv2d, WinogradConv2d
from hwgen.rtl_templates.tiled_foldings import FEWER, STARVED, narrowest, unbeaten
from hwgen.rtl_templates.tiled_styles import styled

__all__ = ["foldings"]

#: Makes a spec of ops, tile, input and output lanes, tiles, source and target pixels.
Make = Callable[..., Any]

#: Foldings with the same steps and multipliers that the planner is offered.
TIES = 3

#: Tiles side by side that the planner is offered.
MOST_TILES = 4


def foldings(make: Make, op: Conv2d | WinogradConv2d, tile: int, family: str) -> Iterator[Any]:
    """Foldings that no other of the same tile beats in steps and multipliers, or only just, and
    that filling, transforming and draining do not slow down if that can be helped."""
    channels, outputs = op.input.channels, op.output.channels
    down, across = (-(-size // tile) for size in op.output_size)
    found = []
    for tiles in (n for n in range(1, MOST_TILES + 1) if across % n == 0):
        pixels = tile * tiles
        most = gcd(pixels, op.input.map_shape[1]), gcd(pixels, op.output_size[1])
        for outs in useful_lanes(outputs):
            out_folds = -(-outputs // outs)
            if out_folds < pixels + 2:
                continue  # the transform, a column a cycle, would not keep up
            for ins in useful_lanes(channels):
                in_folds = -(-channels // ins)
                if in_folds < tile * pixels // most[1]:
                    continue  # results would not leave in time
                steps = down * across // tiles * out_folds * in_folds
                found.append((steps, tiles * ins * outs, abs(np.log(ins / outs)), ins, outs, tiles))
    least, ties = float("inf"), 0
    for steps, multipliers, _, ins, outs, tiles in sorted(found):
        if multipliers != least and multipliers > FEWER * least:
            continue
        ties = ties + 1 if multipliers == least else 0
        if ties >= TIES:
            continue
        spec = _balanced(make, op, tile, ins, outs, tiles, steps)
        if spec is not None:
            least = multipliers
            yield from styled(spec, family)
    # A beat of one pixel suits every neighbour.
    yield from _simple(make, op, tile, family, (1, 1))
    widest = gcd(tile, op.input.map_shape[1]), gcd(tile, op.output_size[1])
    if least == float("inf") and widest != (1, 1):
        yield from _simple(make, op, tile, family, widest)


def _simple(
    make: Make, op: Conv2d | WinogradConv2d, tile: int, family: str, pixels: tuple[int, int]
) -> Iterator[Any]:
    """Small foldings of one tile at a time, with beats of ``pixels``, that no other beats in cycles
    and multipliers, whether or not streams slow them down."""
    specs = [
        make((op,), tile, ins, outs, 1, *pixels)
        for ins in useful_lanes(op.input.channels)
        for outs in useful_lanes(op.output.channels)
        if (tile + 2) ** 2 * ins * outs < STARVED
    ]
    for spec in unbeaten(specs):
        yield from styled(spec, family)


def _balanced(make: Make, op, tile: int, ins: int, outs: int, tiles: int, steps: int) -> Any:
    """The narrowest streams that do not slow the array down; None if even the widest do."""
    pixels = tile * tiles
    most = gcd(pixels, op.input.map_shape[1]), gcd(pixels, op.output_size[1])
    return narrowest(partial(make, (op,), tile, ins, outs, tiles), most, steps)
