"""The plan's engines and plumbing, in a row, and how they play together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hwgen.cost import Area
from hwgen.game import Link, Played, play
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


def play_stages(stages: Sequence[Stage], frames: int, until_steady: bool = False) -> Played:
    """The token game over ``stages``."""
    schedules = {stage.name: stage.spec.schedule() for stage in stages}
    return play(schedules, chain(stages), frames, until_steady)


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


def needed_depths(stages: Sequence[Stage], frames: int) -> list[int]:
    """Depth of the FIFO before each stage; 0 is none.

    No FIFO can lose a beat without lengthening the interval that is seen over ``frames`` frames, or
    deadlocking. Less room never shortens an interval, so a depth that was made as small as it gets
    while later ones were still large stays the smallest.
    """

    def interval(depths: Sequence[int]) -> int | None:
        played = play_stages(with_fifos(stages, depths, 0), frames)
        return None if played.deadlock else played.interval

    none = [0] * len(stages)
    plain = interval(none)
    if plain is not None and plain <= max(stage.interval for stage in stages):
        return none
    roomy = [0, *(stage.spec.inputs[0].count for stage in stages[1:])]
    played = play_stages(with_fifos(stages, roomy, 0), frames)
    best = played.interval
    if plain == best:
        return none
    # What was never in a FIFO needs no room there, so nothing changes with these depths.
    held = {
        link.target[0]: peak
        for link, peak in zip(
            chain(with_fifos(stages, roomy, 0))[1:-1], played.peak[1:-1], strict=True
        )
        if link.target
    }
    depths = [0, *(held[stage.name] for stage in stages[1:])]
    without = [depth if depth > 1 else 0 for depth in depths]
    if interval(without) == best:
        depths = without
    for n in range(1, len(stages)):
        low, high = -1, depths[n]
        while high - low > 1:
            depths[n] = low + 1 if low < 0 else (low + high) // 2
            if interval(depths) == best:
                high = depths[n]
            else:
                low = depths[n]
        depths[n] = high
    return depths
