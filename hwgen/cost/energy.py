"""Energy of a frame: what its schedule does, counted, times a table of what each thing takes.

The counts follow from parts and schedules, and are exact but for data: half of all flip-flops of an
engine are taken to change in each of its steps, as random data has it. The table is no more than an
estimate: what such things take in a 45 nm process of 2014, and how much more in an FPGA.

Sources. M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, 45 nm,
0.9 V: 0.03 and 0.1 pJ for adding 8 and 32 bits, 0.2 and 3.1 pJ for multiplying them, 10, 20 and
100 pJ for 64 bits out of 8 kB, 32 kB and 1 MB. Y. S. Shao and others, "Aladdin", ISCA 2014, 40 nm:
7.9 fJ for clocking a flip-flop, 1.1 fJ more for its change. I. Kuon and J. Rose, "Measuring the gap
between FPGAs and ASICs", IEEE TCAD 26(2), 2007: an FPGA takes 14 times the dynamic power.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import sqrt
from typing import assert_never

from hwgen.cost.families import FAMILIES
from hwgen.cost.multiply import outside
from hwgen.primitives import (
    Accumulator,
    Adder,
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
from hwgen.schedule import FIRST, LATER, At, Process, Schedule, selected

__all__ = ["SPREAD", "Energy", "Work", "energy", "joules", "work"]

#: pJ: the product of two single bits (0.2 / 64, and 3.1 / 1024); the sum of them (0.1 / 32).
PRODUCT, SUM = 0.003, 0.003
#: pJ a bit out of 8 kB, or into it. From there to 1 MB it grows with the root of the size.
ACCESS, ACCESS_BYTES = 10 / 64, 8192
#: pJ for clocking a flip-flop, and for its change. No access to a memory takes less than both.
CLOCK, CHANGE = 0.0079, 0.0011
#: Part of an engine's flip-flops that change in a step.
ACTIVITY = 0.5

#: How many times more an FPGA takes.
FPGA = 14.0

#: The estimate is within this factor, either way: assumed. Boards differ from 45 nm by as much, and
#: what is multiplied or stored by how random it is.
SPREAD = 3.0


@dataclass(frozen=True)
class Work:
    """What happens in a frame.

    ``products``, ``sums``: of single bits. ``read``, ``written``: bits of memories; ``accesses``
    weighs each by the root of its block's size in units of 8 kB. ``clocked``: flip-flops times
    cycles. ``changes``: of flip-flops.
    """

    products: float = 0
    sums: float = 0
    read: float = 0
    written: float = 0
    accesses: float = 0
    clocked: float = 0
    changes: float = 0

    def __add__(self, other: "Work") -> "Work":
        both = (getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        return Work(*both)


@dataclass(frozen=True)
class Energy:
    """pJ a frame: of arithmetic, of memories, and of flip-flops and their clock. Not in it are
    leakage, which grows with time, and what leaves the chip."""

    arithmetic: float
    memory: float
    registers: float

    @property
    def total(self) -> float:
        """All of it, pJ; it may be ``SPREAD`` times less or more."""
        return self.arithmetic + self.memory + self.registers


def work(parts: Iterable[Part], schedule: Schedule, cycles: float, family: str) -> Work:
    """What an engine does in a frame of ``cycles`` cycles, on a family of ``FAMILIES``.

    In each step of its longest process all products are made, all sums added, all numbers compared
    and clipped, and all memories read, also where DSP blocks take those parts in; a RAM is written
    by the steps that write a ring (a bank of several, by as many at the most), and a queue by those
    that put a beat.
    Where data decides how many steps there are, as for neurons, each writes back what it has read.
    """
    found, steps = Work(), schedule.steps
    processes = schedule.processes.values()
    puts = sum(_times(put.at, process) for process in processes for put in process.puts)
    rings = [_times(process.write.at, process) for process in processes if process.write]
    writes = max(rings, default=puts)
    if any(process.decided is not None for process in processes):
        writes = steps
    for part in parts:
        match part:
            case Multiplier(a, b, count):
                found += Work(products=steps * count * a * b)
                found += work(outside(part.around), schedule, cycles, family)
            case SoftProduct(a, b, count):
                found += Work(products=steps * count * a * b)
            case Adder(width, count, _, terms):
                found += Work(sums=steps * count * width * (terms - 1))
            case Accumulator(width, count) | Compare(width, count):
                found += Work(sums=steps * count * width)
            case Clip(width, _, sides, count):
                found += Work(sums=steps * count * sides * width)
            case Memory(_, _, "lutram"):
                found += _accesses(part, puts, puts, family)
            case Memory(_, _, kind):
                found += _accesses(part, steps, 0 if kind == "rom" else writes, family)
            case Register(bits) | Delay(bits, _):
                bits *= part.cycles if isinstance(part, Delay) else 1
                found += Work(clocked=bits * cycles, changes=bits * steps * ACTIVITY)
            # Hold: its flip-flops are listed as registers. The table knows of no choices and glue.
            case Hold() | Mux() | Logic():
                pass
            case _:
                assert_never(part)
    return found


def _times(at: At, process: Process) -> int:
    """Steps a frame that ``at`` selects; where data decides, on average."""
    if not at:
        return process.steps
    decided = process.decided
    if decided is None or at.get(decided) != LATER:
        return selected(at, process.loops)
    # All iterations but the first.
    return process.steps - selected({**at, decided: FIRST}, process.loops)


def _accesses(memory: Memory, reads: float, writes: float, family: str) -> Work:
    bits = memory.width * memory.reads  # of all copies, which are written alike
    read, written = reads * bits, writes * bits
    # A large memory is many blocks, of which each bit comes out of one.
    size = min(memory.depth * memory.width, FAMILIES[family].block_kbit << 10) / 8
    root = sqrt(size / ACCESS_BYTES)
    least = (CLOCK + CHANGE) / ACCESS
    return Work(read=read, written=written, accesses=(read + written) * max(root, least))


def energy(done: Work, family: str) -> Energy:
    """What ``done`` takes on a family of ``FAMILIES``."""
    times = 1.0 if family == "asic" else FPGA
    return Energy(
        times * (PRODUCT * done.products + SUM * done.sums),
        times * ACCESS * done.accesses,
        times * (CLOCK * done.clocked + CHANGE * done.changes),
    )


def joules(pico: float) -> str:
    """``pico`` pJ in the unit that suits it."""
    for unit in ("pJ", "nJ", "µJ"):
        if pico < 1000:
            return f"{pico:.3g} {unit}"
        pico /= 1000
    return f"{pico:,.3g} mJ"
