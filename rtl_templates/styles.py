"""Which of the ways to make products are worth considering."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product as pairs_of
from math import ceil

from hwgen.cost.multiply import RULES
from hwgen.rtl_templates.multiply import BLOCK, SOFT, Products, Style

__all__ = ["lost", "styles"]

#: Factors, or weights, of one block that are tried.
MOST = 6


def styles(products: Products, family: str) -> Iterator[Style]:
    """Styles that are worth considering for ``products`` on ``family``: a DSP block each; packed,
    where that takes fewer blocks; in LUTs. Where there are no blocks, synthesis multiplies."""
    if products.w_bits <= 2 or products.x_bipolar or not RULES[family]:
        yield BLOCK
        return
    single = replace(products, pixels=1, lanes=1, style=BLOCK)
    ways = [
        (ceil(products.pixels / style.pixels) * ceil(products.lanes / style.lanes) * units, style)
        for style, units in _packings(single, family)
        if style.pixels <= products.pixels and style.lanes <= products.lanes
    ]
    if ways and ways[0][1] == BLOCK:
        yield BLOCK
    best = min(ways, key=lambda way: way[0], default=(0, BLOCK))[1]
    if best != BLOCK:
        yield best
    yield SOFT


@cache
def _packings(single: Products, family: str) -> list[tuple[Style, int]]:
    """Every style by which whole products fit into one block, fewest of them first, and how many of
    the family's blocks that counts as."""
    found = []
    for x, w in pairs_of(range(1, MOST + 1), repeat=2):
        style = Style(pixels=x, lanes=w)
        blocks = replace(single, pixels=x, lanes=w, style=style).blocks(family)
        if blocks is not None:
            found.append((style, blocks))
    return sorted(found, key=lambda way: way[0].products)


def lost(products: Products, terms: int, family: str) -> bool:
    """Whether synthesis loses some of the products when ``terms`` of them are summed.

    Yosys' ``ice40_dsp`` (0.70) moves the register of a product into the product's block, and, with
    the adder that reads it, into the block of another product as well, which then adds what nothing
    drives. Products that share a block come with carries, and their adders stay outside.
    """
    return family == "ice40" and terms > 1 and products.single > 0
