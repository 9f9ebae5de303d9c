"""Runs in the simulator: cocotbext-axi against ``accelerator_axi``; started by test_control.py."""

from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from hwgen import registers
from hwgen.manifest import read_manifest

AT = {at.name: at.offset for at in registers.REGISTERS}


@cocotb.test()
async def the_bus_reaches_the_registers(dut):
    build = Path.cwd().parent
    manifest = read_manifest(build)
    dut.s_axis_tvalid.value = 0
    dut.s_axis_tlast.value = 0
    dut.m_axis_tready.value = 1
    Clock(dut.aclk, 10, unit="ns").start()
    bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_control"), dut.aclk, dut.aresetn, False)
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 4)

    assert await bus.read_dword(AT["MAGIC"]) == registers.MAGIC
    low, high = await bus.read_dword(AT["HASH_LOW"]), await bus.read_dword(AT["HASH_HIGH"])
    assert f"{high:08x}{low:08x}" == manifest.identity
    assert (await bus.read(0x40, 4)).resp != 0
    await bus.write_dword(AT["CONTROL"], 1)
    assert await bus.read_dword(AT["CONTROL"]) == 1
    assert await bus.read_dword(AT["FRAMES"]) == 0
