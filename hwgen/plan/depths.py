"""How deep the FIFO before each input must be."""

from collections.abc import Callable, Mapping, Sequence

from hwgen.game import Link, Played, play
from hwgen.plan.pipeline import (
    MOST_FRAMES,
    Place,
    Stage,
    fifo_names,
    links,
    steady,
    with_fifos,
)
from hwgen.schedule import Process, Put, Schedule, Take, selected

__all__ = ["needed_depths"]

#: A FIFO that can hold some frames is taken to be as good as an endless one, up to so many beats.
ROOMY = 1 << 16

#: Beats that a deep FIFO holds on their way through it, which one in LUTs offers at once.
ON_THE_WAY = 4


def needed_depths(stages: Sequence[Stage]) -> dict[Place, int]:
    """Depth of the FIFO before each input of a stage; places that need none are left out.

    No FIFO can lose a beat without lengthening the steady interval, or deadlocking. Each depth in
    turn is made as small as it gets, and again, until none shrinks any more: a FIFO that goes takes
    its latency with it, so that another may need less.
    """

    def interval(depths: Mapping[Place, int]) -> int | None:
        return _interval(steady(with_fifos(stages, depths)))

    plain = interval({})
    if plain is not None and plain <= max(stage.spec.schedule().worst for stage in stages):
        return {}
    roomy = {
        (stage.name, number): min(ROOMY, 4 * stage.spec.inputs[number].count + 512)
        for stage in stages
        for number, source in enumerate(stage.sources)
        if source[0]
    }
    best = interval(roomy)
    if plain == best:
        return {}
    depths = roomy if best is None else _held(stages, roomy, best)
    if interval(depths) != best:
        depths = dict(roomy)
    before: dict[Place, int] = {}
    while before != depths:
        before, first = dict(depths), not before
        for place, high in before.items():

            def enough(depth: int, place: Place = place) -> bool:
                return interval(depths | {place: depth}) == best

            depths[place] = _least(high, first, enough)
    return {place: depth for place, depth in depths.items() if depth}


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


def _held(stages: Sequence[Stage], roomy: Mapping[Place, int], best: int) -> dict[Place, int]:
    """The most beats that each FIFO holds if beats of the input come evenly, a frame in ``best``
    cycles.

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
    wires: list[Link] = []
    for link in links(filled):
        if link.source is None and link.target is not None:
            pace = " paces ".join(("", *link.target))
            schedules[pace] = _paced(_taken(schedules[link.target[0]], link.target[1]), best)
            wires += [Link(None, (pace, "i")), Link((pace, "o"), link.target)]
        else:
            wires.append(link)
    played = play(schedules, wires, MOST_FRAMES, until_steady=True)
    if _interval(played) != best:
        return dict(roomy)
    peaks = {link.source: peak for link, peak in zip(wires, played.peak, strict=True)}
    held = {place: peaks[names[place], "o"] for place in roomy}
    return {place: min(roomy[place], most + ON_THE_WAY) for place, most in held.items() if most > 1}


def _taken(schedule: Schedule, port: str) -> int:
    """Beats that an engine takes from a port, a frame."""
    return sum(
        selected(take.at, process.loops)
        for process in schedule.processes.values()
        for take in process.takes
        if take.port == port
    )


def _paced(beats: int, cycles: int) -> Schedule:
    """Lets ``beats`` through in every ``cycles``, evenly; those not taken yet wait outside."""
    at = {0: [n * cycles // beats for n in range(beats)]}
    return Schedule({"pace": Process((cycles,), (Take("i", at),), (Put("o", 1, ROOMY, at),))})
