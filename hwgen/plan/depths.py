"""How deep the FIFO before each input must be."""

from collections.abc import Callable, Mapping, Sequence

from hwgen.game import Played, play
from hwgen.plan.pipeline import Place, Stage, fifo_names, links, with_fifos
from hwgen.plan.rate import MOST_FRAMES, data_independent, play_stages, slowest
from hwgen.schedule import Process, Put, Schedule, Take

__all__ = ["needed_depths", "reason"]

#: A FIFO that can hold some frames is taken to be as good as an endless one, up to so many beats.
ROOMY = 1 << 16

#: Most stages times cycles a frame of a pipeline whose FIFOs are made as small as can be, which
#: takes some hundreds of games.
MOST_WORK = 500_000

#: Frames within which a pipeline is steady that keeps up with a source that offers evenly.
SOON = 24

#: Beats that a deep FIFO holds on their way through it, which one in LUTs offers at once.
ON_THE_WAY = 4


def needed_depths(stages: Sequence[Stage]) -> dict[Place, int]:
    """Depth of the FIFO before each input of a stage; places that need none are left out.

    No FIFO can lose a beat without lengthening the steady interval, or deadlocking. Each depth in
    turn is made as small as it gets, and again, until none shrinks any more: a FIFO that goes takes
    its latency with it, so that another may need less. In pipelines of more than ``MOST_WORK``,
    FIFOs are as deep as a run at the best rate needs them (``reason``).
    """
    least, even = slowest(stages), data_independent(stages)

    def interval(depths: Mapping[Place, int], every: int) -> int | None:
        filled = with_fifos(stages, depths)
        played = play_stages(filled, MOST_FRAMES, until_steady=True, every=every)
        # One that falls behind an even source is never steady, whatever its last two frames say.
        return None if every and not played.period else _interval(played)

    def enough(depths: Mapping[Place, int], wanted: int | None) -> bool:
        """Whether the interval is what is ``wanted``; unless steady ``SOON``, it is not."""
        if not (even and wanted):
            return interval(depths, 0) == wanted
        played = play_stages(with_fifos(stages, depths), SOON, until_steady=True, every=wanted)
        return bool(played.period) and played.interval == wanted

    reached = enough({}, least) if even else (interval({}, 0) or least + 1) <= least
    if reached:
        return {}
    roomy = {
        (stage.name, number): min(ROOMY, 4 * stage.spec.inputs[number].count + 512)
        for stage in stages
        for number, source in enumerate(stage.sources)
        if source[0]
    }
    best: int | None = least
    depths = _held(stages, roomy, least) if even else None
    if depths is None:
        best = interval(roomy, 0)
        if interval({}, 0) == best:
            return {}
        depths = (_held(stages, roomy, best) if best else None) or roomy
    if interval(depths, best if even and best else 0) != best:
        depths = dict(roomy)
    before: dict[Place, int] = {} if _shrinks(stages) else depths
    while before != depths:
        before, first = dict(depths), not before
        for place, high in before.items():

            def holds(depth: int, place: Place = place) -> bool:
                return enough(depths | {place: depth}, best)

            depths[place] = _least(high, first, holds)
    return {place: depth for place, depth in depths.items() if depth}


def reason(stages: Sequence[Stage], interval: int) -> str:
    """Why FIFOs between ``stages`` are as deep as they are."""
    if _shrinks(stages):
        return f"one beat less lengthens the interval of {interval} cycles, or deadlocks"
    return f"the most beats that it holds where they come evenly, a frame in {interval} cycles"


def _shrinks(stages: Sequence[Stage]) -> bool:
    return slowest(stages) * len(stages) <= MOST_WORK


def _least(depth: int, first: bool, enough: Callable[[int], bool]) -> int:
    """The least depth that is enough, knowing that ``depth`` is. No FIFO at all may be enough where
    a shallow one is not. After the ``first`` time, it is mostly still the same."""
    if not depth or enough(0):
        return 0
    low, high = 0, depth
    if not first and high > 1 and not enough(high - 1):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _interval(played: Played) -> int | None:
    return None if played.deadlock else played.interval


def _held(
    stages: Sequence[Stage], roomy: Mapping[Place, int], best: int
) -> dict[Place, int] | None:
    """The most beats that each FIFO holds if beats of the input come evenly, a frame in ``best``
    cycles; None if that is too fast.

    A source that always offers would fill whatever stands before the slowest stage. As much room as
    a run at the best rate makes use of is enough for that rate: with it, nothing ever happens later
    than in that run. (Self-timed execution of marked graphs; S. Sriram and S. S. Bhattacharyya,
    "Embedded Multiprocessors: Scheduling and Synchronization", 2nd ed., 2009, chapter 7.)
    """
    names = fifo_names(stages)
    filled = with_fifos(stages, roomy)
    schedules = {stage.name: stage.spec.schedule() for stage in filled}
    for place, depth in roomy.items():
        (beats,) = (stage.spec.inputs[0].count for stage in filled if stage.name == names[place])
        move = Process((beats,), (Take("i"),), (Put("o", 1, depth),))
        schedules[names[place]] = Schedule({"move": move})
    wires = links(filled)
    played = play(schedules, wires, MOST_FRAMES, until_steady=True, every=best)
    if not played.period or played.interval != best:
        return None
    peaks = {link.source: peak for link, peak in zip(wires, played.peak, strict=True)}
    held = {place: peaks[names[place], "o"] for place in roomy}
    return {place: min(roomy[place], most + ON_THE_WAY) for place, most in held.items() if most > 1}
