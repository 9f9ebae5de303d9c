"""Golden beats of every stream of an accelerator, as the bytes that the simulation compares."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwgen.beats import Beats, from_bytes, to_bytes
from hwgen.manifest import Manifest
from hwgen.network import Frames, Network
from hwgen.sim.streams import storage_bytes

__all__ = ["Wire", "chunks", "decode", "encode", "wires_of"]

#: Integers of all streams that are in memory at once, some tens of bytes each.
CHUNK_VALUES = 1_500_000


@dataclass(frozen=True)
class Wire:
    """One stream as the driver sees it: beats of ``node``'s tensor in signals of ``bits`` bits."""

    node: str
    beats: Beats
    bits: int

    @property
    def stride(self) -> int:
        """Bytes a beat."""
        return storage_bytes(self.bits)


def wires_of(manifest: Manifest, network: Network) -> tuple[Wire, ...]:
    """Inputs, probes and outputs, in the driver's order; ValueError if the network has others."""
    made = dict(zip(network.output_names, network.outputs, strict=True))
    wires = [Wire(port.carries, port.beats, 8 * port.bytes) for port in manifest.inputs]
    wires += [Wire(probe.node, probe.beats, probe.beats.width) for probe in manifest.probes]
    wires += [
        Wire(made.get(port.carries, port.carries), port.beats, 8 * port.bytes)
        for port in manifest.outputs
    ]
    if (
        sorted(port.carries for port in manifest.inputs)
        != sorted(node.name for node in network.inputs)
        or tuple(port.carries for port in manifest.outputs) != network.output_names
    ):
        raise ValueError("manifest.json and network.json disagree on what enters and leaves")
    types = {node.name: node.type.integers for node in network}
    for wire in wires:
        if types.get(wire.node) != wire.beats.type.integers:
            raise ValueError(f"manifest.json and network.json disagree on {wire.node}")
    return tuple(wires)


def encode(wire: Wire, tensor: np.ndarray) -> np.ndarray:
    """Beats of ``tensor`` (N, *shape) as bytes (N * beats, stride)."""
    kind = wire.beats.type
    values = wire.beats.pack(tensor)
    if kind.bits == 8 and values.shape[1] == wire.stride:
        return np.ascontiguousarray(values.astype(np.int64).astype(np.uint8))
    return to_bytes(values, kind.bits, wire.stride)


def decode(wire: Wire, data: np.ndarray) -> np.ndarray:
    """Codes (beats, pixels * lanes) of beats in bytes (beats, stride)."""
    kind = wire.beats.type
    return from_bytes(data, kind.bits, kind.signed, wire.beats.values)


def chunks(network: Network, wires: tuple[Wire, ...], frames: Frames) -> Iterator[bytes]:
    """What the driver reads: frames in batches, each with the beats of every wire, then the end.

    Memory holds one batch, whatever the number of frames.
    """
    given = network.given(frames)
    count = len(next(iter(given.values())))
    a_frame = sum(wire.beats.count * wire.beats.values for wire in wires)
    batch = max(1, CHUNK_VALUES // a_frame)
    for start in range(0, count, batch):
        some = {name: array[start : start + batch] for name, array in given.items()}
        tensors = network.trace(some)
        yield min(batch, count - start).to_bytes(4, "little")
        for wire in wires:
            yield encode(wire, tensors[wire.node]).tobytes()
    yield bytes(4)
