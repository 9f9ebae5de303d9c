"""What a schedule is: the counted loops by which an engine takes, holds and puts its beats.

A schedule is one or more processes. A process is a nest of counted loops, run once a frame, again
and again; its body is one step of one cycle. A step takes at most one beat from an input, puts at
most one on an output, and may write a ring or read from one.

Stall law. A step happens in a cycle when, as the registers stand at its beginning,
- every beat that it takes, or waits for, is offered,
- every output that it puts on has room for one more beat (in flight ones counted),
- a ring that it writes has a free slot,
- a ring that it reads holds the whole window that the step needs.
What it puts appears ``latency`` cycles later, whatever happens in between. A taken beat gives its
room back at the end of the cycle.

The same value builds the control counters of the hardware (``rtl_templates.sequencer``), and is
played by the token game (``game.play``) that foretells cycles and sizes FIFOs.

A trip count is a constant, or, in event-driven engines, decided by the data (``Trips``). Then too
each frame takes and puts as many beats as any other on every port: data changes when something
happens, and never what. So whether a pipeline can deadlock does not depend on the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, prod

__all__ = [
    "FIRST",
    "LAST",
    "LATER",
    "At",
    "Process",
    "Put",
    "Read",
    "Schedule",
    "Take",
    "Trips",
    "Write",
    "chosen",
    "selected",
]

#: For a loop by number: the indices at which something happens, or a slice of them. Loops not
#: named: at every index.
At = Mapping[int, Sequence[int] | slice]

#: What can be asked of a loop whose trip count the data decides.
FIRST, LAST, LATER = slice(0, 1), slice(-1, None), slice(1, None)


@dataclass(frozen=True)
class Trips:
    """A trip count that the data decides anew each time the loop begins; at least 1.

    ``name`` says which numbers they are among those that the engine derives from golden tensors.
    ``worst`` are the largest, for one beginning after the other, and then from the start again;
    ``mean`` is what they are on average on the data that the plan is made for.
    """

    name: str
    worst: tuple[int, ...]
    mean: float

    def __post_init__(self):
        if not 1 <= self.mean <= max(self.worst):
            raise ValueError(f"trips must be 1 to {max(self.worst)} on average, not {self.mean}")


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
    """The steps that ``at`` selects write the next slot of ``ring``."""

    ring: str
    at: At = field(default_factory=dict)


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
    """A nest of loops, outermost first, and what its steps do.

    Several puts may share a port, if no step is one of two of them. The first step of a frame waits
    for a beat to be offered at ``after``, a port, without taking it: what could put beats of its
    own making, such as padding, begins no frame that has not come.
    """

    loops: tuple[int | Trips, ...]
    takes: tuple[Take, ...] = ()
    puts: tuple[Put, ...] = ()
    write: Write | None = None
    read: Read | None = None
    after: str | None = None

    def __post_init__(self):
        if not self.loops or min(self.most) < 1:
            raise ValueError(f"loops must be at least one count of at least 1, not {self.loops}")
        decided = [n for n, loop in enumerate(self.loops) if isinstance(loop, Trips)]
        if len(decided) > 1 or (decided and self.read and self.read.depth <= decided[0]):
            raise ValueError("data decides one loop at most, and none inside of a window")

    @property
    def most(self) -> tuple[int, ...]:
        """Trip counts; where the data decides, the largest."""
        return tuple(max(loop.worst) if isinstance(loop, Trips) else loop for loop in self.loops)

    @property
    def decided(self) -> int | None:
        """Number of the loop whose trip count the data decides, if there is one."""
        return next((n for n, loop in enumerate(self.loops) if isinstance(loop, Trips)), None)

    @property
    def steps(self) -> int:
        """Steps, so also least cycles, a frame; on average, rounded up, where data decides."""
        return ceil(prod(loop.mean if isinstance(loop, Trips) else loop for loop in self.loops))

    @property
    def worst(self) -> int:
        """Steps a frame where the data asks for most."""
        n = self.decided
        if n is None:
            return self.steps
        pattern: tuple[int, ...] = self.loops[n].worst  # type: ignore[union-attr]
        begun = prod(self.most[:n])
        trips = begun // len(pattern) * sum(pattern) + sum(pattern[: begun % len(pattern)])
        return trips * prod(self.most[n + 1 :])


@dataclass(frozen=True)
class Schedule:
    """The processes of an engine, by name, and the rings that they share (name to slots)."""

    processes: Mapping[str, Process]
    rings: Mapping[str, int] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps a frame of the longest process: a bound on the interval that waiting can reach."""
        return max(process.steps for process in self.processes.values())

    @property
    def worst(self) -> int:
        """The same, where the data asks for most."""
        return max(process.worst for process in self.processes.values())


def chosen(at: At, loop: int, trip: int) -> list[int]:
    """The indices, of ``trip``, that ``at`` selects of a loop."""
    indices = at.get(loop, range(trip))
    return list(range(trip)[indices]) if isinstance(indices, slice) else list(indices)


def selected(at: At, loops: Sequence[int | Trips]) -> int:
    """How many steps a frame ``at`` selects, which must not depend on the data."""
    count = 1
    for n, loop in enumerate(loops):
        if isinstance(loop, Trips):
            if at.get(n) not in (FIRST, LAST):
                raise ValueError("where data decides a trip count, beats go first or last")
        else:
            count *= len(chosen(at, n, loop))
    return count
