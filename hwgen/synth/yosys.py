"""Measured area: Yosys on emitted Verilog."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from hwgen.cost import Area
from hwgen.errors import Problem, refuse
from hwgen.synth import cells, tools

__all__ = ["count_cells", "netlist", "script", "synthesise", "workspace"]

#: Bits of the block in which memories are counted on every family.
BLOCK_BITS = 18 * 1024

#: Names that go into a Yosys script; anything else could be read as a command, and Yosys has one
#: that runs programs.
PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)

# No I/O or clock buffers, since an accelerator sits inside somebody's design; nextpnr wants them
# on a Gowin, where they are not counted.
FPGA = {
    "ice40": "synth_ice40 -dsp -device u -top {top} -json netlist.json",
    "ecp5": "synth_ecp5 -top {top} -json netlist.json",
    "gowin": "synth_gowin -family gw1n -top {top} -json netlist.json",
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {top}",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {top}",
}

# Memories in blocks stay memories, the others become gates, and so do tables that Yosys finds in
# the logic (proc_rom). Enables and resets of flip-flops become gates too (dfflegalize), so that a
# flip-flop is a plain one.
ASIC = """
synth -flatten -top {top} -run begin:fine
memory_map t:$mem_v2 a:ram_style=block %d
tee -q -o memories.il dump t:$mem_v2
opt -fast -full
techmap
opt -fast
dfflegalize -cell $_DFF_P_ 01
abc -g cmos2
opt_clean
"""


#: LUTs up to which a design is synthesised as a whole: far above, ABC needs more than the 4 GB that
#: Yosys in WebAssembly has.
LARGE = 100_000


def synthesise(
    rtl: Path,
    top: str,
    family: str,
    progress: tools.Progress | None = None,
    luts: int = 0,
) -> Area:
    """Area of the Verilog in folder ``rtl``, with module ``top`` and all beneath it flattened.

    Where more than ``LARGE`` LUTs are to be expected, as ``luts`` says, it is each module right
    beneath ``top`` that is flattened. That takes less memory and, where modules hand on registers,
    as many cells, give or take one in a hundred. Gates are made of the whole.

    ``family`` is one of ``board.FAMILIES``. ToolError when Yosys refuses the Verilog;
    UserError for odd file names; ValueError for a netlist with cells that we cannot count.
    """
    with workspace(rtl) as folder:
        return cells.count(count_cells(folder, top, family, progress, luts > LARGE), family)


@contextmanager
def workspace(rtl: Path) -> Iterator[Path]:
    """A temporary folder with the Verilog and the memory contents of ``rtl``.

    Contents are found beside the Verilog, and a build directory stays as hwgen wrote it.
    """
    files = sorted(file for pattern in ("*.v", "*.hex") for file in Path(rtl).glob(pattern))
    refuse(
        Problem(None, f"{file.name!r} in {rtl} is no plain file name", "rename it")
        for file in files
        if not PLAIN.fullmatch(file.name)
    )
    with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
        for file in files:
            shutil.copyfile(file, Path(name) / file.name)
        yield Path(name)


def netlist(folder: Path, top: str, family: str, progress: tools.Progress | None = None) -> Area:
    """Area of a workspace, as ``count_cells`` synthesises it."""
    return cells.count(count_cells(folder, top, family, progress), family)


def count_cells(
    folder: Path,
    top: str,
    family: str,
    progress: tools.Progress | None = None,
    apart: bool = False,
) -> dict[str, int]:
    """Cells by type, after synthesis in a workspace, as a whole or ``apart``.

    Where nextpnr knows the family, the netlist stays there as ``netlist.json``.
    """
    if family not in cells.CELLS:
        raise ValueError(f"family must be one of {', '.join(cells.CELLS)}, not {family!r}")
    if not PLAIN.fullmatch(top):
        raise ValueError(f"top must be a plain identifier, not {top!r}")
    sources = " ".join(file.name for file in sorted(folder.glob("*.v")))
    if not sources:
        raise ValueError(f"no Verilog in {folder}")
    parts = _beneath(folder, top) if apart and family in FPGA else []
    commands = [
        # Deferred: rom.v with its default parameters would look for a file that is not there.
        f"read_verilog -sv -defer {sources}",
        f"hierarchy -check -top {top}",
        "chformal -remove",  # assertions are for simulation
        *(f"setattr -mod -set keep_hierarchy 1 {part}" for part in parts),
        script(top, family),
        "tee -q -o stat.json stat -json",
    ]
    (folder / "synth.ys").write_text("\n".join(commands) + "\n")
    tools.run([*tools.yosys(), "-s", "synth.ys"], folder, progress)
    counted = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    if family == "asic":
        counted[cells.MACRO] = _macros((folder / "memories.il").read_text())
    return {kind: count for kind, count in counted.items() if kind not in parts}


def _beneath(folder: Path, top: str) -> list[str]:
    """The modules right beneath ``top``, which Amaranth names ``top.part``."""
    text = "\n".join(file.read_text() for file in sorted(folder.glob("*.v")))
    return re.findall(rf"^module \\({re.escape(top)}\.\w+) ", text, re.MULTILINE)


def script(top: str, family: str) -> str:
    """Yosys commands that make cells of the family of what has been read."""
    return FPGA.get(family, ASIC).format(top=top).strip()


def _macros(dump: str) -> int:
    """Blocks that the memories of an RTLIL dump take, each a whole number of them."""
    sizes = re.findall(r"parameter \\SIZE (?:32'([01]+)|(\d+))", dump)
    widths = re.findall(r"parameter \\WIDTH (?:32'([01]+)|(\d+))", dump)
    return sum(
        ceil(_number(size) * _number(width) / BLOCK_BITS)
        for size, width in zip(sizes, widths, strict=True)
    )


def _number(digits: tuple[str, str]) -> int:
    return int(digits[0], 2) if digits[0] else int(digits[1])
