"""In which styles the products of a tiled engine are worth offering."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from hwgen.rtl_templates.multiply import SOFT, Products, Style
from hwgen.rtl_templates.styles import lost, styles
from hwgen.rtl_templates.tiled import TiledSpec

__all__ = ["styled"]

#: Most factors, and most weights, that share a block on any family.
PACKED = 4


def styled(spec: TiledSpec, family: str) -> Iterator[TiledSpec]:
    """``spec`` with a DSP block for each product; packed, where that takes fewer; in LUTs."""
    few = {
        replace(products, pixels=min(PACKED, spec.tiles), lanes=min(PACKED, spec.product_lanes))
        for products in spec.tap_products.values()
    }
    ways = {
        style: replace(spec, style=style, family=family if style.products > 1 else "")
        for products in few
        for style in _styles(products, family)
    }
    blocks = {style: one.blocks(family) for style, one in ways.items() if style != SOFT}
    if blocks:
        best = min(blocks, key=lambda style: (blocks[style], style.products))
        some = [spec, ways[best]] if blocks[best] < spec.blocks(family) else [spec]
        yield from (one for one in some if not _loses(one, family))
    if SOFT in ways:
        yield ways[SOFT]


def _loses(spec: TiledSpec, family: str) -> bool:
    return any(lost(products, spec.terms, family) for products in spec.tap_products.values())


@lru_cache(maxsize=4096)
def _styles(products: Products, family: str) -> tuple[Style, ...]:
    return tuple(styles(products, family))
