"""The compiled inner loop of the token game."""

import numba
import numpy as np

__all__ = ["play_arrays"]

FOREVER = np.iinfo(np.int64).max


@numba.njit(cache=True)
def _active(table, use, index):
    """Whether the step at ``index`` is one that this take or put happens at."""
    for d in range(table.shape[1]):  # noqa: SIM110 (Numba has no generator expressions)
        if not table[use, d, index[d]]:
            return False
    return True


@numba.njit(cache=True)
def _state(now, index, left, wake, level, taken, supply, every, arrive, head, held):
    """A hash of all that decides what happens from ``now`` on."""
    value = np.uint64(14695981039346656037)  # FNV-1a, on words instead of bytes
    prime = np.uint64(1099511628211)
    for p in range(index.shape[0]):
        for d in range(index.shape[1]):
            value = (value ^ np.uint64(index[p, d])) * prime
        value = (value ^ np.uint64(left[p])) * prime
        value = (value ^ np.uint64(max(0, wake[p] - now))) * prime
    for r in range(len(level)):
        value = (value ^ np.uint64(level[r])) * prime
    for link in range(len(held)):
        if supply[link] > 0:
            value = (value ^ np.uint64(taken[link] % supply[link])) * prime
            if every > 0:
                due = taken[link] * every // supply[link] - now
                value = (value ^ np.uint64(due)) * prime
        value = (value ^ np.uint64(held[link])) * prime
        for n in range(held[link]):
            due = arrive[link, (head[link] + n) % arrive.shape[1]] - now
            value = (value ^ np.uint64(max(0, due))) * prime
    return value


@numba.njit(cache=True)
def play_arrays(
    frames,
    until_steady,
    every,
    trips,
    quiet,
    ring,
    window,
    release,
    decided,
    counts,
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
    # Of a loop that data decides, ``index`` holds a place (``game.PLACES``), and here is what is
    # left of its trips, and where the next count stands.
    left, upcoming = np.zeros(processes, np.int64), decided[:, 1].copy()
    for p in range(processes):
        if decided[p, 0] >= 0:
            left[p] = counts[upcoming[p]]
            index[p, decided[p, 0]] = 3 if left[p] == 1 else 0
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
    leaving = np.full(frames, np.sum(drain > 0))  # outputs by which a frame has yet to leave
    missing = frames
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
            writes = ring[p, 0] >= 0 and (ring[p, 2] < 0 or _active(table, ring[p, 2], index[p]))
            if writes and level[ring[p, 0]] >= capacity[ring[p, 0]]:
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
                    due = taken[link] * every // supply[link]
                    if can and due > now:
                        can, soon = False, min(soon, due)
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
                    elif uses[use, 2] == 0:
                        popped[uses[use, 1]] = True
            if ring[p, 0] >= 0 and (ring[p, 2] < 0 or _active(table, ring[p, 2], index[p])):
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
                if mover == decided[p, 0]:
                    left[p] -= 1
                    if left[p] > 0:
                        index[p, mover] = 2 if left[p] == 1 else 1
                        break
                    upcoming[p] += 1
                    left[p] = counts[upcoming[p]]
                    index[p, mover] = 3 if left[p] == 1 else 0
                else:
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
                    leaving[frame] -= 1
                    if leaving[frame] == 0:
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
            states[ended] = _state(
                now, index, left, wake, level, taken, supply, every, arrive, head, held
            )
            for earlier in range(ended - 1, -1, -1):
                if states[earlier] == states[ended]:
                    return ends[: ended + 1], False, ended - earlier, peak
    return ends, False, 0, peak
