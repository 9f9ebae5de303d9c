"""The accelerator with its register file: ``accelerator_axi.v``, a module around the core.

The core stays as it is. Streams pass through; AXI4-Lite listens beside them.
"""

from amaranth import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal

from hwgen.emit.top import Edge
from hwgen.emit.verilog import verilog_text
from hwgen.plan import Plan
from hwgen.rtl_templates.control import Control

__all__ = ["WRAPPER", "wrapper_file"]

#: Module and file.
WRAPPER = "accelerator_axi"

#: Prefix of the AXI4-Lite port.
BUS = "s_axi_control"

#: Signals of AXI4-Lite that the controller drives, and those that it reads.
DRIVEN = ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready")
READ = ("awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid")


class Wrapper(Elaboratable):
    """``accelerator`` and ``Control``: the ports of the core, ``tlast`` at each input, and the
    register file's AXI4-Lite port; ``aclk`` and ``aresetn`` for all of them."""

    def __init__(self, plan: Plan, identity: int, core: str):
        self.core, self.edge = core, Edge(plan)
        beats = [axi.port.beats.count for axi in self.edge.inputs]
        self.control = Control(beats, len(self.edge.outputs), identity)
        self.lasts = [Signal(name=f"{axi.port.name}_tlast") for axi in self.edge.inputs]
        self.bus = {
            name: Signal(len(getattr(self.control.axi, name)), name=f"{BUS}_{name}")
            for name in (*DRIVEN, *READ)
        }
        # Part of every AXI4-Lite port; privileged or not is all the same here.
        self.unused = [Signal(3, name=f"{BUS}_{name}") for name in ("awprot", "arprot")]

    @property
    def ports(self) -> list[Signal]:
        """Ports of the module, in order."""
        return [*self.edge.ports, *self.lasts, *self.bus.values(), *self.unused]

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        edge, control = self.edge, self.control
        m.d.comb += [ClockSignal().eq(edge.aclk), ResetSignal().eq(~edge.aresetn)]
        m.submodules.control = control
        pins = {"i_aclk": edge.aclk, "i_aresetn": edge.aresetn & ~control.reset}
        for axi in edge.inputs:
            pins |= {f"i_{axi.data.name}": axi.data, f"i_{axi.valid.name}": axi.valid}
            pins |= {f"o_{axi.ready.name}": axi.ready}
        for axi in edge.outputs:
            pins |= {f"o_{signal.name}": signal for signal in (axi.data, axi.valid, axi.last)}
            pins |= {f"i_{axi.ready.name}": axi.ready}
        m.submodules.core = Instance(self.core, **pins)
        for axi, last, port in zip(edge.inputs, self.lasts, control.inputs, strict=True):
            m.d.comb += [
                port.valid.eq(axi.valid),
                port.ready.eq(axi.ready),
                port.last.eq(last),
            ]
        for axi, end in zip(edge.outputs, control.ends, strict=True):
            m.d.comb += end.eq(axi.valid & axi.ready & axi.last)
        for name in DRIVEN:
            m.d.comb += getattr(control.axi, name).eq(self.bus[name])
        for name in READ:
            m.d.comb += self.bus[name].eq(getattr(control.axi, name))
        return m


def wrapper_file(plan: Plan, identity: int, core: str) -> str:
    """Text of ``accelerator_axi.v``, the same for the same arguments."""
    top = Wrapper(plan, identity, core)
    return verilog_text(top, WRAPPER, top.ports)
