"""The accelerator: the plan's stages in a row between two AXI4-Stream ports."""

from amaranth import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal, Signal
from amaranth.lib import stream

from hwgen.manifest import Port, Probe, identifier
from hwgen.plan import Plan
from hwgen.plan.pipeline import WORLD, input_ports, output_ports
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process

__all__ = ["Accelerator", "edge_ports", "probes"]


def edge_ports(plan: Plan) -> tuple[Port, Port]:
    """The AXI4-Stream ports: beats go in as the first stage takes them, and out as the last puts
    them, in whole bytes."""
    entry, leaving = plan.ends
    return Port("s_axis", entry), Port("m_axis", leaving)


def probes(plan: Plan) -> tuple[Probe, ...]:
    """Where each node's stream can be watched."""
    return tuple(
        Probe(stage.node, identifier(stage.name), stage.spec.outputs[0])
        for stage in plan.stages
        if stage.node
    )


class Accelerator(Elaboratable):
    """Top module: ``aclk``, ``aresetn`` (synchronous, active low), ``s_axis`` and ``m_axis``.

    ``m_axis_tlast`` marks the last beat of every frame. Frames follow one another without a gap.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        source, target = edge_ports(plan)
        self.aclk, self.aresetn = Signal(name="aclk"), Signal(name="aresetn")
        self.s_data = Signal(8 * source.bytes, name="s_axis_tdata")
        self.s_valid, self.s_ready = Signal(name="s_axis_tvalid"), Signal(name="s_axis_tready")
        self.m_data = Signal(8 * target.bytes, name="m_axis_tdata")
        self.m_valid, self.m_ready = Signal(name="m_axis_tvalid"), Signal(name="m_axis_tready")
        self.m_last = Signal(name="m_axis_tlast")

    @property
    def ports(self) -> list[Signal]:
        """Ports of the top module, in order."""
        return [
            self.aclk,
            self.aresetn,
            self.s_data,
            self.s_valid,
            self.s_ready,
            self.m_data,
            self.m_valid,
            self.m_ready,
            self.m_last,
        ]

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        entry, leaving = self.plan.ends
        streams = {WORLD: stream.Signature(entry.width).create(path=("input",))}
        m.d.comb += [
            streams[WORLD].payload.eq(self.s_data),
            streams[WORLD].valid.eq(self.s_valid),
            self.s_ready.eq(streams[WORLD].ready),
        ]
        for stage in self.plan.stages:
            name = identifier(stage.name)
            m.submodules[name] = engine = stage.spec.create(name)
            for port, source in zip(input_ports(stage.spec), stage.sources, strict=True):
                # What is read is taken out: what is left in the end goes to the world.
                _connect(m, streams.pop(source), getattr(engine, port))
            for port, beats in zip(output_ports(stage.spec), stage.spec.outputs, strict=True):
                # A fork's outputs are numbered; the one output of an engine has its name.
                path = (name,) if port == "o" else (name, port)
                downstream = stream.Signature(beats.width).create(path=path)
                _connect(m, getattr(engine, port), downstream)
                streams[stage.name, port] = downstream
        (out,) = streams.values()
        m.submodules.beats = beats = Sequencer(Process((leaving.count,)))
        m.d.comb += [
            beats.step.eq(self.m_valid & self.m_ready),
            self.m_data.eq(out.payload),
            self.m_valid.eq(out.valid),
            out.ready.eq(self.m_ready),
            self.m_last.eq(beats.moves[-1]),
        ]
        return m


def _connect(m: Module, source, target) -> None:
    """Wire one end of a stream to the other."""
    m.d.comb += [
        target.payload.eq(source.payload),
        target.valid.eq(source.valid),
        source.ready.eq(target.ready),
    ]
