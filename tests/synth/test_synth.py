"""Yosys and nextpnr on small designs: what they measure, and that estimates agree."""

import sys
from dataclasses import replace

import pytest

from hwgen.cost import Area, area
from hwgen.errors import UserError
from hwgen.primitives import Memory, Multiplier
from hwgen.synth import LARGE, ToolError, cells, route, synthesise, tools
from hwgen.synth.route import few_pins

MULTIPLIERS = [(8, 1), (2, 2), (4, 4), (5, 4), (19, 18), (20, 18), (28, 18), (34, 34), (40, 10)]
MEMORIES = [
    (40, 20, "ram"),
    (512, 36, "ram"),
    (1024, 72, "rom"),
    (3000, 5, "rom"),
    (9000, 2, "rom"),
    (2304, 16, "ram"),
    (4096, 9, "ram"),
]

MULTIPLY = """
module mul{n}(input signed [{a}-1:0] a, input signed [{b}-1:0] b, output signed [{a}+{b}-1:0] y);
    assign y = a * b;
endmodule
"""

MEMORY = """
module mem{n}(input clk, input w, input [15:0] wa, input [{width}-1:0] d, input [15:0] ra,
              output reg [{width}-1:0] q);
    (* ram_style = "block", rom_style = "block", no_rw_check *)
    reg [{width}-1:0] words[0:{depth}-1];
    {init}
    always @(posedge clk) begin {write} q <= words[ra[{top}:0]]; end
endmodule
"""

COUNTER = """
module top(input clk, input [7:0] step, output reg [23:0] q);
    always @(posedge clk) q <= q + step * step;
    always @(posedge clk) assert (step != 3);
endmodule
"""

# Never instantiated with these parameters: its default file does not exist.
UNUSED = """
module rom #(parameter FILE = "rom.hex") (input a, output b);
    reg words[0:1];
    initial $readmemh(FILE, words);
    assign b = words[a];
endmodule
"""


def parts_as_verilog(folder):
    """All MULTIPLIERS and MEMORIES side by side, as module ``top``."""
    text, ports, inner = "", ["input clk"], ""
    for n, (a, b) in enumerate(MULTIPLIERS):
        text += MULTIPLY.format(n=n, a=a, b=b)
        ports += [f"input [{a - 1}:0] a{n}", f"input [{b - 1}:0] b{n}"]
        ports.append(f"output [{a + b - 1}:0] y{n}")
        inner += f"mul{n} mul{n}(a{n}, b{n}, y{n});\n"
    for n, (depth, width, kind) in enumerate(MEMORIES):
        bits = (depth - 1).bit_length()
        init = write = ""
        if kind == "rom":
            init = f'initial $readmemh("m{n}.hex", words);'
            # Contents without a pattern that synthesis could take advantage of.
            words = (pow(5, k + 1, 1 << 200) >> 77 & (1 << width) - 1 for k in range(depth))
            (folder / f"m{n}.hex").write_text("".join(f"{word:x}\n" for word in words))
        else:
            write = f"if (w) words[wa[{bits - 1}:0]] <= d;"
        text += MEMORY.format(n=n, depth=depth, width=width, init=init, write=write, top=bits - 1)
        ports += [f"input w{n}", f"input [15:0] wa{n}", f"input [15:0] ra{n}"]
        ports += [f"input [{width - 1}:0] d{n}", f"output [{width - 1}:0] q{n}"]
        inner += f"mem{n} mem{n}(clk, w{n}, wa{n}, d{n}, ra{n}, q{n});\n"
    (folder / "top.v").write_text(f"{text}module top({', '.join(ports)});\n{inner}endmodule\n")


@pytest.mark.parametrize("family", ["ice40", "ecp5", "gowin", "xc7", "xcup"])
def test_estimated_dsp_and_bram_are_exact(tmp_path, family):
    parts_as_verilog(tmp_path)
    found = synthesise(tmp_path, "top", family)
    parts = [Multiplier(a, b) for a, b in MULTIPLIERS]
    parts += [Memory(depth, width, kind) for depth, width, kind in MEMORIES]
    expected = area(parts, family)
    assert (found.dsp, found.bram) == (expected.dsp, expected.bram)


def test_a_small_design_on_every_family(tmp_path):
    (tmp_path / "top.v").write_text(COUNTER)
    (tmp_path / "rom.v").write_text(UNUSED)
    before = sorted(tmp_path.iterdir())
    said = []
    assert synthesise(tmp_path, "top", "ecp5", said.append) == Area(24, 24, 1, 0)
    assert any("SYNTH" in text for text in said)
    assert replace(synthesise(tmp_path, "top", "xcup"), lut=0, ff=0) == Area(dsp=1)
    gates = synthesise(tmp_path, "top", "asic")
    assert gates.lut > 300 and (gates.ff, gates.dsp, gates.bram) == (24, 0, 0)
    assert sorted(tmp_path.iterdir()) == before


STAGE = """
module \\top.{name} (input clk, input [8:0] x, output reg [8:0] y);
reg [8:0] held;
always @(posedge clk) begin held <= x; y <= held * held + x; end
endmodule
"""
STAGES = """
module top(input clk, input [8:0] x, output [8:0] y);
wire [8:0] between;
\\top.first first(clk, x, between);
\\top.second second(clk, between, y);
endmodule
"""


