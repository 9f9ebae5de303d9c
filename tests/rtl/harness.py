"""Simulate one design in Amaranth's simulator, with streams that may stall."""

import random

from amaranth.sim import Simulator

__all__ = ["run", "stalls", "stream_get", "stream_put", "wait"]


def run(dut, *testbenches, max_cycles=200_000):
    """Run ``testbenches`` to their end; give up, loudly, after ``max_cycles``."""

    async def watchdog(ctx):
        await wait(ctx, max_cycles)
        raise TimeoutError(f"still running after {max_cycles} cycles")

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.add_testbench(watchdog, background=True)
    sim.run()


# These await single ticks: `.until()` and `.repeat()` leave async generators behind, which Python
# before 3.13 cannot close when another testbench fails.


async def wait(ctx, cycles):
    """Let ``cycles`` clock cycles pass; zero is allowed."""
    for _ in range(cycles):
        await ctx.tick()


async def stream_put(ctx, port, payload):
    """Offer ``payload`` until it is taken."""
    ctx.set(port.payload, payload)
    ctx.set(port.valid, 1)
    taken = False
    while not taken:
        *_, taken = await ctx.tick().sample(port.ready)
    ctx.set(port.valid, 0)


async def stream_get(ctx, port):
    """Take one payload and return it."""
    ctx.set(port.ready, 1)
    offered = False
    while not offered:
        *_, offered, payload = await ctx.tick().sample(port.valid, port.payload)
    ctx.set(port.ready, 0)
    return payload


def stalls(rate, seed):
    """Endless idle-cycle counts; zero with probability ``1 - rate``."""
    rng = random.Random(seed)
    while True:
        yield 0 if rng.random() >= rate else rng.randint(1, 4)
