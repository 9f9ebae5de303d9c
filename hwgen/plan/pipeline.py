"""The plan's engines and plumbing, in a row, and how they play together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hwgen.cost import Area
from hwgen.game import Link, Played, interval_of
from hwgen.rtl_templates import ConvertSpec, FifoSpec, Spec

__all__ = ["Stage", "chain", "needed_depths", "play_stages", "with_fifos"]


@dataclass(frozen=True)
class Stage:
    """One component of the accelerator: its name, what it is, for which node, and why so."""

    name: str
    spec: Spec
    node: str | None
    reason: str
    area: Area = field(default_factory=Area)

    @property
    def interval(self) -> int:
        """Cycles a frame that it takes by itself."""
        return self.spec.schedule().steps


def chain(stages: Sequence[Stage]) -> list[Link]:
    """Links from each stage to the next, and to the world at both ends."""
    names = [stage.name for stage in stages]
    inner = [Link((a, "o"), (b, "i")) for a, b in pairwise(names)]
    return [Link(None, (names[0], "i")), *inner, Link((names[-1], "o"), None)]


def play_stages(stages: Sequence[Stage]) -> Played:
    """The token game over ``stages``."""
    return interval_of({stage.name: stage.spec.schedule() for stage in stages}, chain(stages))


def converted(engines: Sequence[Stage]) -> list[Stage]:
    """``engines`` with a width converter wherever one puts other beats than the next takes."""
    stages: list[Stage] = []
    for engine in engines:
        if stages:
            source, target = stages[-1].spec.outputs[0], engine.spec.inputs[0]
            if (source.lanes, source.pixels) != (target.lanes, target.pixels):
                reason = (
                    f"{source.pixels} x {source.lanes} values a beat become "
                    f"{target.pixels} x {target.lanes}"
                )
                spec = ConvertSpec(source, target)
                stages.append(Stage(f"{engine.name}_convert", spec, None, reason))
        stages.append(engine)
    return stages


def with_fifos(stages: Sequence[Stage], depths: Sequence[int], interval: int) -> list[Stage]:
    """``stages`` with a FIFO of ``depths[n]`` beats before stage ``n``; none where it is 0."""
    result: list[Stage] = []
    for stage, depth in zip(stages, depths, strict=True):
        if depth:
            reason = f"one beat less lengthens the interval of {interval} cycles, or deadlocks"
            spec = FifoSpec(stage.spec.inputs[0], depth)
            result.append(Stage(f"{stage.name}_fifo", spec, None, reason))
        result.append(stage)
    return result


def needed_depths(stages: Sequence[Stage]) -> tuple[list[int], int]:
    """Depth of the FIFO before each stage, and the interval that they reach.

    No FIFO can lose a beat without lengthening the interval: less room never shortens one, so each
    depth, made as small as possible while the later ones are still large, stays the smallest.
    """
    depths = [0] * len(stages)

    def interval(depths: Sequence[int]) -> int | None:
        played = play_stages(with_fifos(stages, depths, 0))
        return None if played.deadlock else played.interval

    plain = interval(depths)
    if plain is not None and plain <= max(stage.interval for stage in stages):
        return depths, plain
    depths = [0, *(stage.spec.inputs[0].count for stage in stages[1:])]
    best = interval(depths)
    assert best is not None, "a chain of engines with a frame between any two cannot deadlock"
    if plain == best:
        return [0] * len(stages), best
    for n in range(1, len(stages)):
        low, high = -1, depths[n]
        while high - low > 1:
            depths[n] = (low + high) // 2
            if interval(depths) == best:
                high = depths[n]
            else:
                low = depths[n]
        depths[n] = high
    return depths, best