@pytest.mark.parametrize("family", ["ecp5", "xcup"])
def test_modules_apart_take_as_many_cells(tmp_path, family):
    text = "".join(STAGE.format(name=name) for name in ("first", "second")) + STAGES
    (tmp_path / "top.v").write_text(text)
    whole, apart = (synthesise(tmp_path, "top", family, luts=luts) for luts in (LARGE, LARGE + 1))
    assert whole.lut > 0 and whole.ff > 0
    assert apart == whole


def test_asic_counts_block_memories_apart(tmp_path):
    text = MEMORY.format(n=0, depth=1024, width=37, init="", write="if (w) words[wa] <= d;", top=9)
    (tmp_path / "top.v").write_text(text)
    found = synthesise(tmp_path, "mem0", "asic")
    assert found.bram == 3 and found.lut < 100


def test_route(tmp_path):
    (tmp_path / "top.v").write_text(COUNTER)
    routed = route(tmp_path, "top")
    assert routed.area == Area(24, 24, 1, 0)
    assert routed.pins and routed.used["MULT18X18D"] == 1
    assert 20 < routed.clock_mhz < 500
    assert routed == route(tmp_path, "top")


@pytest.mark.parametrize(
    "family, device, area, pins",
    [
        # A multiplier of an iCE40 has an accumulator, which takes all of the counter.
        ("ice40", "iCE40UP5K-SG48I", Area(0, 0, 1, 0), True),
        ("gowin", "GW1NR-LV9QN88PC6/I5", Area(24, 24, 1, 0), False),
    ],
)
def test_route_other_families(tmp_path, family, device, area, pins):
    (tmp_path / "top.v").write_text(COUNTER)
    routed = route(tmp_path, "top", family, device, target_mhz=24)
    assert (routed.area, routed.pins) == (area, pins)
    assert 20 < routed.clock_mhz < 500


def test_a_chain_of_flip_flops_stands_for_missing_pins():
    ports = {
        "clk": {"direction": "input", "bits": [1]},
        "a": {"direction": "input", "bits": [2, 3]},
        "b": {"direction": "output", "bits": [4]},
    }
    text = few_pins("top", ports)
    assert "top dut(.clk(clk), .a(i[1:0]), .b(o[0:0]));" in text


def test_route_with_too_many_ports_for_the_package(tmp_path):
    wide = "module top(input clk, input [149:0] a, output reg [149:0] q);\nreg [149:0] b;\n"
    wide += "always @(posedge clk) begin b <= a; q <= b ^ {b, b[149]}; end\nendmodule\n"
    (tmp_path / "top.v").write_text(wide)
    routed = route(tmp_path, "top")
    assert not routed.pins and routed.area.ff == 300 and routed.clock_mhz > 20


def test_bad_verilog_shows_what_yosys_says(tmp_path):
    (tmp_path / "top.v").write_text("module top(;\n")
    with pytest.raises(ToolError, match="syntax error"):
        synthesise(tmp_path, "top", "ecp5")


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no Verilog"):
        synthesise(tmp_path, "top", "ecp5")
    with pytest.raises(ValueError, match="family must be"):
        synthesise(tmp_path, "top", "nexus")
    with pytest.raises(ValueError, match="device must look like"):
        route(tmp_path, "top", device="iCE40")


def test_names_cannot_smuggle_commands_into_the_script(tmp_path):
    (tmp_path / "top.v").write_text(COUNTER)
    with pytest.raises(ValueError, match="plain identifier"):
        synthesise(tmp_path, "top; exec -- touch bad", "ecp5")
    (tmp_path / "a; exec -- touch bad; b.v").write_text("")
    with pytest.raises(UserError, match="no plain file name; rename it"):
        synthesise(tmp_path, "top", "ecp5")


def test_unknown_cells_are_not_passed_over():
    assert cells.count({"LUT4": 3, "CCU2C": 2, "$scopeinfo": 1}, "ecp5") == Area(lut=7)
    with pytest.raises(ValueError, match="unknown size on ecp5: EHXPLLL"):
        cells.count({"LUT4": 1, "EHXPLLL": 1}, "ecp5")


def test_old_native_yosys_is_passed_over(tmp_path, monkeypatch):
    old = tmp_path / "yosys"
    old.write_text("#!/bin/sh\necho 'Yosys 0.23 (git sha1 7ce5011c24b)'\n")
    old.chmod(0o755)
    assert tools.native_version(str(old)) == (0, 23)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    tools.yosys.cache_clear()
    try:
        assert tools.yosys()[0] != str(old)
        old.write_text("#!/bin/sh\necho 'Yosys 0.45+3 (git sha1 7ce5011c24b)'\n")
        tools.yosys.cache_clear()
        assert tools.yosys() == [str(old)]
    finally:
        tools.yosys.cache_clear()


def test_a_tool_is_stopped_in_time(tmp_path):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(tools.Overrun, match=r"after 0\.2 seconds"):
        tools.run(sleep, tmp_path, limit=0.2)
    tools.run([sys.executable, "-c", "pass"], tmp_path, limit=60)


def test_a_trap_says_what_to_do(tmp_path):
    code = """
import wasmtime
store = wasmtime.Store()
text = '(module (func (export "f") unreachable))'
module = wasmtime.Module(store.engine, text)
wasmtime.Instance(store, module, []).exports(store)["f"](store)
"""
    with pytest.raises(tools.TooLarge, match="4 GB: the design is too large"):
        tools.run([sys.executable, "-c", code], tmp_path)
