"""Spikes as events: files of addresses, and the spike trains that they stand for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.images import Images
from hwgen.network import Network
from hwgen.network.spiking import spike_train

__all__ = ["are_events", "load_events", "trains_of"]

#: Arrays of an event file: integers of the same length, one place for each spike.
ARRAYS = ("frame", "step", "address")

#: Spikes of all frames, whether or not they come, that are held in memory.
MOST = 1 << 30


def load_events(path: Path | str, network: Network) -> np.ndarray | None:
    """Spike trains (N, T, F), float32, of an ``.npz`` file with the arrays ``frame``, ``step`` and
    ``address``, in ascending order; None if the file holds no such arrays.

    Raises UserError, naming the input, for events that are out of order, or that the network has
    no step or no input for.
    """
    if len(network.inputs) > 1:
        return None
    source = network.input
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray) or "address" not in arrays:
                return None
            found = {name: arrays[name] for name in ARRAYS if name in arrays}
    except (OSError, ValueError, EOFError, BadZipFile, KeyError):
        return None  # whoever reads it as inputs says what is wrong with it
    if source.type.integers != spike_train(source.type.shape[0], source.type.channels):
        reason = f"takes {source.type}, and {path} holds events"
        raise UserError(Problem(source.name, reason, "give inputs as the network takes them"))
    return trains_of(found, source.name, source.type.shape[0], source.type.channels)


def are_events(images: Images | None) -> bool:
    """Whether these arrays, by name, are events."""
    return isinstance(images, Mapping) and "address" in images and images.keys() <= {*ARRAYS}


def trains_of(found: Mapping[str, np.ndarray], name: str, steps: int, inputs: int) -> np.ndarray:
    """Spike trains (N, T, F), float32, of the arrays of an event file; UserError, which names the
    input ``name``."""
    refuse(_problems(found, name, steps, inputs))
    frame, step, address = (found[name].astype(np.int64) for name in ARRAYS)
    trains = np.zeros((int(frame.max(initial=0)) + 1, steps, inputs), np.float32)
    trains[frame, step, address] = 1
    return trains


def _problems(
    found: Mapping[str, np.ndarray], name: str, steps: int, inputs: int
) -> Iterator[Problem]:
    missing = [array for array in ARRAYS if array not in found]
    if missing:
        yield Problem(name, f"the events have no {' and no '.join(missing)}", "give all three")
        return
    kinds = {(array.dtype.kind in "iu", array.ndim, len(array)) for array in found.values()}
    if len(kinds) > 1 or not all(whole and axes == 1 for whole, axes, _ in kinds):
        yield Problem(name, "the events are no integers of one length", "give one of each a spike")
        return
    frame, step, address = (found[array].astype(np.int64) for array in ARRAYS)
    for values, most, what in ((step, steps, "steps"), (address, inputs, "inputs")):
        wrong = np.flatnonzero((values < 0) | (values >= most))
        if len(wrong):
            reason = f"event {wrong[0]} is for number {values[wrong[0]]} of {most} {what}"
            yield Problem(name, f"{reason}, and so are {len(wrong) - 1} more", "number from 0")
    if frame.min(initial=0) < 0 or frame.max(initial=0) * steps * inputs > MOST:
        reason = f"frames have numbers from {frame.min()} to {frame.max()}"
        yield Problem(name, reason, f"number from 0 to {MOST // (steps * inputs)} at most")
    order = (frame * steps + step) * inputs + address
    wrong = np.flatnonzero(np.diff(order) <= 0) + 1
    if len(wrong):
        reason = f"event {wrong[0]} does not come after the one before it"
        yield Problem(name, reason, "sort them by frame, step and address, without repeats")
