"""The token game: plays schedules against each other, cycle by cycle, FIFOs included.

It obeys the stall law of ``schedule`` to the letter, which is also the law that the hardware
obeys, so the cycles it counts are the cycles of the simulation. The inner loop is compiled
(Numba) and skips the cycles in which nothing but counting happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.game_loop import play_arrays
from hwgen.schedule import At, Process, Schedule, selected

__all__ = ["Link", "Played", "play"]


@dataclass(frozen=True)
class Link:
    """Beats go from ``source`` to ``target``, each ``(engine, port)``; None is the world outside.

    A source outside always offers, a sink outside always takes.
    """

    source: tuple[str, str] | None
    target: tuple[str, str] | None


@dataclass(frozen=True)
class Played:
    """What a game showed. Cycles count from the first input beat, which is taken in cycle 0.

    ``ends`` holds the cycle of each frame's last output beat. ``deadlock``: nothing could move
    before all frames were out. ``period``: after so many frames everything stood as before, so it
    goes on like that for ever; 0 if that was not seen. ``peak``: the most beats in each link.
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
) -> Played:
    """Play ``frames`` frames back to back through the engines of ``schedules``.

    With ``until_steady`` the game ends with the first frame after which everything stands as it
    stood after an earlier one: every queue, ring and counter.
    """
    board = _Board(schedules, links)
    ends, dead, period, peak = play_arrays(frames, until_steady, *board.arrays)
    return Played(tuple(ends.tolist()), bool(dead), int(period), tuple(peak.tolist()))


class _Board:
    """The schedules as the arrays that the compiled loop reads."""

    def __init__(self, schedules: Mapping[str, Schedule], links: Sequence[Link]):
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
        ring = np.full((len(processes), 2), -1, np.int64)  # written, read
        window = np.zeros((len(processes), 2), np.int64)  # depth, span
        release = np.zeros((len(processes), depth + 1), np.int64)
        uses: list[tuple[int, int, int]] = []  # process, link, latency (0 for a take)
        masks: list[np.ndarray] = []
        room = np.zeros(len(links), np.int64)
        supply = np.zeros(len(links), np.int64)
        drain = np.zeros(len(links), np.int64)

        for p, (name, process) in enumerate(processes):
            trips[p, : len(process.loops)] = process.loops
            quiet[p] = _quiet_depth(process)
            for take in process.takes:
                link = incoming[name, take.port]
                uses.append((p, link, 0))
                masks.append(_mask(take.at, process.loops, depth))
                if links[link].source is None:
                    supply[link] = selected(take.at, process.loops)
            for put in process.puts:
                link = outgoing[name, put.port]
                uses.append((p, link, put.latency))
                masks.append(_mask(put.at, process.loops, depth))
                room[link] = put.depth
                if links[link].target is None:
                    drain[link] = selected(put.at, process.loops)
            if process.write:
                ring[p, 0] = rings.index((name, process.write.ring))
            if process.read:
                ring[p, 1] = rings.index((name, process.read.ring))
                window[p] = process.read.depth, process.read.span
                release[p, : process.read.depth + 1] = process.read.release

        longest = int(trips.max())
        table = np.zeros((len(uses), depth, longest), np.bool_)
        for n, mask in enumerate(masks):
            table[n, :, : mask.shape[1]] = mask
        self.arrays = (
            trips,
            quiet,
            ring,
            window,
            release,
            np.array(capacity, np.int64),
            np.array(uses, np.int64).reshape(-1, 3),
            table,
            room,
            supply,
            drain,
        )


def _mask(at: At, loops: Sequence[int], depth: int) -> np.ndarray:
    """Per loop and index, whether ``at`` selects it."""
    mask = np.zeros((depth, max(loops)), np.bool_)
    for n in range(depth):
        if n in at:
            mask[n, list(at[n])] = True
        else:
            mask[n, : loops[n] if n < len(loops) else 1] = True
    return mask


def _quiet_depth(process: Process) -> int:
    """Smallest ``m`` such that, inside an iteration of the outermost ``m`` loops, only the first
    and the last step do more than count."""
    if process.write:
        return len(process.loops)
    quiet = process.read.depth if process.read else 0
    selections = [take.at for take in process.takes] + [put.at for put in process.puts]
    for at in selections:
        inner = len(process.loops)
        kinds = set()
        while inner > 0:
            trip = process.loops[inner - 1]
            chosen = list(at.get(inner - 1, range(trip)))
            if trip > 1:
                kinds.add("first" if chosen == [0] else "last" if chosen == [trip - 1] else "no")
            if "no" in kinds or len(kinds) > 1:
                break
            inner -= 1
        quiet = max(quiet, inner)
    return quiet
