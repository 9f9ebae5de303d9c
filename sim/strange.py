"""What a build directory from a stranger must not hold, if it is to be compiled and run here."""

import re
from pathlib import Path

from hwgen.errors import Problem, UserError
from hwgen.manifest import Manifest

__all__ = ["refuse_strange"]

#: System tasks of emitted Verilog. Others could read, write or run things on this machine.
HARMLESS = {"readmemh", "readmemb", "signed", "unsigned", "clog2", "bits", "time"}
HARMLESS |= {"display", "write", "error", "fatal", "finish", "stop"}


#: Names of ports: two underscores in a row would have another name in C++.
PORT = re.compile(r"[sm]_axis(_[A-Za-z0-9]+)*", re.ASCII)


def refuse_strange(folder: Path, manifest: Manifest) -> None:
    """UserError for names that are no identifiers and Verilog that could touch this machine."""
    problems = []
    if (manifest.top, manifest.clock, manifest.reset) != ("accelerator", "aclk", "aresetn"):
        problems.append(
            Problem(None, "manifest.json names another top, clock or reset", "emit it anew")
        )
    names = [port.name for port in manifest.ports]
    if not all(map(PORT.fullmatch, names)) or len(set(names)) < len(names):
        problems.append(
            Problem(None, "manifest.json names other ports than hwgen emits", "emit it anew")
        )
    for probe in manifest.probes:
        if not re.fullmatch(r"[A-Za-z]\w*", probe.signal, re.ASCII):
            problems.append(
                Problem(probe.node, f"{probe.signal!r} is no Verilog identifier", "emit it anew")
            )
    for name in manifest.sources:
        if not re.fullmatch(r"\w[\w./-]*\.s?v", name, re.ASCII):
            problems.append(Problem(None, f"{name!r} is no Verilog file", "emit it anew"))
        elif not (folder / "rtl" / name).is_file():
            problems.append(Problem(None, f"rtl/{name} is missing", "emit it anew"))
        elif told := _touches((folder / "rtl" / name).read_text(errors="replace")):
            problems.append(
                Problem(
                    None,
                    f"rtl/{name} uses {', '.join(told)}",
                    "hwgen simulates no Verilog that could reach beyond the simulation",
                )
            )
    if problems:
        raise UserError(*problems)


def _touches(verilog: str) -> list[str]:
    """What in this text could read, write or run something outside the simulation."""
    plain = re.sub(r"\\\S+", " ", verilog)  # escaped identifiers may hold anything
    tasks = {f"${name}" for name in re.findall(r"\$(\w+)", plain) if name not in HARMLESS}
    directives = {f"`{name}" for name in re.findall(r"`(\w*)", plain)}
    comments = set(re.findall(r"/[/*]\s*(?:verilator|verilog_verilator)\b[^\n*]*", plain))
    links = set(re.findall(r'"DPI[^"]*"', plain))
    return sorted((tasks | directives | comments | links) - {"`timescale", "`default_nettype"})
