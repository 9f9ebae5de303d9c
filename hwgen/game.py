"""The token game: plays schedules against each other, cycle by cycle, FIFOs included.

It obeys the stall law of ``schedule`` to the letter, which is also the law that the hardware
obeys, so the cycles it counts are the cycles of the simulation. The inner loop is compiled
(Numba) and skips the cycles in which nothing but counting happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hwgen.game_loop import play_arrays
from hwgen.schedule import FIRST, At, Process, Schedule, Trips, chosen, selected

__all__ = ["Data", "Link", "Played", "play"]

#: Trip counts that data decides, by engine and name: (frames, *trips of the loops outside).
Data = Mapping[tuple[str, str], np.ndarray]

#: What the compiled loop knows of a step of a loop whose trip count data decides, as ``(index,
#: trip)`` of an example: the first of several, one in between, the last, the only one.
PLACES = ((0, 3), (1, 3), (2, 3), (0, 1))


@dataclass(frozen=True)
class Link:
    """Beats go from ``source`` to ``target``, each ``(engine, port)``; None is the world outside.

    A source outside always offers, a sink outside always takes.
    """

    source: tuple[str, str] | None
    target: tuple[str, str] | None


@dataclass(frozen=True)
class Played:
    """What a game showed. Cycles count from the first beat of any input, taken in cycle 0.

    ``ends`` holds the cycle of each frame's last beat of any output. ``deadlock``: nothing could
    move before all frames were out. ``period``: after so many frames everything stood as before, so
    it goes on like that for ever; 0 if that was not seen. ``peak``: the most beats in each link.
    """

    ends: tuple[int, ...]
    deadlock: bool
    period: int
    peak: tuple[int, ...]

    @property
    def latency(self) -> int:
        """Cycles from the first input beat to the last output beat of the first frame."""
        return self.ends[0]

    @property
    def interval(self) -> int:
        """Cycles between last output beats: of the last two frames, or, rounded up, the mean over
        the period."""
        frames = self.period or 1
        return -(-(self.ends[-1] - self.ends[-1 - frames]) // frames)


def play(
    schedules: Mapping[str, Schedule],
    links: Sequence[Link],
    frames: int,
    until_steady: bool = False,
    data: Data | None = None,
    every: int = 0,
) -> Played:
    """Play ``frames`` frames back to back through the engines of ``schedules``.

    With ``every``, the beats of each input are not offered at once but come evenly, a frame in so
    many cycles; those not taken wait outside.

    With ``until_steady`` the game ends with the first frame after which everything stands as it
    stood after an earlier one: every queue, ring and counter. Where data decides a trip count, it
    is that of ``data``; without, the worst, which no data is slower than.
    """
    assert not (data and until_steady), "data does not repeat"
    board = _Board(schedules, links, frames, data)
    ends, dead, period, peak = play_arrays(frames, until_steady, every, *board.arrays)
    return Played(tuple(ends.tolist()), bool(dead), int(period), tuple(peak.tolist()))


class _Board:
    """The schedules as the arrays that the compiled loop reads."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        links: Sequence[Link],
        frames: int,
        data: Data | None,
    ):
        processes: list[tuple[str, Process]] = [
            (name, process)
            for name, schedule in schedules.items()
            for process in schedule.processes.values()
        ]
        rings = [(name, r) for name, schedule in schedules.items() for r in schedule.rings]
        capacity = [schedules[name].rings[r] for name, r in rings]
        outgoing = {link.source: n for n, link in enumerate(links) if link.source}
        incoming = {link.target: n for n, link in enumerate(links) if link.target}
        depth = max(len(process.loops) for _, process in processes)

        trips = np.ones((len(processes), depth), np.int64)
        quiet = np.zeros(len(processes), np.int64)
        ring = np.full((len(processes), 3), -1, np.int64)  # written, read, mask of the writes
        decided = np.full((len(processes), 2), -1, np.int64)  # loop, where its counts begin
        counts: list[np.ndarray] = []
        window = np.zeros((len(processes), 2), np.int64)  # depth, span
        release = np.zeros((len(processes), depth + 1), np.int64)
        # Process, link, latency: 0 for a take, -1 for what is waited for.
        uses: list[tuple[int, int, int]] = []
        masks: list[np.ndarray] = []
        writes: list[tuple[int, np.ndarray]] = []  # process, mask
        room = np.zeros(len(links), np.int64)
        supply = np.zeros(len(links), np.int64)
        drain = np.zeros(len(links), np.int64)

        for p, (name, process) in enumerate(processes):
            loop = process.decided
            trips[p, : len(process.loops)] = process.most
            quiet[p] = _quiet_depth(process)
            if loop is not None:
                decided[p] = loop, sum(map(len, counts))
                counts += [_counts(name, process, loop, frames, data), np.ones(1, np.int64)]
            for take in process.takes:
                link = incoming[name, take.port]
                uses.append((p, link, 0))
                masks.append(_mask(take.at, process, depth))
                if links[link].source is None:
                    supply[link] = selected(take.at, process.loops)
            if process.after:
                uses.append((p, incoming[name, process.after], -1))
                masks.append(_mask(_begins(process), process, depth))
            for put in process.puts:
                link = outgoing[name, put.port]
                uses.append((p, link, put.latency))
                masks.append(_mask(put.at, process, depth))
                room[link] = put.depth
                if links[link].target is None:
                    drain[link] += selected(put.at, process.loops)
            if process.write:
                ring[p, 0] = rings.index((name, process.write.ring))
                if process.write.at:
                    writes.append((p, _mask(process.write.at, process, depth)))
            if process.read:
                ring[p, 1] = rings.index((name, process.read.ring))
                window[p] = process.read.depth, process.read.span
                release[p, : process.read.depth + 1] = process.read.release

        for p, mask in writes:  # their masks come after those of the takes and puts
            ring[p, 2] = len(masks)
            masks.append(mask)
        longest = max(mask.shape[1] for mask in masks)
        table = np.zeros((len(masks), depth, longest), np.bool_)
        for n, mask in enumerate(masks):
            table[n, :, : mask.shape[1]] = mask
        self.arrays = (
            trips,
            quiet,
            ring,
            window,
            release,
            decided,
            np.concatenate(counts or [np.ones(1, np.int64)]),
            np.array(capacity, np.int64),
            np.array(uses, np.int64).reshape(-1, 3),
            table,
            room,
            supply,
            drain,
        )


