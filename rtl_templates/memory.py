"""Memories: a ROM with contents, a RAM with a registered read, a small RAM read at once.

Under Amaranth's simulator each is a ``lib.memory.Memory``; in emitted Verilog it is an instance of
``rom.v``, ``ram.v`` or ``lutram.v``, so that contents load from a ``.hex`` file and a large memory
costs no time to emit. None has a reset.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from amaranth import ClockSignal, Instance, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hwgen.primitives import ROM_WORDS, Memory, memory_style

__all__ = ["LutRam", "Ram", "Rom", "VerilogTarget", "hex_lines", "rom_part", "words_of"]

VERILOG = Path(__file__).parent / "verilog"


@dataclass
class VerilogTarget:
    """The platform of emitted Verilog: collects the files that go beside it.

    ``family`` says what memories are made of. ``files`` maps names to contents; ``.v`` files are
    sources.
    """

    family: str
    files: dict[str, str] = field(default_factory=dict)

    def source(self, name: str) -> None:
        """Add one of the Verilog leaf modules."""
        if name not in self.files:
            self.files[name] = (VERILOG / name).read_text()


def address_bits(depth: int) -> int:
    """Bits of an address of ``depth`` words; at least one."""
    return max(1, (depth - 1).bit_length())


def words_of(values: np.ndarray, bits: int) -> list[int]:
    """One integer a row of ``values`` (rows, lanes): ``bits`` bits a lane, lane 0 lowest."""
    planes = np.unpackbits(
        np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(*values.shape, 8),
        axis=2,
        count=bits,
        bitorder="little",
    )
    packed = np.packbits(planes.reshape(len(values), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def rom_part(values: np.ndarray, bits: int) -> Memory:
    """The part that a ROM of ``values`` (rows, lanes) of ``bits`` bits is: without the bits that
    are the same in every word; and of few words, which become LUTs, each of what is left once."""
    values = values.astype(np.int64)
    differ = np.bitwise_or.reduce(values ^ values[0], axis=0) & ((1 << bits) - 1)
    part = Memory(len(values), sum(int(lane).bit_count() for lane in differ), "rom")
    if len(values) > ROM_WORDS:
        return part
    columns = (values.T[:, None] >> np.arange(bits)[:, None] & 1).reshape(-1, len(values))
    varied = columns[columns.any(axis=1) & ~columns.all(axis=1)].astype(np.uint8)
    found = {column.tobytes() for column in np.packbits(varied, axis=1)}
    return replace(part, width=len(found))


def hex_lines(words: list[int], width: int) -> str:
    """Contents for ``$readmemh``: one word a line."""
    digits = -(-width // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)


class Rom(wiring.Component):
    """``data`` shows the word at ``address`` one cycle later.

    Parameters
    ----------
    words : list[int]
        Contents, unsigned.
    width : int
        Bits a word.
    file : str
        Name of the ``.hex`` file, without ending.
    """

    def __init__(self, words, width, file):
        self.words, self.width, self.file = words, width, file
        self.part = Memory(len(words), width, "rom")
        super().__init__({"address": In(address_bits(len(words))), "data": Out(width)})

    def elaborate(self, platform):
        m = Module()
        if isinstance(platform, VerilogTarget):
            platform.source("rom.v")
            name = f"{self.file}.hex"
            assert name not in platform.files, f"two memories are called {name}"
            platform.files[name] = hex_lines(self.words, self.width)
            m.submodules.rom = Instance(
                "rom",
                p_WIDTH=self.width,
                p_DEPTH=len(self.words),
                p_ADDRESS=len(self.address),
                p_BLOCK=int(memory_style(self.part, platform.family) == "block"),
                p_FILE=name,
                i_clk=ClockSignal(),
                i_address=self.address,
                o_data=self.data,
            )
        else:
            m.submodules.words = words = memory.Memory(
                shape=self.width, depth=len(self.words), init=self.words
            )
            port = words.read_port()
            m.d.comb += [port.addr.eq(self.address), port.en.eq(1), self.data.eq(port.data)]
        return m


class Ram(wiring.Component):
    """One write port, one read port; ``data`` shows the word at ``address`` one cycle later.

    A word must not be read in the cycle that writes it.
    """

    def __init__(self, depth, width):
        self.depth, self.width = depth, width
        self.part = Memory(depth, width, "ram")
        super().__init__(_ram_ports(depth, width))

    def elaborate(self, platform):
        if isinstance(platform, VerilogTarget):
            return _instance(self, platform, "ram")
        return _behaviour(self, domain="sync")


class LutRam(wiring.Component):
    """One write port, one read port; ``data`` shows the word at ``address`` in the same cycle."""

    def __init__(self, depth, width):
        self.depth, self.width = depth, width
        self.part = Memory(depth, width, "lutram")
        super().__init__(_ram_ports(depth, width))

    def elaborate(self, platform):
        if isinstance(platform, VerilogTarget):
            return _instance(self, platform, "lutram")
        return _behaviour(self, domain="comb")


def _ram_ports(depth, width):
    return {
        "write": In(1),
        "write_address": In(address_bits(depth)),
        "write_data": In(width),
        "address": In(address_bits(depth)),
        "data": Out(width),
    }


def _instance(ram, platform, module):
    platform.source(f"{module}.v")
    m = Module()
    m.submodules[module] = Instance(
        module,
        p_WIDTH=ram.width,
        p_DEPTH=ram.depth,
        p_ADDRESS=len(ram.address),
        p_STYLE=memory_style(ram.part, platform.family),
        i_clk=ClockSignal(),
        i_write=ram.write,
        i_write_address=ram.write_address,
        i_write_data=ram.write_data,
        i_address=ram.address,
        o_data=ram.data,
    )
    return m


def _behaviour(ram, domain):
    m = Module()
    m.submodules.words = words = memory.Memory(shape=ram.width, depth=ram.depth, init=[])
    write, read = words.write_port(), words.read_port(domain=domain)
    m.d.comb += [
        write.en.eq(ram.write),
        write.addr.eq(ram.write_address),
        write.data.eq(ram.write_data),
        read.addr.eq(ram.address),
        ram.data.eq(read.data),
    ]
    if domain == "sync":
        m.d.comb += read.en.eq(1)
    return m
