"""Measured clock: nextpnr places and routes an ECP5."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from hwgen.cost import Area
from hwgen.synth import tools
from hwgen.synth.yosys import netlist, workspace

__all__ = ["Routed", "route_ecp5"]

#: Pins of the CABGA381 package that a design may use (Lattice FPGA-DS-02012, LFE5U-85F).
PINS = 205

#: "LFE5U-85F-6BG381C": size, speed grade, package.
DEVICE = re.compile(r"LFE5U-(\d+)F-([678])BG(\d+)")


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
    design has more ports than the package has pins: routed out of context, with its clock on
    ordinary wires.
    """

    clock_mhz: float
    area: Area
    used: dict[str, int]
    pins: bool
    seed: int
    critical: Critical


def route_ecp5(
    rtl: Path,
    top: str,
    device: str = "LFE5U-85F-6BG381C",
    target_mhz: float = 80.0,
    seed: int = 1,
    progress: tools.Progress | None = None,
) -> Routed:
    """Place and route the Verilog in folder ``rtl``.

    ``target_mhz`` is what the router strives for; missing it is no error. ToolError when a tool
    fails, for instance because the design does not fit; ValueError for another kind of device.
    """
    found = DEVICE.match(device)
    if not found:
        raise ValueError(f"device must look like LFE5U-85F-6BG381C, not {device}")
    size, speed, balls = found.groups()
    with workspace(rtl) as folder:
        area = netlist(folder, top, "ecp5", progress)
        pins = _port_bits(folder / "netlist.json", top) <= PINS
        command = [
            *tools.nextpnr_ecp5(),
            f"--{size}k",
            *("--package", f"CABGA{balls}", "--speed", speed),
            *("--json", "netlist.json", "--report", "report.json"),
            *("--seed", str(seed), "--freq", str(target_mhz), "--timing-allow-fail"),
            "--lpf-allow-unconstrained" if pins else "--out-of-context",
        ]
        tools.run(command, folder, progress)
        report = json.loads((folder / "report.json").read_text())
    if not report["fmax"]:
        raise ValueError(f"{top} has no path between flip-flops, so no clock to measure")
    name, clock = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    used = {name: site["used"] for name, site in report["utilization"].items() if site["used"]}
    return Routed(clock["achieved"], area, used, pins, seed, _critical(report, name))


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


def _port_bits(path: Path, top: str) -> int:
    ports = json.loads(path.read_text())["modules"][top]["ports"]
    return sum(len(port["bits"]) for port in ports.values())
