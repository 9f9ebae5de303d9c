"""A Tcl script that packages the accelerator for Vivado. It is written here, and never run here."""

from pathlib import Path

import jinja2

from hwgen import registers
from hwgen.emit.wrapper import BUS, WRAPPER
from hwgen.manifest import Manifest, identifier

__all__ = ["write_ip"]

TEMPLATES = Path(__file__).parent / "ip"


def write_ip(folder: Path, manifest: Manifest) -> Path:
    """Write ``folder/ip/package.tcl`` for the Verilog and memory contents that are in
    ``folder/rtl``, and return its path; the same bytes for the same build."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Tcl, no HTML
    )
    text = environment.get_template("package.tcl.jinja").render(
        design=identifier(manifest.design),
        prefix=identifier(manifest.design).lower(),
        identity=manifest.identity,
        sources=sorted({*manifest.sources, f"{WRAPPER}.v"}),
        contents=sorted(path.name for path in (folder / "rtl").glob("*.hex")),
        top=WRAPPER,
        streams=[port.name for port in manifest.ports],
        bus=BUS,
        range=1 << registers.ADDRESS_BITS,
        registers=registers.REGISTERS,
    )
    place = folder / "ip"
    place.mkdir(exist_ok=True)
    (place / "package.tcl").write_text(text)
    return place / "package.tcl"
