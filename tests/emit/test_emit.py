"""What is written is the same for the same inputs, and is what it was."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from hwgen.beats import Beats
from hwgen.network import Requantise, TensorType
from hwgen.rtl_templates import ConvertSpec, FifoSpec, RequantiseSpec
from hwgen.rtl_templates.memory import LutRam, Ram, Rom, VerilogTarget

BUILD = """
import sys
import torch
from torch import nn
from hwgen import flow
torch.manual_seed(3)
layers = nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4)
flow.build(nn.Sequential(*layers), calibrate=torch.rand(16, 2, 6, 6), out=sys.argv[1])
"""


def test_identical_inputs_give_identical_bytes(tmp_path):
    contents = []
    for seed in ("1", "2"):
        folder = tmp_path / seed / "build"
        command = [sys.executable, "-c", BUILD, str(folder)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        contents.append({str(p.relative_to(folder)): p.read_bytes() for p in files})
    first, second = contents
    assert first.keys() == second.keys()
    assert {"plan.json", "rtl/accelerator.v", "rtl/n_0_weights.hex"} <= first.keys()
    assert [name for name in first if first[name] != second[name]] == []


def small() -> dict:
    beats = Beats(TensorType((2, 2, 2), 3, False), 1)
    wide = TensorType((2, 2, 2), 9, True)
    op = Requantise(wide, np.array([5, 3]), 4, 3, False, 0, 0, 7)
    return {
        "fifo": FifoSpec(beats, 3),
        "convert": ConvertSpec(beats, Beats(beats.type, 2)),
        "requantise": RequantiseSpec((op,), 1),
    }


@pytest.mark.parametrize("name", small())
def test_rtlil(name, snapshot):
    """A change of hardware shows here; ``pytest --update-snapshots`` accepts it."""
    design = small()[name].create("x")
    snapshot(f"{name}.il", rtlil.convert(design, name=name, emit_src=False))


BENCH = """
module bench;
  reg clk = 0;
  reg [{inputs}:0] stimulus [0:{last}];
  wire [{inputs}:0] now = stimulus[n];
  wire [{width}-1:0] data;
  integer n = 0;
  {module} #({parameters}) dut({connections}, .data(data), .clk(clk));
  initial begin
    $readmemh("stimulus.hex", stimulus);
    for (n = 0; n <= {last}; n = n + 1) begin
      #1 if ({early}) $display("%h", data);
      #1 clk = 1;
      #1 if (!{early}) $display("%h", data);
      #1 clk = 0;
    end
  end
endmodule
"""

DEPTH, WIDTH, CYCLES = 11, 7, 200


def verilog_reads(tmp_path, part, pieces: list[tuple[str, int]], values, style) -> list[int | None]:
    """What the Verilog leaf module shows in each cycle; None where it is undefined."""
    target = VerilogTarget("ecp5")
    rtlil.convert(part, name="unused", platform=target)  # collects its files
    for file, text in target.files.items():
        (tmp_path / file).write_text(text)
    module = type(part).__name__.lower()
    total = sum(bits for _, bits in pieces)
    connections, low = [], 0
    words = [0] * len(values)
    for name, bits in pieces:
        connections.append(f".{name}(now[{low + bits - 1}:{low}])")
        words = [word | int(row[name]) << low for word, row in zip(words, values, strict=True)]
        low += bits
    (tmp_path / "stimulus.hex").write_text("".join(f"{word:x}\n" for word in words))
    parameters = {"WIDTH": WIDTH, "DEPTH": DEPTH, "ADDRESS": len(part.address)}
    if module == "rom":
        parameters |= {"FILE": '"contents.hex"', "BLOCK": int(style == "block")}
    else:
        parameters["STYLE"] = f'"{style}"'
    text = BENCH.format(
        inputs=total - 1,
        last=len(values) - 1,
        width=WIDTH,
        module=module,
        parameters=", ".join(f".{name}({value})" for name, value in parameters.items()),
        connections=", ".join(connections),
        early=int(module == "lutram"),
    )
    (tmp_path / "bench.v").write_text(text)
    command = ["iverilog", "-g2012", "-o", "bench", "bench.v", f"{module}.v"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True)
    words = done.stdout.decode().split()
    return [None if "x" in word else int(word, 16) for word in words]


def amaranth_reads(part, values) -> list[int]:
    seen = []

    async def testbench(ctx):
        for row in values:
            for name, value in row.items():
                ctx.set(getattr(part, name), int(value))
            if isinstance(part, LutRam):
                seen.append(ctx.get(part.data))
                await ctx.tick()
            else:
                await ctx.tick()
                seen.append(ctx.get(part.data))

    sim = Simulator(part)
    sim.add_clock(1e-8)
    sim.add_testbench(testbench)
    sim.run()
    return seen


@pytest.mark.skipif(not shutil.which("iverilog"), reason="there is no iverilog")
@pytest.mark.parametrize("kind", [Rom, Ram, LutRam])
@pytest.mark.parametrize("style", ["block", "distributed", "logic"])
def test_memories_are_the_same_in_verilog(tmp_path, kind, style):
    rng = np.random.default_rng(5)
    if kind is Rom:
        part = Rom([int(word) for word in rng.integers(0, 1 << WIDTH, DEPTH)], WIDTH, "contents")
    else:
        part = kind(DEPTH, WIDTH)
    address = len(part.address)
    pieces = [("address", address)]
    values = [{"address": rng.integers(DEPTH)} for _ in range(CYCLES)]
    if kind is not Rom:
        pieces += [("write_address", address), ("write_data", WIDTH), ("write", 1)]
        for row in values:
            place, write = rng.integers(DEPTH), rng.integers(2)
            if kind is Ram and place == row["address"]:
                write = 0  # undefined by contract: a word is never read as it is written
            row |= {"write_address": place, "write_data": rng.integers(1 << WIDTH), "write": write}
    shown = verilog_reads(tmp_path, part, pieces, values, style)
    expected = amaranth_reads(part, values)
    assert len(shown) == len(expected) == CYCLES
    defined = [(a, b) for a, b in zip(shown, expected, strict=True) if a is not None]
    assert len(defined) > CYCLES // 2
    assert all(a == b for a, b in defined)
