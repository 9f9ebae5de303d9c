"""Two specs in a row, as one design to synthesise."""

from dataclasses import dataclass

from amaranth import Module
from amaranth.lib import wiring

from hwgen.beats import Beats
from hwgen.primitives import Part
from hwgen.rtl_templates import Spec

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Two specs, the first output of one feeding the input of the other."""

    before: Spec
    after: Spec

    @property
    def inputs(self) -> tuple[Beats, ...]:
        return self.before.inputs

    @property
    def outputs(self) -> tuple[Beats, ...]:
        return (*self.after.outputs, *self.before.outputs[1:])

    def primitives(self) -> list[Part]:
        return [*self.before.primitives(), *self.after.primitives()]

    def create(self, name: str) -> "Chained":
        return Chained(self, name)


class Chained(wiring.Component):
    """The hardware of ``Chain``."""

    def __init__(self, spec: Chain, name: str):
        self.before, self.after = spec.before.create(f"{name}_a"), spec.after.create(f"{name}_b")
        ports = dict(self.before.signature.members)
        self.joint = next(port for port in ports if port.startswith("o"))
        del ports[self.joint]
        super().__init__({**ports, "o": self.after.signature.members["o"]})

    def elaborate(self, platform):
        m = Module()
        m.submodules.before, m.submodules.after = self.before, self.after
        wiring.connect(m, getattr(self.before, self.joint), self.after.i)
        wiring.connect(m, self.after.o, wiring.flipped(self.o))
        for port in self.signature.members:
            if port != "o":
                outer, inner = wiring.flipped(getattr(self, port)), getattr(self.before, port)
                wiring.connect(m, outer, inner)
        return m
