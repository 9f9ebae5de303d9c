"""Energy: what is counted, by hand, and the table that it was taken from."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.cost import Energy, Work, energy, work
from hwgen.cost.energy import ACCESS, ACTIVITY, CHANGE, CLOCK, FPGA, joules
from hwgen.network import Conv2d, Input, Network, Node, TensorType
from hwgen.plan import plan
from hwgen.primitives import (
    Accumulator,
    Adder,
    Around,
    Clip,
    Compare,
    Delay,
    Hold,
    Logic,
    Memory,
    Multiplier,
    Mux,
    Part,
    Register,
    SoftProduct,
)
from hwgen.rtl_templates.multiply import BLOCK, SOFT, Products, Style
from hwgen.schedule import FIRST, LAST, LATER, Process, Put, Schedule, Take, Trips, Write

#: 12 steps, of which 6 write a ring; 4 beats leave.
SCHEDULE = Schedule(
    {
        "fill": Process((2, 3), takes=(Take("i"),), write=Write("ring")),
        "compute": Process((4, 3), puts=(Put("o", 2, 3, {1: (2,)}),)),
    },
    {"ring": 8},
)


@pytest.mark.parametrize(
    ("part", "counts"),
    [
        (Multiplier(8, 4, 2), {"products": 12 * 2 * 32}),
        (SoftProduct(5, 3), {"products": 12 * 15}),
        (Adder(9, 2), {"sums": 12 * 18}),
        (Adder(9, 2, terms=4), {"sums": 12 * 3 * 18}),
        (Accumulator(20, 3), {"sums": 12 * 60}),
        (Compare(7), {"sums": 12 * 7}),
        (Clip(20, 8, 2, 3), {"sums": 12 * 2 * 60}),
        (Mux(8), {}),
        (Hold(8), {}),
        (Logic(8), {}),
        (Register(10), {"clocked": 10 * 20, "changes": 10 * 12 * ACTIVITY}),
        (Delay(2, 5), {"clocked": 10 * 20, "changes": 10 * 12 * ACTIVITY}),
        (Memory(2048, 9, "rom"), {"read": 12 * 9, "written": 0}),
        (Memory(2048, 9, "ram"), {"read": 12 * 9, "written": 6 * 9}),
        (Memory(16, 8, "lutram"), {"read": 4 * 8, "written": 4 * 8}),
        (Memory(16, 8, "bank"), {"read": 12 * 8, "written": 6 * 8}),
        (Memory(16, 8, "bank", 3), {"read": 12 * 24, "written": 6 * 24}),
    ],
)
def test_counts(part, counts):
    done = work([part], SCHEDULE, 20, "ecp5")
    for name in ("products", "sums", "read", "written", "clocked", "changes"):
        assert getattr(done, name) == counts.get(name, 0), name


def test_every_part_is_counted_or_named():
    with pytest.raises(AssertionError):
        work([object()], SCHEDULE, 20, "ecp5")
    assert len(Part.__args__) == 12, "a new one belongs in the table above"


@pytest.mark.parametrize(
    ("signed", "style", "bits"),
    [(False, BLOCK, 16 + 12 + 72), (True, Style(pixels=2), 16 + 12 + 12 + 72)],
)
def test_blocks_take_parts_in_and_not_their_work(signed, style, bits):
    """What is around products works, wherever it is: as a list of its own, registers by hand."""
    sums = (Accumulator(20, 6), Register(20 * 6))
    products = Products(8, signed, 4, style=style, pixels=2, lanes=3)
    held = products.primitives(1, sums)
    flat = [replace(part, around=None) if isinstance(part, Multiplier) else part for part in held]
    assert flat != held
    done = work(held, SCHEDULE, 20, "ecp5")
    assert done == work([*flat, Register(bits), *sums], SCHEDULE, 20, "ecp5")
    packing = 12 * 9 * (style.pixels - 1)
    assert done.sums == 12 * 20 * 6 + packing
    soft = products.styled(SOFT).primitives(1, sums)
    assert work(soft, SCHEDULE, 20, "ecp5").sums == 12 * 20 * 6
    rounding = Multiplier(9, 8, around=Around(1, 2, 4, 8, rounding=(Adder(17),)))
    done = work([rounding], SCHEDULE, 20, "ecp5")
    assert (done.sums, done.clocked) == (12 * 17, 15 * 20)


def test_what_data_decides_counts_by_its_mean():
    """Three steps of two beats with four events on average, the first of which takes the beat."""
    events = Trips("events", (9,), 4.0)
    put = Put("o", 1, 2, {2: LAST})
    scan = Process((3, 2, events), (Take("i", {2: FIRST}),), (put,), Write("ring", {2: LATER}))
    schedule = Schedule({"scan": scan}, {"ring": 8})
    assert work([Memory(2048, 9, "ram")], schedule, 99, "ecp5").written == 3 * 2 * 4 * 9
    assert work([Memory(16, 9, "lutram")], schedule, 99, "ecp5").written == 3 * 2 * 9


def test_the_table_is_the_published_one():
    """Horowitz 2014: pJ for 8 and 32 bits, and for 64 bits out of 8 kB."""
    once = Schedule({"all": Process((1,))})

    def of(*parts):
        return energy(work(parts, once, 1, "asic"), "asic").total

    assert of(Multiplier(8, 8)) == pytest.approx(0.2, rel=0.05)
    assert of(Multiplier(32, 32)) == pytest.approx(3.1, rel=0.05)
    assert of(Adder(32)) == pytest.approx(0.1, rel=0.05)
    assert of(Adder(8)) == pytest.approx(0.03, rel=0.25)
    assert energy(Work(accesses=64), "asic").total == pytest.approx(10)
    assert of(Register(1)) == pytest.approx(CLOCK + CHANGE / 2)


def test_bits_of_small_memories_take_less_and_of_large_ones_no_more_than_of_a_block():
    def per_bit(depth):
        done = work([Memory(depth, 18, "rom")], SCHEDULE, 1, "ecp5")
        return ACCESS * done.accesses / done.read

    sizes = [per_bit(depth) for depth in (64, 256, 1024, 4096, 1 << 16)]
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3] == sizes[4]
    assert sizes[2] == pytest.approx(10 / 64 * (2304 / 8192) ** 0.5)
    assert per_bit(1) == pytest.approx(CLOCK + CHANGE), "no less than a flip-flop"


def test_of_a_plan():
    kind = TensorType((4, 4, 2), 8, False)
    conv = Conv2d(kind, np.arange(54).reshape(3, 3, 3, 2), np.arange(3), 8)
    network = Network(
        (Node("input", Input(kind), (), kind), Node("conv", conv, ("input",), conv.output)),
        ("conv",),
    )
    planned = plan(network, load_board("asic"), None)
    spec = planned.stages[0].spec
    assert planned.work.products >= conv.macs * 64, "at least the layer's own"
    assert planned.work.products % spec.schedule().steps == 0
    parts = planned.energy
    assert parts.total == parts.arithmetic + parts.memory + parts.registers > 0
    on_fpga = energy(planned.work, "ecp5")
    assert on_fpga.total == pytest.approx(FPGA * parts.total)


def test_units():
    assert [joules(pj) for pj in (3.14159, 999, 66_129, 6.5e7, 2e9, 5e12)] == [
        "3.14 pJ",
        "999 pJ",
        "66.1 nJ",
        "65 µJ",
        "2 mJ",
        "5e+03 mJ",
    ]
    assert Energy(1, 2, 3).total == 6
