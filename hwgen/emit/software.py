"""C for the host: packing of frames, and the register map, written into ``BUILD/software/``."""

from pathlib import Path

import jinja2

from hwgen import registers
from hwgen.manifest import Manifest, identifier

__all__ = ["write_software"]

TEMPLATES = Path(__file__).parent / "software"


def write_software(folder: Path, manifest: Manifest) -> None:
    """Write ``folder/software/NAME.h`` and ``NAME.c``; the same bytes for the same manifest.

    Nothing is written for integers wider than the 32 bits of the code.
    """
    if any(port.beats.type.bits + (not port.beats.type.signed) > 32 for port in manifest.ports):
        return
    prefix = identifier(manifest.design).lower()
    values = {
        "design": manifest.design,
        "prefix": prefix,
        "inputs": manifest.inputs,
        "outputs": manifest.outputs,
        "identity": manifest.identity,
        "registers": registers.REGISTERS,
        "magic": registers.MAGIC,
        "version": registers.VERSION,
        "errors": [
            (
                port.name,
                [
                    (name, 1 << (4 * min(n, registers.WATCHED - 1) + bit), says)
                    for bit, (name, says) in enumerate(registers.ERRORS.items())
                ],
            )
            for n, port in enumerate(manifest.inputs)
        ],
        "bytes": any(
            not port.beats.type.signed
            and port.beats.type.bits <= 8
            and port.beats.type.encoding == "int"
            for port in manifest.inputs
        ),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # C, no HTML
    )
    place = folder / "software"
    place.mkdir(exist_ok=True)
    for ending in ("h", "c"):
        text = environment.get_template(f"host.{ending}.jinja").render(values)
        (place / f"{prefix}.{ending}").write_text(text)
