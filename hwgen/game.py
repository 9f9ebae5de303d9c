"""The token game: plays schedules against each other, cycle by cycle, FIFOs included.

It obeys the stall law of ``schedule`` to the letter, which is also the law that the hardware
obeys, so the cycles it counts are the cycles of the simulation. The inner loop is compiled
(Numba) and skips the cycles in which nothing but counting happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np

from hwgen.schedule import At, Process, Schedule, selected

__all__ = ["Link", "Played", "play"]

FOREVER = np.iinfo(np.int64).max


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
    ends, dead, period, peak = _play(frames, until_steady, *board.arrays)
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


@numba.njit(cache=True)
def _active(table, use, index):
    """Whether the step at ``index`` is one that this take or put happens at."""
    for d in range(table.shape[1]):  # noqa: SIM110 (Numba has no generator expressions)
        if not table[use, d, index[d]]:
            return False
    return True


@numba.njit(cache=True)
def _state(now, index, wake, level, taken, supply, arrive, head, held):
    """A hash of all that decides what happens from ``now`` on."""
    value = np.uint64(14695981039346656037)  # FNV-1a, on words instead of bytes
    prime = np.uint64(1099511628211)
    for p in range(index.shape[0]):
        for d in range(index.shape[1]):
            value = (value ^ np.uint64(index[p, d])) * prime
        value = (value ^ np.uint64(max(0, wake[p] - now))) * prime
    for r in range(len(level)):
        value = (value ^ np.uint64(level[r])) * prime
    for link in range(len(held)):
        if supply[link] > 0:
            value = (value ^ np.uint64(taken[link] % supply[link])) * prime
        value = (value ^ np.uint64(held[link])) * prime
        for n in range(held[link]):
            due = arrive[link, (head[link] + n) % arrive.shape[1]] - now
            value = (value ^ np.uint64(max(0, due))) * prime
    return value


@numba.njit(cache=True)
def _play(
    frames,
    until_steady,
    trips,
    quiet,
    ring,
    window,
    release,
    capacity,
    uses,
    table,
    room,
    supply,
    drain,
):
    processes, depth = trips.shape
    links = len(room)
    index = np.zeros((processes, depth), np.int64)
    wake = np.zeros(processes, np.int64)
    going = np.zeros(processes, np.bool_)
    level = np.zeros(len(capacity), np.int64)
    change = np.zeros(len(capacity), np.int64)
    arrive = np.zeros((links, max(1, room.max())), np.int64)  # a circular queue a link
    head = np.zeros(links, np.int64)
    held = np.zeros(links, np.int64)
    peak = np.zeros(links, np.int64)
    taken = np.zeros(links, np.int64)
    popped = np.zeros(links, np.bool_)
    pushed = np.zeros(links, np.int64)
    ends = np.zeros(frames, np.int64)
    first_use = np.zeros(processes + 1, np.int64)
    for use in range(len(uses)):
        first_use[uses[use, 0] + 1] += 1
    first_use = np.cumsum(first_use)
    states = np.zeros(frames, np.uint64)
    missing = frames * np.sum(drain > 0)
    began = -1
    now = 0
    while missing > 0:
        # Every decision is made on the registers as they stand at the beginning of the cycle.
        soon = FOREVER
        moved = False
        ended = -1
        for p in range(processes):
            going[p] = False
            if wake[p] > now:
                soon = min(soon, wake[p])
                continue
            if ring[p, 0] >= 0 and level[ring[p, 0]] >= capacity[ring[p, 0]]:
                continue
            waits = ring[p, 1] >= 0 and level[ring[p, 1]] < window[p, 1]
            if waits and not np.any(index[p, window[p, 0] :]):
                continue
            can = True
            for use in range(first_use[p], first_use[p + 1]):
                if not _active(table, use, index[p]):
                    continue
                link = uses[use, 1]
                if uses[use, 2] > 0:
                    can = held[link] < room[link]
                elif supply[link] > 0:
                    can = taken[link] < supply[link] * frames
                else:
                    can = held[link] > 0 and arrive[link, head[link]] <= now
                if not can:
                    break
            going[p] = can
        # Then everything moves at once.
        for link in range(links):
            pushed[link] = -1
            popped[link] = drain[link] > 0 and held[link] > 0 and arrive[link, head[link]] <= now
        for p in range(processes):
            if not going[p]:
                continue
            moved = True
            for use in range(first_use[p], first_use[p + 1]):
                if _active(table, use, index[p]):
                    if uses[use, 2] > 0:
                        pushed[uses[use, 1]] = now + uses[use, 2]
                    else:
                        popped[uses[use, 1]] = True
            if ring[p, 0] >= 0:
                change[ring[p, 0]] += 1
            leap = 1
            for d in range(quiet[p], depth):
                leap *= trips[p, d]
            if leap > 2 and not np.any(index[p, quiet[p] :]):
                for d in range(quiet[p], depth):
                    index[p, d] = trips[p, d] - 1
                wake[p] = now + leap - 1
                continue
            mover = depth - 1
            while mover >= 0:
                index[p, mover] += 1
                if index[p, mover] < trips[p, mover]:
                    break
                index[p, mover] = 0
                mover -= 1
            if ring[p, 1] >= 0 and mover < window[p, 0]:
                change[ring[p, 1]] -= release[p, mover if mover >= 0 else window[p, 0]]
        for link in range(links):
            if popped[link]:
                moved = True
                taken[link] += 1
                if supply[link] > 0:
                    if began < 0:
                        began = now
                else:
                    held[link] -= 1
                    head[link] = (head[link] + 1) % arrive.shape[1]
                if drain[link] > 0 and taken[link] % drain[link] == 0:
                    frame = taken[link] // drain[link] - 1
                    ends[frame] = max(ends[frame], now - began)
                    missing -= 1
                    ended = frame
            if pushed[link] >= 0:
                arrive[link, (head[link] + held[link]) % arrive.shape[1]] = pushed[link]
                held[link] += 1
                peak[link] = max(peak[link], held[link])
            if held[link] > 0 and arrive[link, head[link]] > now:
                soon = min(soon, arrive[link, head[link]])
        for r in range(len(capacity)):
            level[r] += change[r]
            change[r] = 0
        if moved:
            now += 1
        elif soon < FOREVER:
            now = soon
        else:
            return ends, True, 0, peak
        if until_steady and ended >= 0:
            states[ended] = _state(now, index, wake, level, taken, supply, arrive, head, held)
            for earlier in range(ended - 1, -1, -1):
                if states[earlier] == states[ended]:
                    return ends[: ended + 1], False, ended - earlier, peak
    return ends, False, 0, peak
