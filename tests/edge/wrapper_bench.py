"""Runs in the simulator: cocotbext-axi against ``accelerator_axi``; started by test_control.py."""

import json
import sys
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hwgen import registers
from hwgen.manifest import read_manifest

sys.path.insert(0, str(Path.cwd().parent / "bench"))
from packing import INPUTS, OUTPUTS

BUILD = Path.cwd().parent
AT = {at.name: at.offset for at in registers.REGISTERS}
EARLY, MISSING = 1, 2


async def started(dut) -> AxiLiteMaster:
    """Clock and reset; every port idle but the sink, which always takes."""
    dut.s_axis_tvalid.value = 0
    dut.s_axis_tlast.value = 0
    dut.m_axis_tready.value = 1
    Clock(dut.aclk, 10, unit="ns").start()
    bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_control"), dut.aclk, dut.aresetn, False)
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 4)
    return bus


async def send(dut, beats, lasts) -> None:
    """Beats without a gap."""
    for beat, last in zip(beats, lasts, strict=True):
        dut.s_axis_tdata.value = beat
        dut.s_axis_tlast.value = last
        dut.s_axis_tvalid.value = 1
        await RisingEdge(dut.aclk)
        while not dut.s_axis_tready.value:
            await RisingEdge(dut.aclk)
    dut.s_axis_tvalid.value = 0


async def receive(dut, count) -> list[int]:
    """``tdata`` of the next beats; ``tlast`` is right on each."""
    beats, frame = [], OUTPUTS["m_axis"].beats
    while len(beats) < count:
        await RisingEdge(dut.aclk)
        if dut.m_axis_tvalid.value:
            beats.append(dut.m_axis_tdata.value.to_unsigned())
            assert bool(dut.m_axis_tlast.value) == (len(beats) % frame == 0)
    return beats


@cocotb.test()
async def the_bus_reaches_the_registers(dut):
    bus = await started(dut)
    assert await bus.read_dword(AT["MAGIC"]) == registers.MAGIC
    low, high = await bus.read_dword(AT["HASH_LOW"]), await bus.read_dword(AT["HASH_HIGH"])
    assert f"{high:08x}{low:08x}" == read_manifest(BUILD).identity
    assert (await bus.read(0x40, 4)).resp != 0
    await bus.write_dword(AT["CONTROL"], 1)
    assert await bus.read_dword(AT["CONTROL"]) == 1
    assert await bus.read_dword(AT["FRAMES"]) == 0


@cocotb.test()
async def frames_are_counted_and_timed_and_reset_restores_alignment(dut):
    bus = await started(dut)
    with np.load(BUILD / "bench" / "frames.npz") as file:
        frames, golden = file["s_axis"], file["m_axis"]
    cycles = json.loads((BUILD / "report.json").read_text())["cycles"]
    source, sink = INPUTS["s_axis"], OUTPUTS["m_axis"]
    lasts = [0] * (source.beats - 1) + [1]

    async def run(count: int, marks: list[int]) -> None:
        beats = source.pack(frames[:count])
        feeder = cocotb.start_soon(send(dut, beats, marks))
        assert await receive(dut, count * sink.beats) == sink.pack(golden[:count])
        await feeder
        await ClockCycles(dut.aclk, 2)

    await run(1, lasts)
    assert await bus.read_dword(AT["FRAMES"]) == 1
    assert await bus.read_dword(AT["CYCLES"]) == cycles["latency"]["estimated"]
    await run(3, lasts * 3)
    assert await bus.read_dword(AT["FRAMES"]) == 4
    assert await bus.read_dword(AT["CYCLES"]) == cycles["interval"]["estimated"]
    assert await bus.read_dword(AT["ERRORS"]) == 0

    await run(1, [1] + [0] * (source.beats - 1))
    assert await bus.read_dword(AT["ERRORS"]) == EARLY | MISSING
    await bus.write_dword(AT["ERRORS"], EARLY)
    assert await bus.read_dword(AT["ERRORS"]) == MISSING

    # Half a frame, which the reset forgets.
    await send(dut, source.pack(frames[1:2])[: source.beats // 2], lasts[: source.beats // 2])
    await bus.write_dword(AT["CONTROL"], 1)
    await bus.write_dword(AT["CONTROL"], 0)
    assert await bus.read_dword(AT["FRAMES"]) == 0
    assert await bus.read_dword(AT["ERRORS"]) == 0
    await run(2, lasts * 2)
    assert await bus.read_dword(AT["FRAMES"]) == 2
