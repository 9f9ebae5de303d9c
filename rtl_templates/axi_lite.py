"""The target side of AXI4-Lite, for 32-bit registers."""

from amaranth import Elaboratable, Module, Mux, Signal

from hwgen.primitives import Logic, Part, Register
from hwgen.registers import ADDRESS_BITS

__all__ = ["AxiLite"]

OKAY, SLVERR = 0, 2


class AxiLite(Elaboratable):
    """One transfer of each direction at a time; every output of the bus comes from a register.

    A write waits for address and data, in any order, and takes both in the same cycle; a response
    is held until it is taken. Bits 1 and 0 of an address are ignored. An address without a register
    gives SLVERR and reads as 0; so does a write to a register that cannot be written.

    Attributes
    ----------
    awaddr, awvalid, awready, wdata, wstrb, wvalid, wready, bresp, bvalid, bready,
    araddr, arvalid, arready, rdata, rresp, rvalid, rready : Signal
        The bus, by AXI's names; ``awprot`` and ``arprot`` mean nothing here.
    index : Signal, out
        The word that is read or written.
    write : Signal(1), out
        ``data`` is written to it in this cycle, where ``strobe`` has the byte.
    value : Signal(32), in
        What the word holds.
    readable, writable : Signal(1), in
        Whether there is such a word, and whether it can be written.
    """

    def __init__(self):
        self.awaddr, self.araddr = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        self.awvalid, self.awready = Signal(), Signal()
        self.wdata, self.wstrb, self.wvalid, self.wready = Signal(32), Signal(4), Signal(), Signal()
        self.bresp, self.bvalid, self.bready = Signal(2), Signal(), Signal()
        self.arvalid, self.arready = Signal(), Signal()
        self.rdata, self.rresp, self.rvalid, self.rready = Signal(32), Signal(2), Signal(), Signal()
        self.index = Signal(ADDRESS_BITS - 2)
        self.write, self.data, self.strobe = Signal(), Signal(32), Signal(4)
        self.value, self.readable, self.writable = Signal(32), Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        read = Signal()
        # The two directions share what finds a word, so they take turns; a write goes first.
        write_now = self.awvalid & self.wvalid & ~self.awready & ~self.bvalid & ~self.arready
        read_now = self.arvalid & ~self.arready & ~self.rvalid & ~self.awready & ~write_now
        m.d.sync += [
            self.awready.eq(write_now),
            self.wready.eq(write_now),
            self.arready.eq(read_now),
        ]
        m.d.comb += [
            self.write.eq(self.awready),
            read.eq(self.arready),
            self.index.eq(Mux(self.awready, self.awaddr[2:], self.araddr[2:])),
            self.data.eq(self.wdata),
            self.strobe.eq(self.wstrb),
        ]
        with m.If(self.write):
            m.d.sync += [self.bvalid.eq(1), self.bresp.eq(Mux(self.writable, OKAY, SLVERR))]
        with m.Elif(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(read):
            m.d.sync += [
                self.rvalid.eq(1),
                self.rdata.eq(self.value),
                self.rresp.eq(Mux(self.readable, OKAY, SLVERR)),
            ]
        with m.Elif(self.rready):
            m.d.sync += self.rvalid.eq(0)
        return m

    @staticmethod
    def primitives() -> list[Part]:
        """Parts of the handshakes and of what is answered; not of the registers."""
        return [Register(3 + 2 + 2 + 32), Logic(20)]
