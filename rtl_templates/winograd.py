"""3 x 3 convolutions by Winograd's algorithm: tiles of the map against an array of multipliers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.beats import Beats
from hwgen.network import Conv2d, WinogradConv2d
from hwgen.network.domain import Domain
from hwgen.network.winograd import TILES, lossless, obstacle
from hwgen.primitives import Memory, Part, Register
from hwgen.rtl_templates import winograd_foldings
from hwgen.rtl_templates.multiply import BLOCK, Style
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.strips import Strips
from hwgen.rtl_templates.tiled import TiledSpec
from hwgen.rtl_templates.winograd_array import Winograd
from hwgen.schedule import Process

__all__ = ["WinogradSpec"]


@dataclass(frozen=True)
class WinogradSpec(TiledSpec):
    """F(tile x tile, 3 x 3), dense: every channel's tiles in turn, read by all output lanes."""

    ops: tuple[Conv2d | WinogradConv2d, ...]
    tile: int
    in_lanes: int
    out_lanes: int
    tiles: int = 1
    source_pixels: int = 1
    target_pixels: int = 1
    style: Style = BLOCK
    family: str = ""

    def __post_init__(self):
        if self.tile not in TILES:
            raise ValueError(f"tile must be one of {list(TILES)}, not {self.tile}")
        if isinstance(self.op, WinogradConv2d) and self.op.tile != self.tile:
            raise ValueError(f"tile must be {self.op.tile}, that of the weights, not {self.tile}")
        super().__post_init__()

    @cached_property
    def domain(self) -> Domain:
        """The layer's arithmetic."""
        if isinstance(self.op, WinogradConv2d):
            return self.op.domain
        return lossless(self.op, self.tile)

    @cached_property
    def strips(self) -> Strips:
        """How the input becomes tiles."""
        return Strips(self.domain, self.in_lanes, self.tiles, self.source_pixels)

    @cached_property
    def inputs(self) -> tuple[Beats, ...]:
        return (self.strips.source,)

    @property
    def in_folds(self) -> int:
        return self.strips.folds

    @property
    def slots(self) -> int:
        return 1

    @property
    def row_products(self) -> int:
        return self.op.input.channels

    @property
    def product_lanes(self) -> int:
        return self.out_lanes

    @property
    def index_bits(self) -> int:
        return 0

    @property
    def operand_latency(self) -> int:
        """Behind the strips: the memories of tiles and weights, a register."""
        return self.strips.latency + 2

    @property
    def held(self) -> int:
        return self.strips.folds

    def store_schedule(self):
        process: Process = self.strips.transform_process("tiles")
        return {"transform": process}, {"tiles": 2 * self.held}

    def store_parts(self) -> list[Part]:
        capacity = 2 * self.held
        return [
            *Level.primitives(capacity),
            Memory(capacity, self.strips.word, "ram"),
            Register(2 * capacity.bit_length()),
        ]

    def weight_fields(self) -> Iterator[tuple[np.ndarray, int]]:
        for tap, products in self.tap_products.items():
            weights = self.domain.weights[tap]
            spare = (0, 0), (0, self.in_folds * self.in_lanes - weights.shape[1])
            shaped = self.folded(np.pad(weights.astype(np.int64), spare))
            shaped = shaped.reshape(self.out_folds, self.out_lanes, self.in_folds, self.in_lanes)
            stored = products.encode(shaped.transpose(0, 2, 3, 1)).swapaxes(-1, -2)
            yield stored.reshape(self.words, -1), products.w_bits

    def create(self, name: str = "winograd") -> Winograd:
        return Winograd(self, name)

    @staticmethod
    def foldings(op: Conv2d | WinogradConv2d, family: str) -> Iterator["WinogradSpec"]:
        """Foldings of both tiles, or of that of the weights."""
        if isinstance(op, Conv2d) and obstacle(op):
            return
        for tile in (op.tile,) if isinstance(op, WinogradConv2d) else TILES:
            yield from winograd_foldings.foldings(WinogradSpec, op, tile, family)
