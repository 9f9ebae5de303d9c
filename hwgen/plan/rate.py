"""How fast the stages of a plan run together, by the token game."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwgen.game import Data, Played, play
from hwgen.network import Network
from hwgen.network.graph import Frames
from hwgen.plan.pipeline import WORLD, Stage, links

__all__ = [
    "MOST_FRAMES",
    "data_independent",
    "decided",
    "play_stages",
    "slowest",
    "solo",
    "steady",
    "timing",
]

#: Frames whose tensors are in memory at once.
BATCH = 250

#: Frames after which a game that never came back to an earlier state is taken to be steady.
MOST_FRAMES = 64


def play_stages(
    stages: Sequence[Stage],
    frames: int,
    until_steady: bool = False,
    data: Data | None = None,
    every: int = 0,
) -> Played:
    """The token game over ``stages``."""
    schedules = {stage.name: stage.spec.schedule() for stage in stages}
    return play(schedules, links(stages), frames, until_steady, data, every)


def decided(stages: Sequence[Stage], network: Network, frames: Frames) -> Data | None:
    """Trip counts that ``frames`` (N, *input shape) decide; None if data decides none."""
    counted = [stage for stage in stages if hasattr(stage.spec, "trips")]
    if not counted:
        return None
    parts: dict[tuple[str, str], list[np.ndarray]] = {}
    entering = network.given(frames)
    for start in range(0, len(next(iter(entering.values()))), BATCH):
        tensors = network.trace({n: some[start : start + BATCH] for n, some in entering.items()})
        for stage in counted:
            given = [tensors[name] for name in network[stage.node or ""].inputs]
            for name, counts in stage.spec.trips(*given).items():  # type: ignore[attr-defined]
                parts.setdefault((stage.name, name), []).append(counts)
    return {key: np.concatenate(some) for key, some in parts.items()}


def steady(stages: Sequence[Stage]) -> Played:
    """The token game over ``stages`` until everything stands as it stood before."""
    return play_stages(stages, MOST_FRAMES, until_steady=True)


def slowest(stages: Sequence[Stage]) -> int:
    """Most cycles a frame that a stage takes by itself: no interval is less."""
    return max(stage.spec.schedule().worst for stage in stages)


def data_independent(stages: Sequence[Stage]) -> bool:
    """Whether data decides nothing, so that every frame is like any other.

    Then a rate can be had from a source that always offers if it can from one that offers no more
    than that: constant delays in loops make the rate that of the slowest loop or of the source (F.
    Baccelli et al., "Synchronization and Linearity", 1992). A game with such a source is soon
    steady, as no queue fills that need not.
    """
    processes = (p for stage in stages for p in stage.spec.schedule().processes.values())
    return all(process.decided is None for process in processes)


def timing(stages: Sequence[Stage]) -> tuple[int, int]:
    """Latency and steady interval of a pipeline that does not deadlock, in cycles."""
    least = slowest(stages)
    if data_independent(stages):
        paced = play_stages(stages, MOST_FRAMES, until_steady=True, every=least)
        if paced.period and paced.interval == least:
            return play_stages(stages, 1).latency, least
    played = steady(stages)
    return played.latency, played.interval


def solo(stage: Stage) -> Played:
    """One frame through a stage by itself."""
    alone = replace(stage, sources=(WORLD,) * len(stage.spec.inputs))
    return play_stages([alone], 1)
