"""The accelerator: the plan's stages between AXI4-Stream ports."""

import re
from collections.abc import Iterable

from amaranth import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal, Signal
from amaranth.lib import stream

from hwgen.beats import Beats
from hwgen.manifest import Port, Probe, identifier
from hwgen.plan import Plan
from hwgen.plan.pipeline import input_ports, output_ports, unique
from hwgen.rtl_templates.sequencer import Sequencer
from hwgen.schedule import Process

__all__ = ["Accelerator", "Edge", "edge_ports", "probes"]


def edge_ports(plan: Plan) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The AXI4-Stream ports: beats go in as the first stages take them, and out as the last put
    them, in whole bytes. ``s_axis`` and ``m_axis``, or, of several, ``s_axis_NAME``."""
    exits = {name: beats for name, (_, beats) in plan.exits.items()}
    return tuple(_ports("s_axis", plan.entries)), tuple(_ports("m_axis", exits))


def _ports(side: str, streams: dict[str, Beats]) -> Iterable[Port]:
    used: set[str] = set()
    for name, beats in streams.items():
        # Simulators give two underscores in a row a meaning of their own.
        plain = re.sub("_+", "_", identifier(name)).strip("_")
        yield Port(f"{side}_{unique(plain, used)}" if name else side, name, beats)


def probes(plan: Plan) -> tuple[Probe, ...]:
    """Where each node's stream can be watched."""
    return tuple(
        Probe(stage.node, identifier(stage.name), stage.spec.outputs[0])
        for stage in plan.stages
        if stage.node
    )


class AxiStream:
    """Signals of one AXI4-Stream port; an output has ``last`` too."""

    def __init__(self, port: Port, last: bool):
        self.port = port
        self.data = Signal(8 * port.bytes, name=f"{port.name}_tdata")
        self.valid = Signal(name=f"{port.name}_tvalid")
        self.ready = Signal(name=f"{port.name}_tready")
        self.last = Signal(name=f"{port.name}_tlast") if last else None

    @property
    def signals(self) -> list[Signal]:
        """All of them, in order."""
        return [self.data, self.valid, self.ready, *([] if self.last is None else [self.last])]


class Edge:
    """Signals at the edge of a plan: ``aclk``, ``aresetn`` and the AXI4-Stream ports."""

    def __init__(self, plan: Plan):
        self.plan = plan
        inputs, outputs = edge_ports(plan)
        self.aclk, self.aresetn = Signal(name="aclk"), Signal(name="aresetn")
        self.inputs = [AxiStream(port, last=False) for port in inputs]
        self.outputs = [AxiStream(port, last=True) for port in outputs]

    @property
    def ports(self) -> list[Signal]:
        """All of them, in order."""
        streams = [signal for axi in (*self.inputs, *self.outputs) for signal in axi.signals]
        return [self.aclk, self.aresetn, *streams]


class Accelerator(Edge, Elaboratable):
    """Top module, with a synchronous reset that is active low.

    ``tlast`` marks the last beat of every frame that leaves. Frames follow one another without a
    gap.
    """

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        streams = {}
        for axi in self.inputs:
            name, port = axi.port.carries, axi.port
            path = ("input", name) if name else ("input",)
            entry = stream.Signature(port.beats.width).create(path=path)
            m.d.comb += [
                entry.payload.eq(axi.data),
                entry.valid.eq(axi.valid),
                axi.ready.eq(entry.ready),
            ]
            streams["", name] = entry
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
        for axi, (source, leaving) in zip(self.outputs, self.plan.exits.values(), strict=True):
            out = streams[source]
            name = "beats" if len(self.outputs) == 1 else f"{axi.port.name}_beats"
            m.submodules[name] = beats = Sequencer(Process((leaving.count,)))
            m.d.comb += [
                beats.step.eq(axi.valid & axi.ready),
                axi.data.eq(out.payload),
                axi.valid.eq(out.valid),
                out.ready.eq(axi.ready),
                axi.last.eq(beats.moves[-1]),
            ]
        return m


def _connect(m: Module, source, target) -> None:
    """Wire one end of a stream to the other."""
    m.d.comb += [
        target.payload.eq(source.payload),
        target.valid.eq(source.valid),
        source.ready.eq(target.ready),
    ]
