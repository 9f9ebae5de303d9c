"""What Yosys makes of many designs: in parallel, and each only once.

Counts of cells are kept in the user's cache, under the hash of the design, of the synthesis script
and of the tool's version. So a run that was stopped goes on where it was.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.back import rtlil, verilog

from hwgen.cache import cache
from hwgen.cost import Area
from hwgen.rtl_templates import Spec, VerilogTarget
from hwgen.synth import cells, tools, yosys

__all__ = ["Design", "design", "measure"]

#: Called with how many designs are done, and of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Design:
    """Module ``top`` in some files. ``key`` stands for all that synthesis depends on."""

    family: str
    top: str
    key: str
    write: Callable[[Path], None] = field(compare=False)

    @property
    def place(self) -> Path:
        """Where its counts are kept."""
        text = "\n".join((self.key, self.top, yosys.script(self.top, self.family)))
        digest = hashlib.sha256(f"{text}\n{tools.yosys_version()}".encode())
        return cache() / "synth" / f"{digest.hexdigest()[:32]}.json"


def design(spec: Spec, family: str) -> Design:
    """One spec alone, with its memories."""
    target = VerilogTarget(family)
    # As RTLIL it is known at once; Verilog takes longer, and is only made to be synthesised.
    key = rtlil.convert(spec.create("top"), name="top", platform=target, emit_src=False)
    key += json.dumps(target.files, sort_keys=True)

    def write(folder: Path) -> None:
        fresh = VerilogTarget(family)
        text = verilog.convert(
            spec.create("top"), name="top", platform=fresh, strip_internal_attrs=True
        )
        for name, content in {"top.v": text, **fresh.files}.items():
            (folder / name).write_text(content)

    return Design(family, "top", key, write)


def measure(designs: Mapping[str, Design], jobs: int, progress: Progress) -> dict[str, Area]:
    """Area of each design, ``jobs`` of them at a time. ToolError when synthesis fails."""
    found: dict[str, Area] = {}
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {}
        for name, one in designs.items():
            if one.place.exists():
                counts = json.loads(one.place.read_text())
                found[name] = cells.count(counts, one.family)
            else:
                waiting[pool.submit(_synthesise, one)] = name
        progress(len(found), len(designs))
        try:
            for future in as_completed(waiting):
                name = waiting[future]
                found[name] = cells.count(future.result(), designs[name].family)
                progress(len(found), len(designs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: found[name] for name in designs}


def _synthesise(one: Design) -> dict[str, int]:
    with tempfile.TemporaryDirectory(prefix="hwgen-") as folder:
        one.write(Path(folder))
        counts = yosys.count_cells(Path(folder), one.top, one.family)
    one.place.parent.mkdir(parents=True, exist_ok=True)
    partial = one.place.with_suffix(f".{os.getpid()}.{id(one)}")
    partial.write_text(json.dumps(counts))
    os.replace(partial, one.place)
    return counts
