"""What a schedule is: the counted loops by which an engine takes, holds and puts its beats.

A schedule is one or more processes. A process is a nest of counted loops, run once a frame, again
and again; its body is one step of one cycle. A step takes at most one beat from an input, puts at
most one on an output, and may write a ring or read from one.

Stall law. A step happens in a cycle when, as the registers stand at its beginning,
- every beat that it takes is offered,
- every output that it puts on has room for one more beat (in flight ones counted),
- a ring that it writes has a free slot,
- a ring that it reads holds the whole window that the step needs.
What it puts appears ``latency`` cycles later, whatever happens in between. A taken beat gives its
room back at the end of the cycle.

The same value builds the control counters of the hardware (``rtl_templates.sequencer``), and is
played by the token game (``game.play``) that foretells cycles and sizes FIFOs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

__all__ = ["At", "Process", "Put", "Read", "Schedule", "Take", "Write", "selected"]

#: For a loop by number: the indices at which something happens. Loops not named: at every index.
At = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Take:
    """One beat is taken from ``port`` by the steps that ``at`` selects."""

    port: str
    at: At = field(default_factory=dict)


@dataclass(frozen=True)
class Put:
    """One beat is put on ``port``, ``latency`` cycles after each step that ``at`` selects.

    ``depth`` beats at most are in flight or waiting to be taken.
    """

    port: str
    latency: int
    depth: int
    at: At = field(default_factory=dict)


@dataclass(frozen=True)
class Write:
    """Every step of the process writes the next slot of ``ring``."""

    ring: str


@dataclass(frozen=True)
class Read:
    """Windows read from ``ring``.

    An iteration of the outermost ``depth`` loops holds ``span`` consecutive beats of the ring. Its
    first step waits for them. Its last gives up ``release[d]`` beats, where ``d`` is the loop that
    moves on next, or ``release[depth]`` at the end of the frame.
    """

    ring: str
    depth: int
    span: int
    release: tuple[int, ...]

    def __post_init__(self):
        if len(self.release) != self.depth + 1:
            raise ValueError(f"release needs {self.depth + 1} numbers, not {len(self.release)}")


@dataclass(frozen=True)
class Process:
    """A nest of loops, outermost first, and what its steps do."""

    loops: tuple[int, ...]
    takes: tuple[Take, ...] = ()
    puts: tuple[Put, ...] = ()
    write: Write | None = None
    read: Read | None = None

    def __post_init__(self):
        if not self.loops or min(self.loops) < 1:
            raise ValueError(f"loops must be at least one count of at least 1, not {self.loops}")

    @property
    def steps(self) -> int:
        """Steps, so also least cycles, a frame."""
        return prod(self.loops)


@dataclass(frozen=True)
class Schedule:
    """The processes of an engine, by name, and the rings that they share (name to slots)."""

    processes: Mapping[str, Process]
    rings: Mapping[str, int] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps a frame of the longest process: a bound on the interval that waiting can reach."""
        return max(process.steps for process in self.processes.values())


def selected(at: At, loops: Sequence[int]) -> int:
    """How many steps a frame ``at`` selects."""
    return prod(len(at[n]) if n in at else count for n, count in enumerate(loops))
