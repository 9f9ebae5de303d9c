"""The accelerator: the plan's stages in a row between two AXI4-Stream ports."""

from amaranth import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal, Signal
from amaranth.lib import stream

from hwgen.manifest import Port, Probe, identifier
from hwgen.plan import Plan
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process

__all__ = ["Accelerator", "edge_ports", "probes"]


def edge_ports(plan: Plan) -> tuple[Port, Port]:
    """The AXI4-Stream ports: beats go in as the first stage takes them, and out as the last puts
    them, in whole bytes."""
    return (
        Port("s_axis", plan.stages[0].spec.inputs[0]),
        Port("m_axis", plan.stages[-1].spec.outputs[0]),
    )


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
        upstream = stream.Signature(self.plan.stages[0].spec.inputs[0].width).create(
            path=("input",)
        )
        m.d.comb += [
            upstream.payload.eq(self.s_data),
            upstream.valid.eq(self.s_valid),
            self.s_ready.eq(upstream.ready),
        ]
        for stage in self.plan.stages:
            name = identifier(stage.name)
            engine = stage.spec.create(name)
            m.submodules[name] = engine
            downstream = stream.Signature(stage.spec.outputs[0].width).create(path=(name,))
            m.d.comb += [
                engine.i.payload.eq(upstream.payload),
                engine.i.valid.eq(upstream.valid),
                upstream.ready.eq(engine.i.ready),
                downstream.payload.eq(engine.o.payload),
                downstream.valid.eq(engine.o.valid),
                engine.o.ready.eq(downstream.ready),
            ]
            upstream = downstream
        count = self.plan.stages[-1].spec.outputs[0].count
        m.submodules.beats = beats = Sequencer(Process((count,)))
        m.d.comb += [
            beats.step.eq(self.m_valid & self.m_ready),
            self.m_data.eq(upstream.payload),
            self.m_valid.eq(upstream.valid),
            upstream.ready.eq(self.m_ready),
            self.m_last.eq(beats.moves[-1]),
        ]
        return m