def _counts(engine: str, process: Process, loop: int, frames: int, data: Data | None) -> np.ndarray:
    """Trip counts of the loop that data decides, one beginning after the other."""
    trips = process.loops[loop]
    assert isinstance(trips, Trips)
    beginnings = frames * prod(process.most[:loop])
    if data is None:
        return np.resize(np.array(trips.worst, np.int64), beginnings)
    counts = np.asarray(data[engine, trips.name], np.int64).ravel()
    assert len(counts) == beginnings and counts.min() >= 1, "one count for each beginning"
    return counts


def _mask(at: At, process: Process, depth: int) -> np.ndarray:
    """Per loop and index, whether ``at`` selects it; of the loop that data decides, per place."""
    mask = np.zeros((depth, max(*process.most, len(PLACES))), np.bool_)
    for n in range(depth):
        if n == process.decided:
            mask[n, : len(PLACES)] = [index in chosen(at, n, trip) for index, trip in PLACES]
        else:
            mask[n, chosen(at, n, process.most[n] if n < len(process.loops) else 1)] = True
    return mask


def _begins(process: Process) -> At:
    """The first step of a frame."""
    return dict.fromkeys(range(len(process.loops)), FIRST)


def _quiet_depth(process: Process) -> int:
    """Smallest ``m`` such that, inside an iteration of the outermost ``m`` loops, only the first
    and the last step do more than count."""
    if process.write and not process.write.at:
        return len(process.loops)
    quiet = process.read.depth if process.read else 0
    if process.decided is not None:
        quiet = max(quiet, process.decided + 1)
    selections = [take.at for take in process.takes] + [put.at for put in process.puts]
    if process.after:
        selections.append(_begins(process))
    if process.write:
        selections.append(process.write.at)
    for at in selections:
        inner = len(process.loops)
        kinds = set()
        while inner > 0:
            trip = process.most[inner - 1]
            when = chosen(at, inner - 1, trip)
            if trip > 1:
                kinds.add("first" if when == [0] else "last" if when == [trip - 1] else "no")
            if "no" in kinds or len(kinds) > 1:
                break
            inner -= 1
        quiet = max(quiet, inner)
    return quiet
