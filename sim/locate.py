"""From a wrong beat to the layer, frame, row, column and channel that is wrong."""

from collections.abc import Iterable

import numpy as np

from hwgen.manifest import Manifest
from hwgen.network import Network
from hwgen.sim.golden import Wire, decode
from hwgen.sim.result import Deadlock, Mismatch, Standing

__all__ = ["locate", "locate_deadlock"]


def locate(records: Iterable[dict], wires: tuple[Wire, ...]) -> tuple[Mismatch, ...]:
    """Every wrong integer of the driver's records: layers in topological order, then time.

    A beat that is wrong at the accelerator's edge as it was inside is named once.
    """
    ordered = sorted(records, key=lambda record: (record["stream"], record["cycle"]))
    found: dict[tuple, Mismatch] = {}
    for record in ordered:
        for mismatch in _values(wires[record["stream"]], record):
            place = (mismatch.layer, mismatch.frame, mismatch.row, mismatch.column)
            found.setdefault((*place, mismatch.channel, mismatch.kind), mismatch)
    return tuple(found.values())


def _values(wire: Wire, record: dict) -> Iterable[Mismatch]:
    kind, beat, cycle = record["kind"], record["beat"], record["cycle"]

    def mismatch(index: int, expected: int | None, got: int | None, kind=kind) -> Mismatch:
        return Mismatch(wire.node, *wire.beats.place(beat, index), expected, got, cycle, kind)

    if kind == "tlast":
        yield mismatch(0, int(record["expected"]), int(record["got"]))
        return
    expected, got = (_decoded(wire, record[side]) for side in ("expected", "got"))
    if expected is None or got is None:
        first = [None if side is None else int(side[0]) for side in (expected, got)]
        yield mismatch(0, *first)
        return
    differing = np.flatnonzero(expected != got)
    for index in map(int, differing):
        spare = wire.beats.place(beat, index)[3] >= wire.beats.type.channels
        yield mismatch(
            index,
            int(expected[index]),
            int(got[index]),
            "padding" if spare and kind == "value" else kind,
        )
    if not len(differing):  # bits above the last value
        yield mismatch(wire.beats.values - 1, 0, 1, "padding")


def _decoded(wire: Wire, text: str) -> np.ndarray | None:
    data = np.frombuffer(bytes.fromhex(text), np.uint8)
    return decode(wire, data.reshape(1, -1))[0] if len(data) else None


def locate_deadlock(
    report: dict, network: Network, wires: tuple[Wire, ...], manifest: Manifest, frames: int
) -> Deadlock:
    """Where every stream stood when nothing moved any more, and the layer that stopped first."""
    standings = tuple(
        Standing(
            wire.node,
            stream["beats"],
            frames * wire.beats.count,
            bool(stream["valid"]),
            bool(stream["ready"]),
        )
        for wire, stream in zip(wires, report["streams"], strict=True)
    )
    # Inside, a tensor may be watched as well as at the edge, where what it waits for is seen best.
    ends = len(manifest.inputs), len(standings) - len(manifest.outputs)
    inside = {standing.layer: standing for standing in standings[slice(*ends)]}
    for standing in (*standings[: ends[0]], *standings[ends[1] :]):
        inside.setdefault(standing.layer, standing)
    return Deadlock(report["quiet_since"], _stopped(network, inside), standings)


def _stopped(network: Network, streams: dict[str, Standing]) -> str | None:
    """The first layer that neither waits for its inputs nor for room at its output."""
    for node in network:
        own = streams.get(node.name)
        given = [streams[name] for name in node.inputs if name in streams]
        if own is None or own.beats == own.expected or (own.valid and not own.ready):
            continue
        refuses = any(stream.valid and not stream.ready for stream in given)
        sated = bool(given) and all(stream.beats == stream.expected for stream in given)
        if refuses or sated:
            return node.name
    return None
