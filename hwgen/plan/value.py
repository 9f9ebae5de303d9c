"""The plan as a value: every decision, with its reason, and what follows from it."""

from dataclasses import dataclass
from math import isfinite

from hwgen.beats import Beats
from hwgen.board import Board
from hwgen.cost import Area, Energy, Work, area, energy, total, work
from hwgen.plan.pipeline import Source, Stage, links, output_ports
from hwgen.rtl_templates import FifoSpec, Spec
from hwgen.rtl_templates.control import Control

__all__ = ["OnData", "Plan"]


@dataclass(frozen=True)
class OnData:
    """Cycles from frame to frame over real ``frames``, back to back: on average, and at most.

    ValueError unless there are frames and a mean, finite and no more than the most.
    """

    frames: int
    mean: float
    most: int

    def __post_init__(self):
        if type(self.frames) is not int or self.frames < 1:
            raise ValueError(f"data of {self.frames!r} frames")
        if type(self.mean) not in (int, float) or not isfinite(self.mean) or self.mean <= 0:
            raise ValueError(f"{self.mean!r} cycles between frames of data, on average")
        if type(self.most) is not int or self.most < self.mean:
            raise ValueError(f"{self.most!r} cycles at most, where {self.mean!r} are the average")


@dataclass(frozen=True)
class Plan:
    """Engines and plumbing in the order of the stream, and what the token game says of them.

    ``latency`` and ``interval`` are cycles; ``fps_asked`` is None for the fastest that fits;
    ``multiply_adds`` are the useful ones of a frame, those on padded borders included. ``outputs``
    are the names of the outputs and what they leave by, where there are several. ``max_port_width``
    is what was asked of the ports at the edge, in bits, if anything was. Where data decides the
    cycles, ``latency`` and ``interval`` are the worst, and ``data`` is how long real frames take.
    """

    board: Board
    fps_asked: float | None
    stages: tuple[Stage, ...]
    latency: int
    interval: int
    multiply_adds: int
    outputs: tuple[tuple[str, Source], ...] = ()
    max_port_width: int | None = None
    data: OnData | None = None

    def __post_init__(self):
        worlds = [source for stage in self.stages for source in stage.sources if not source[0]]
        offered = set(worlds)
        for stage in self.stages:
            if len(stage.sources) != len(stage.spec.inputs):
                raise ValueError(f"{stage.name} has {len(stage.sources)} sources")
            for source in stage.sources:
                if source not in offered:
                    raise ValueError(f"{stage.name} reads {source}, which nothing offers")
                offered.remove(source)
            fresh = {(stage.name, port) for port in output_ports(stage.spec)}
            if any(stage.name == other.name and stage is not other for other in self.stages):
                raise ValueError(f"two stages are called {stage.name}")
            offered |= fresh
        left = {source for _, source in self.outputs} if self.outputs else offered
        if not worlds or offered != left or self.interval < 1:
            raise ValueError("there must be an input, the outputs that it names, and an interval")
        if len(offered) != max(1, len(dict(self.outputs))):
            raise ValueError(f"{len(offered)} streams leave, and each needs a name of its own")

    @property
    def area(self) -> Area:
        """Estimated area of everything."""
        return total(stage.area for stage in self.stages)

    @property
    def register_file(self) -> Area:
        """Estimated area of what stands beside all that: AXI4-Lite, and the watch on the ports."""
        beats = [beats.count for beats in self.entries.values()]
        return area(Control.primitives(beats, len(self.exits)), self.board.family)

    @property
    def work(self) -> Work:
        """What happens in a frame."""
        cycles, family = self.expected, self.board.family
        specs = (stage.spec for stage in self.stages)
        return sum((work(s.primitives(), s.schedule(), cycles, family) for s in specs), Work())

    @property
    def energy(self) -> Energy:
        """Estimated energy of a frame."""
        return energy(self.work, self.board.family)

    @property
    def expected(self) -> float:
        """Cycles a frame: ``interval``, or, where data decides and is known, the mean over it."""
        return self.data.mean if self.data else self.interval

    @property
    def frames_per_second(self) -> float:
        """At the board's clock."""
        return self.board.clock_mhz * 1e6 / self.expected

    def multipliers(self, role: str) -> int:
        """Multipliers built for ``role``: "mac", or "requantise", which utilisation leaves out."""
        return sum(
            stage.spec.multipliers  # type: ignore[attr-defined]
            for stage in self.stages
            if _role(stage.spec) == role
        )

    @property
    def utilisation(self) -> float:
        """Products that the engines' algorithms ask for over what the multipliers built for them
        could do, 0 to 1. Winograd's algorithm asks for fewer than there are multiply-adds."""
        able = self.multipliers("mac") * self.expected
        asked = sum(_multiplications(stage.spec) for stage in self.stages)
        return asked / able if able else 0.0

    @property
    def entries(self) -> dict[str, Beats]:
        """Beats of each of the accelerator's inputs; the name of an only one is empty."""
        return {
            source[1]: beats
            for stage in self.stages
            for source, beats in zip(stage.sources, stage.spec.inputs, strict=True)
            if not source[0]
        }

    @property
    def exits(self) -> dict[str, tuple[Source, Beats]]:
        """What each output leaves by, and its beats; the name of an only one is empty."""
        specs = {stage.name: stage.spec for stage in self.stages}
        (last, *_) = (link.source for link in links(self.stages) if link.target is None)
        assert last is not None, "a stream that leaves comes from a stage"
        found = {}
        for name, source in self.outputs or (("", last),):
            spec = specs[source[0]]
            found[name] = source, spec.outputs[output_ports(spec).index(source[1])]
        return found

    @property
    def fifos(self) -> dict[str, int]:
        """Depth of each FIFO, by name."""
        return {s.name: s.spec.depth for s in self.stages if isinstance(s.spec, FifoSpec)}


def _role(spec: Spec) -> str | None:
    """What the multipliers of ``spec`` are for."""
    if not hasattr(spec, "multipliers"):
        return None
    return "mac" if hasattr(spec.ops[0], "macs") else "requantise"  # type: ignore[attr-defined]


def _multiplications(spec: Spec) -> int:
    """Products a frame of real numbers, spare lanes left out."""
    if _role(spec) != "mac":
        return 0
    return getattr(spec, "multiplications", None) or spec.ops[0].macs  # type: ignore[attr-defined]
