"""Measured clock: nextpnr places and routes an iCE40, an ECP5 or a Gowin LittleBee."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

from hwgen.cost import Area
from hwgen.synth import tools
from hwgen.synth.yosys import netlist, workspace

__all__ = ["FAMILIES", "Critical", "Routed", "route"]

#: Names that the clock of a design may have.
CLOCKS = ("aclk", "clk")

#: A design with more ports than pins: they are fed from, and folded into, a chain of flip-flops.
FEW_PINS = """
module few_pins(input clk, input si, output reg so);
reg [{ins}:0] i;
wire [{outs}:0] o;
reg [{outs}:0] q;
always @(posedge clk) begin i <= {{i, si}}; q <= {{q, 1'b0}} ^ o; so <= q[{outs}]; end
{top} dut(.{clock}(clk){ports});
endmodule
"""


#: Where those three are on a Tang Nano 9K: its oscillator, a button, an LED.
PLACES = """IO_LOC "clk" 52;
IO_LOC "si" 3;
IO_LOC "so" 10;
"""


@dataclass(frozen=True)
class Critical:
    """The path that limits the clock: cells where it begins and ends, and where its time goes, in
    ns. What a register needs at either end counts as logic."""

    source: str
    sink: str
    logic_ns: float
    routing_ns: float


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    ``clock_mhz``: the slowest clock's Fmax, between flip-flops, at the slow corner. ``area`` as
    Yosys counts it; ``used`` as nextpnr does, by name of the site. ``pins`` is False where the
    design has more ports than the package has pins: an ECP5 is then routed out of context, with its
    clock on ordinary wires; the others with a chain of flip-flops around the design.
    """

    clock_mhz: float
    area: Area
    used: dict[str, int]
    pins: bool
    seed: int
    critical: Critical


@dataclass(frozen=True)
class Router:
    """How a family is routed: ``device`` is the pattern of its device names, ``arguments`` makes
    nextpnr's options of a match, ``pins`` are those of the package that a design may use."""

    device: str
    example: str
    arguments: Callable[[re.Match], list[str]]
    pins: int
    alone: bool = False


ROUTERS: Mapping[str, Router] = {
    # 39 pins of the SG48 (Lattice FPGA-DS-02008); names carry a temperature grade at the end.
    "ice40": Router(
        r"iCE40(UP5K)-(SG48)I?$",
        "iCE40UP5K-SG48I",
        lambda m: [f"--{m[1].lower()}", "--package", m[2].lower(), "--pcf-allow-unconstrained"],
        pins=39,
    ),
    # Size, speed grade, package; 205 pins of the CABGA381 (Lattice FPGA-DS-02012).
    "ecp5": Router(
        r"LFE5U-(\d+)F-([678])BG(\d+)",
        "LFE5U-85F-6BG381C",
        lambda m: [f"--{m[1]}k", "--package", f"CABGA{m[3]}", "--speed", m[2]],
        pins=205,
        alone=True,
    ),
    # Devices of 9 K LUTs are of revision C (GW1NR-9C) on the boards that hwgen knows. No pin is
    # chosen by itself: those of ``PLACES`` must do.
    "gowin": Router(
        r"(GW1NR-LV9QN88P\w+/\w+)$",
        "GW1NR-LV9QN88PC6/I5",
        lambda m: ["--device", m[1], "--vopt", "family=GW1N-9C", "--vopt", "cst=few_pins.cst"],
        pins=0,
    ),
}

#: Families that ``route`` knows.
FAMILIES = tuple(ROUTERS)


def route(
    rtl: Path,
    top: str,
    family: str = "ecp5",
    device: str = "LFE5U-85F-6BG381C",
    target_mhz: float = 80.0,
    seed: int = 1,
    progress: tools.Progress | None = None,
    limit: float = inf,
) -> Routed:
    """Place and route the Verilog in folder ``rtl``.

    ``target_mhz`` is what the router strives for; missing it is no error. ToolError when a tool
    fails, for instance because the design does not fit, Overrun when nextpnr has not finished after
    ``limit`` seconds; ValueError for another kind of device.
    """
    if family not in ROUTERS:
        raise ValueError(f"family must be one of {', '.join(ROUTERS)}, not {family!r}")
    router = ROUTERS[family]
    found = re.match(router.device, device)
    if not found:
        raise ValueError(f"device must look like {router.example}, not {device}")
    options = router.arguments(found)
    with workspace(rtl) as folder:
        area = netlist(folder, top, family, progress)
        ports = json.loads((folder / "netlist.json").read_text())["modules"][top]["ports"]
        pins = sum(len(port["bits"]) for port in ports.values()) <= router.pins
        if router.alone:
            options.append("--lpf-allow-unconstrained" if pins else "--out-of-context")
        elif not pins:
            (folder / "few_pins.v").write_text(few_pins(top, ports))
            (folder / "few_pins.cst").write_text(PLACES)
            netlist(folder, "few_pins", family, progress)
        command = [
            *tools.nextpnr(family),
            *options,
            *("--json", "netlist.json", "--report", "report.json"),
            *("--seed", str(seed), "--freq", str(target_mhz), "--timing-allow-fail"),
        ]
        tools.run(command, folder, progress, limit)
        report = json.loads((folder / "report.json").read_text())
    if not report["fmax"]:
        raise ValueError(f"{top} has no path between flip-flops, so no clock to measure")
    name, clock = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    used = {name: site["used"] for name, site in report["utilization"].items() if site["used"]}
    return Routed(clock["achieved"], area, used, pins, seed, _critical(report, name))


def few_pins(top: str, ports: Mapping) -> str:
    """Verilog around ``top`` with three pins; ``ports`` as a netlist in JSON has them."""
    clock = next(name for name in ports if name in CLOCKS)
    at = {"input": 0, "output": 0}
    connected = ""
    for name, port in ports.items():
        if name != clock:
            way, bits = port["direction"], len(port["bits"])
            chain = "i" if way == "input" else "o"
            connected += f", .{name}({chain}[{at[way] + bits - 1}:{at[way]}])"
            at[way] += bits
    ins, outs = (max(0, at[way] - 1) for way in ("input", "output"))
    return FEW_PINS.format(ins=ins, outs=outs, top=top, clock=clock, ports=connected)


def _critical(report: dict, clock: str) -> Critical:
    """The critical path among flip-flops of ``clock``."""
    edges = {f"posedge {clock}", f"negedge {clock}"}
    path = next(
        found["path"]
        for found in report["critical_paths"]
        if found["from"] in edges and found["to"] in edges
    )
    routing = sum(step["delay"] for step in path if step["type"] == "routing")
    everything = sum(step["delay"] for step in path)
    return Critical(
        path[0]["from"]["cell"],
        path[-1]["to"]["cell"],
        round(everything - routing, 2),
        round(routing, 2),
    )
