"""What a simulation showed: verdict, place of every mistake, cycles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

__all__ = ["Deadlock", "Kind", "Mismatch", "Result", "Standing"]

#: What was wrong with a beat. ``value``: a wrong integer; ``padding``: a spare lane or bit that is
#: not zero; ``extra``: a beat after the last; ``tlast``: the end of a frame marked wrongly;
#: ``unheld``, ``retracted``: payload or valid changed before the beat was taken.
Kind = Literal["value", "padding", "extra", "tlast", "unheld", "retracted"]

_SAYS = {
    "padding": "a spare lane must be {expected} but is {got}",
    "extra": "a beat too many, {got}",
    "tlast": "tlast must be {expected} but is {got}",
    "unheld": "changed from {expected} to {got} before it was taken",
    "retracted": "{expected} was withdrawn before it was taken",
    "value": "{got} instead of {expected}",
}


@dataclass(frozen=True)
class Mismatch:
    """One integer that is not what the golden model says.

    ``layer`` is the user's own name. A vector is a map of one row and one column. ``expected`` or
    ``got`` is None where there is no such integer. ``cycle`` counts rising edges from power-up:
    the cycle lies at ``10 * cycle`` ns of ``mismatch.vcd``.
    """

    layer: str
    frame: int
    row: int
    column: int
    channel: int
    expected: int | None
    got: int | None
    cycle: int
    kind: Kind = "value"

    def __str__(self):
        place = f"{self.layer}: frame {self.frame}, row {self.row}, column {self.column}"
        says = _SAYS[self.kind].format(expected=self.expected, got=self.got)
        return f"{place}, channel {self.channel}: {says} (cycle {self.cycle})"


@dataclass(frozen=True)
class Standing:
    """How far one stream came. ``valid`` and ``ready`` are its wires at the end."""

    layer: str
    beats: int
    expected: int
    valid: bool
    ready: bool

    def __str__(self):
        state = {
            (True, True): "moving",
            (True, False): "blocked",
            (False, True): "starved",
            (False, False): "idle",
        }[self.valid, self.ready]
        return f"{self.layer}: {self.beats} of {self.expected} beats, {state}"


@dataclass(frozen=True)
class Deadlock:
    """Nothing moved any more after ``cycle``.

    ``layer`` is the first that takes nothing although its input waits and its output is free, or
    that offers nothing although it has taken all its input; None if there is no such layer.
    """

    cycle: int
    layer: str | None
    streams: tuple[Standing, ...]

    def __str__(self):
        head = f"deadlock at cycle {self.cycle}"
        if self.layer:
            head += f", in {self.layer}"
        return "\n  ".join([head, *map(str, self.streams)])


@dataclass(frozen=True)
class Result:
    """Verdict of one simulation.

    ``mismatches`` are in topological order of their layers, then in order of time: the first names
    the culprit. At most a few of each layer are kept; ``wrong_beats`` counts all. ``frames`` came
    out whole. ``latency`` and ``interval`` are in cycles and only measured without stalls
    (``interval`` from two frames on); ``seconds`` is the simulator's own time. ``outputs`` is what
    came out, (frames, *shape), by the names of the network's outputs. A frame begins with the first
    beat that any input takes, and ends with the last that leaves by any output.
    """

    bit_exact: bool
    frames: int
    mismatches: tuple[Mismatch, ...]
    wrong_beats: int
    deadlock: Deadlock | None
    assertion: str | None
    first_input_cycle: int | None
    last_output_cycles: tuple[int, ...]
    latency: int | None
    interval: int | None
    cycles: int
    seconds: float
    outputs: Mapping[str, np.ndarray] = field(repr=False, compare=False)
    trace: str | None = None

    @property
    def frames_per_second(self) -> float:
        """Frames simulated in a second of this machine."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def culprit(self) -> str | None:
        """First wrong layer in topological order; None if all is well or no layer can be named."""
        if self.mismatches:
            return self.mismatches[0].layer
        return self.deadlock.layer if self.deadlock else None

    def __str__(self):
        if self.bit_exact:
            return f"bit-exact over {self.frames} frames and {self.cycles} cycles"
        lines = [f"NOT bit-exact: {self.wrong_beats} wrong beat{'s' * (self.wrong_beats != 1)}"]
        lines += [f"  {mismatch}" for mismatch in self.mismatches[:8]]
        if self.assertion:
            lines.append(f"assertion failed: {self.assertion}")
        if self.deadlock:
            lines.append(str(self.deadlock))
        if self.trace:
            lines.append(f"waveform: {self.trace}")
        return "\n".join(lines)
