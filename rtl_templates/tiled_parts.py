"""The parts list of engines that work by tiles (``tiled``)."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hwgen.primitives import Accumulator, Adder, Memory, Mux, Part, Register
from hwgen.rtl_templates.adders import tree_parts
from hwgen.rtl_templates.queue import Queue
from hwgen.rtl_templates.ring import Level
from hwgen.rtl_templates.sequencer import Pointer, Sequencer
from hwgen.rtl_templates.tiled_schedule import compute_process, drain_process

__all__ = ["parts_of"]


def parts_of(spec: Any) -> list[Part]:
    """Parts of ``spec``, a ``TiledSpec``."""
    compute, drain = compute_process(spec), drain_process(spec)
    outs = spec.out_lanes * spec.tiles
    slots, bits = 2 * spec.strip, spec.op.output.bits
    bank = spec.group_pixels * spec.out_lanes * bits
    address, counter = (slots - 1).bit_length(), (spec.words - 1).bit_length()
    m = spec.domain.down.m
    parts: list[Part] = [
        *spec.strips.primitives(),
        *spec.store_parts(),
        *[part for process in (compute, drain) for part in Sequencer.primitives(process)] * 2,
        Memory(spec.words, spec.word_bits, "rom"),
        Register(counter + 3 * spec.latency + spec.made),
        Adder(counter, constant=True),
        *Level.primitives(slots),
        *Pointer.primitives(address),
        Register(2 * address),
        Adder(address, 2, constant=True),
        *[Memory(slots, bank, "ram")] * m,
        Mux(spec.outputs[0].width, spec.group_pixels // spec.target_pixels * m),
        Register(spec.outputs[0].width),
        *Queue.primitives(spec.outputs[0].width, drain.puts[0].depth),
    ]
    if spec.domain.first.any() and spec.out_folds > 1:
        wide = spec.out_lanes * spec.first_bits
        parts += [Memory(spec.out_folds, wide, "rom"), Register(wide)]
    return [*parts, *_array_parts(spec), *_inverse_parts(spec, outs)]


def _array_parts(spec: Any) -> Iterator[Part]:
    """Parts of products, trees and accumulators."""
    outs, terms = spec.out_lanes * spec.tiles, spec.terms
    copies = spec.out_lanes // spec.product_lanes
    alike = Counter(
        (spec.tap_products[taps[0]], wide, bool(spec.domain.align[taps[0]]))
        for taps, wide in zip(spec.sum_taps, spec.sum_bits, strict=True)
    )
    for (products, wide, shifted), count in alike.items():
        trees, bits = outs * count, products.bits
        carried, single = (n * copies * count for n in (products.carries, products.single))
        waits = spec.product_latency - products.latency
        operands = products.x_bits * products.pixels + products.w_bits * products.lanes
        yield Register(waits * operands * terms * copies * count)
        yield from tree_parts(bits, terms, terms, carried, **products.carried)
        yield from tree_parts(bits, terms, 0, trees - carried - single)
        yield Accumulator(wide + 1, carried)
        yield Accumulator(wide, trees - carried - single)
        yield Register(wide * (trees - single))
        # What reads a product that has a block of its own, unshifted, goes into the block as well.
        sums = [Accumulator(wide, single), Register(wide * single)]
        if terms > 1 or shifted:
            yield from sums
            sums = []
        if terms > 1:
            left = terms - terms // 2
            yield from tree_parts(bits + 1, left, 0, single)
            sums = [Adder(bits + 1, terms // 2 * single), Register((bits + 1) * left * single)]
        yield from products.primitives(terms * copies * count, sums)


def _inverse_parts(spec: Any, outs: int) -> Iterator[Part]:
    """Parts of the inverse transform and the division."""
    if not spec.transforms:
        return
    bits, modulus = spec.op.output.bits, spec.domain.modulus
    t, m = spec.domain.down.t, spec.domain.down.m
    for terms, steps in Counter(filter(None, spec.results.terms())).items():
        yield Adder(modulus, steps * (t + m) * outs, terms=terms)
    yield Register((t * modulus * m + m * m * bits) * outs)
    if spec.ninths:
        yield Adder(bits, len(spec.ninths) * m * m * outs)
        yield Register(bits * spec.divisions * m * m * outs)
