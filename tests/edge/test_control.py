"""The register file: AXI4-Lite's corner cases, the counts, the flags, and the whole wrapper."""

import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from hwgen import flow, registers
from hwgen.rtl_templates.control import Control

AT = {at.name: at.offset for at in registers.REGISTERS}
IDENTITY = 0x0123456789ABCDEF
OKAY, SLVERR = 0, 2


def simulate(control: Control, testbench) -> None:
    top = Module()
    top.submodules.control = control
    sim = Simulator(top)
    sim.add_clock(1e-8)
    sim.add_testbench(testbench)
    sim.run()


class Bus:
    """A controller that can be slow at every channel."""

    def __init__(self, ctx, axi):
        self.ctx, self.axi = ctx, axi

    async def until(self, signal) -> None:
        for _ in range(20):
            done = self.ctx.get(signal)
            await self.ctx.tick()
            if done:
                return
        raise AssertionError(f"{signal.name} never came")

    async def read(self, address: int, slow: int = 0) -> tuple[int, int]:
        ctx, axi = self.ctx, self.axi
        ctx.set(axi.araddr, address)
        ctx.set(axi.arvalid, 1)
        await self.until(axi.arready)
        ctx.set(axi.arvalid, 0)
        for _ in range(20):
            if ctx.get(axi.rvalid):
                break
            await ctx.tick()
        held = ctx.get(axi.rdata), ctx.get(axi.rresp)
        for _ in range(slow):
            await ctx.tick()
            assert ctx.get(axi.rvalid) and held == (ctx.get(axi.rdata), ctx.get(axi.rresp))
        ctx.set(axi.rready, 1)
        await self.until(axi.rvalid)
        ctx.set(axi.rready, 0)
        assert not ctx.get(axi.rvalid)
        return held

    async def write(
        self, address: int, data: int, strobe: int = 15, lead: int = 0, slow: int = 0
    ) -> int:
        """``lead``: cycles that the address is before the data, or, below 0, after it."""
        ctx, axi = self.ctx, self.axi
        ctx.set(axi.awaddr, address)
        ctx.set(axi.wdata, data)
        ctx.set(axi.wstrb, strobe)
        ctx.set(axi.awvalid, lead >= 0)
        ctx.set(axi.wvalid, lead <= 0)
        for _ in range(abs(lead)):
            assert not ctx.get(axi.awready) and not ctx.get(axi.wready)
            await ctx.tick()
        ctx.set(axi.awvalid, 1)
        ctx.set(axi.wvalid, 1)
        for _ in range(20):
            if ctx.get(axi.awready):
                break
            await ctx.tick()
        assert ctx.get(axi.awready) and ctx.get(axi.wready)
        await ctx.tick()
        ctx.set(axi.awvalid, 0)
        ctx.set(axi.wvalid, 0)
        for _ in range(slow):
            assert ctx.get(axi.bvalid), "the response is held"
            await ctx.tick()
        response = ctx.get(axi.bresp)
        ctx.set(axi.bready, 1)
        await self.until(axi.bvalid)
        ctx.set(axi.bready, 0)
        assert not ctx.get(axi.bvalid)
        return response


def test_what_it_is_and_what_is_not_there():
    control = Control([4], 1, IDENTITY)

    async def testbench(ctx):
        bus = Bus(ctx, control.axi)
        expected = {"MAGIC": registers.MAGIC, "VERSION": 1, "HASH_LOW": 0x89ABCDEF}
        expected |= {"HASH_HIGH": 0x01234567, "CONTROL": 0, "ERRORS": 0, "FRAMES": 0}
        for name, value in expected.items():
            for low in range(4):  # unaligned: the low bits are ignored
                assert await bus.read(AT[name] + low, slow=low) == (value, OKAY)
        for address in (0x20, 0x7FC, 0xFFC):
            assert await bus.read(address) == (0, SLVERR)
            assert await bus.write(address, 1) == SLVERR
        for name in ("MAGIC", "VERSION", "HASH_LOW", "HASH_HIGH", "FRAMES", "CYCLES"):
            before = await bus.read(AT[name])
            assert await bus.write(AT[name], 0xFFFFFFFF) == SLVERR
            assert await bus.read(AT[name]) == before

    simulate(control, testbench)


@pytest.mark.parametrize("lead", [-3, -1, 0, 1, 3])
@pytest.mark.parametrize("slow", [0, 4])
def test_writes_in_any_order(lead, slow):
    control = Control([4], 1, IDENTITY)

    async def testbench(ctx):
        bus = Bus(ctx, control.axi)
        for value in (1, 0, 1):
            assert await bus.write(AT["CONTROL"], value, lead=lead, slow=slow) == OKAY
            assert await bus.read(AT["CONTROL"]) == (value, OKAY)
            assert ctx.get(control.reset) == value
        assert await bus.write(AT["CONTROL"], 0, strobe=0b1110) == OKAY
        assert await bus.read(AT["CONTROL"]) == (1, OKAY), "the byte was not written"

    simulate(control, testbench)


