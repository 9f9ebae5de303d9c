"""The register map at the accelerator's edge, as data: hardware, C header and Tcl read it here."""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ADDRESS_BITS",
    "ERRORS",
    "MAGIC",
    "REGISTERS",
    "VERSION",
    "WATCHED",
    "RegisterAt",
    "index_of",
]

#: ``hwgn``, the first letter in the least significant byte.
MAGIC = int.from_bytes(b"hwgn", "little")

#: Of this register map.
VERSION = 1

#: Bits of a byte address: the 4 KiB that address editors give a peripheral at least.
ADDRESS_BITS = 12


@dataclass(frozen=True)
class RegisterAt:
    """One register of 32 bits at a byte offset.

    ``access``: "ro" is read-only, "rw" is read and written, "w1c" is read, and written ones clear.
    """

    name: str
    offset: int
    access: Literal["ro", "rw", "w1c"]
    says: str


REGISTERS = (
    RegisterAt("MAGIC", 0x00, "ro", f"0x{MAGIC:08X}, the letters hwgn"),
    RegisterAt("VERSION", 0x04, "ro", f"of this register map: {VERSION}"),
    RegisterAt("HASH_LOW", 0x08, "ro", "bits 31..0 of the network's hash"),
    RegisterAt("HASH_HIGH", 0x0C, "ro", "bits 63..32 of it"),
    RegisterAt(
        "CONTROL", 0x10, "rw", "bit 0: while 1, the accelerator and what is counted are reset"
    ),
    RegisterAt("ERRORS", 0x14, "w1c", "bits 4k..4k+2, of input k: early, missing, retracted"),
    RegisterAt("FRAMES", 0x18, "ro", "frames that have left whole since reset, modulo 2^32"),
    RegisterAt("CYCLES", 0x1C, "ro", "for how long the last of them was the oldest one inside"),
)

#: Bits of ERRORS that each input has, in this order.
ERRORS = {
    "EARLY": "tlast on a beat that is not the last of its frame",
    "MISSING": "no tlast on the last beat of a frame",
    "RETRACTED": "tvalid was withdrawn before the beat was taken",
}

#: Inputs with bits of their own in ERRORS; those after them share the last ones.
WATCHED = 8


def index_of(name: str) -> int:
    """Place of a register in the map, in words."""
    return next(at.offset // 4 for at in REGISTERS if at.name == name)