def test_reads_and_writes_at_once_all_end():
    control = Control([4], 1, IDENTITY)

    async def testbench(ctx):
        axi = control.axi
        for signal, value in ((axi.awaddr, AT["CONTROL"]), (axi.araddr, AT["MAGIC"])):
            ctx.set(signal, value)
        for signal in (axi.awvalid, axi.wvalid, axi.arvalid, axi.bready, axi.rready):
            ctx.set(signal, 1)
        ctx.set(axi.wstrb, 15)
        ctx.set(axi.wdata, 1)
        seen = {"b": 0, "r": 0}
        for _ in range(60):
            seen["b"] += ctx.get(axi.bvalid)
            if ctx.get(axi.rvalid):
                seen["r"] += 1
                assert ctx.get(axi.rdata) == registers.MAGIC
            await ctx.tick()
        assert min(seen.values()) >= 10

    simulate(control, testbench)


def test_flags_stay_until_they_are_cleared():
    control = Control([3, 2], 1, IDENTITY)

    async def testbench(ctx):
        bus = Bus(ctx, control.axi)
        first, second = control.inputs

        async def beat(port, last):
            for signal, value in ((port.valid, 1), (port.ready, 1), (port.last, last)):
                ctx.set(signal, value)
            await ctx.tick()
            ctx.set(port.valid, 0)
            ctx.set(port.last, 0)

        async def errors() -> int:
            return (await bus.read(AT["ERRORS"]))[0]

        for last in (0, 0, 1, 0, 0, 1):
            await beat(first, last)
        assert await errors() == 0
        await beat(first, 1)
        assert await errors() == 0x1, "early, at the first input"
        await beat(first, 0)
        await beat(first, 0)
        assert await errors() == 0x3, "and missing"
        await beat(second, 0)
        await beat(second, 0)
        assert await errors() == 0x23
        ctx.set(second.ready, 0)
        ctx.set(second.valid, 1)
        await ctx.tick()
        await ctx.tick()
        ctx.set(second.valid, 0)
        await ctx.tick()
        assert await errors() == 0x63, "retracted, at the second"
        await bus.write(AT["ERRORS"], 0x21)
        assert await errors() == 0x42
        await bus.write(AT["ERRORS"], 0xFF, strobe=0b1110)
        assert await errors() == 0x42
        await bus.write(AT["CONTROL"], 1)
        await bus.write(AT["CONTROL"], 0)
        assert await errors() == 0

    simulate(control, testbench)


def test_cycles_of_frames_over_ports_that_run_apart():
    control = Control([2, 1], 2, IDENTITY)
    # Cycles in which each input takes a beat, and each output ends a frame.
    first, second = {2, 3, 4, 5, 30, 31}, {4, 6, 28}
    ends = {7, 12, 40}, {10, 14, 35}
    spans = {10: 10 - 2, 14: 14 - 10, 40: 40 - 28}

    async def testbench(ctx):
        bus = Bus(ctx, control.axi)
        counts = []
        for port in control.inputs:
            ctx.set(port.ready, 1)
        for cycle in range(50):
            for port, beats in zip(control.inputs, (first, second), strict=True):
                ctx.set(port.valid, cycle in beats)
            for signal, times in zip(control.ends, ends, strict=True):
                ctx.set(signal, cycle in times)
            await ctx.tick()
            if cycle in spans:
                counts.append((cycle, ctx.get(progress.cycles), ctx.get(progress.frames)))
        assert [(cycle, spans[cycle], n + 1) for n, cycle in enumerate(spans)] == counts
        assert await bus.read(AT["FRAMES"]) == (3, OKAY)
        assert await bus.read(AT["CYCLES"]) == (12, OKAY)

    progress = control.progress
    simulate(control, testbench)


RUN = """
import sys
from pathlib import Path
from cocotb_tools.runner import get_results, get_runner

rtl, work, here = map(Path, sys.argv[1:])
sources = sorted(rtl.glob("*.v"))
runner = get_runner("icarus")
runner.build(sources=sources, hdl_toplevel="accelerator_axi", build_dir=work,
             build_args=["-Wno-timescale"], timescale=("1ns", "1ps"), always=True)
sys.path.insert(0, str(here))
runner.test(hdl_toplevel="accelerator_axi", test_module="wrapper_bench", build_dir=work,
            test_dir=rtl, results_xml=str(work / "results.xml"))
sys.exit(get_results(work / "results.xml") != (2, 0))
"""


def test_the_wrapper_with_a_master_that_is_not_ours(tmp_path):
    if subprocess.run("command -v iverilog", shell=True, capture_output=True).returncode:
        pytest.skip("needs Icarus Verilog")
    import torch
    from torch import nn

    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    folder = tmp_path / "build"
    flow.build(model, board="ulx3s", calibrate=torch.rand(8, 1, 4, 4), out=folder, fps=100_000)
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, "run.py", str(folder / "rtl"), "work", str(Path(__file__).parent)]
    (tmp_path / "work").mkdir()
    command[3] = str(tmp_path / "work")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
