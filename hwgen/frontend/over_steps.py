"""What the values of an unrolled spiking forward are, and what becomes of them over the steps.

Spikes are stacked or added up, membranes stacked or compared, of one layer and step by step; every
other way of joining steps is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwgen.errors import Problem, UserError

__all__ = [
    "FORWARD",
    "READ",
    "REMEDY",
    "Value",
    "added",
    "largest",
    "reduced",
    "refusal",
    "stacked",
    "text",
]

REMEDY = "let its forward run Linear and Leaky alone, a fixed number of steps"

FORWARD = "let spikes go forward alone, from layer to layer, within a step"

READ = "return stacked spikes, their sum over the steps, or the largest membranes"


@dataclass(frozen=True)
class Value:
    """What a node of the trace is.

    ``kind`` is "frame" (the input), "train" (of all steps, before the first layer), "input" (of
    step ``at``), "sum" (of layer ``name``'s weights), "spikes" or "membrane" (of neurons ``name``
    in step ``at``), "both", "state" (at the start), or, over steps 0 to ``at``, "trains",
    "membranes", "count", "largest".
    """

    kind: str
    name: str = ""
    at: int = 0


def refusal(name: str | None, reason: str, remedy: str = REMEDY) -> UserError:
    """The error to raise, about the node or module ``name``."""
    return UserError(Problem(name, reason, remedy))


def stacked(name: str, values: Sequence[Value], axis: int) -> Value:
    """All steps of one layer's spikes or membranes, of which the steps' ``axis`` is the first."""
    first = values[0]
    wanted = [replace(first, at=at) for at in range(len(values))]
    if first.kind not in ("spikes", "membrane") or values != wanted or axis:
        raise refusal(name, "stacks something else than one layer's steps in order")
    return Value("trains" if first.kind == "spikes" else "membranes", first.name, values[-1].at)


def reduced(name: str, wanted: str, given: Value, axis: int) -> Value:
    """The ``wanted`` ("sum", "amax", "max") of stacked steps: sums of spikes, most of membranes."""
    made = {"sum": ("trains", "count")}.get(wanted, ("membranes", "largest"))
    if given.kind != made[0] or axis:
        raise refusal(name, f"takes {wanted} of {text(given)}", READ)
    return replace(given, kind=made[1])


def added(name: str, a: Any, b: Any) -> Value:
    """One layer's spikes so far and those of the next step; either may be a constant to start from,
    a ``Value`` or a number."""
    if not isinstance(a, Value):
        a, b = b, a
    start = b == 0 or (isinstance(b, Value) and b.kind == "state")
    if isinstance(a, Value) and a.kind == "state":
        a, start = b, True
    if start and isinstance(a, Value) and a.kind == "spikes" and a.at == 0:
        return replace(a, kind="count")
    for count, spikes in ((a, b), (b, a)):
        if isinstance(count, Value) and isinstance(spikes, Value):
            first = count.kind == "spikes" and count.at == 0
            following = Value("spikes", count.name, count.at + 1)
            if (count.kind == "count" or first) and spikes == following:
                return replace(spikes, kind="count")
    sums = [x.name for x in (a, b) if isinstance(x, Value) and x.kind == "sum"]
    if len(sums) == 2:
        reason = f"adds the sums of {sums[1]} to those of {sums[0]}: a branch or a loop"
        raise refusal(sums[1], f"{reason} across layers", FORWARD)
    raise refusal(name, "adds something else than one layer's spikes step by step")


def largest(name: str, a: Value, b: Value) -> Value:
    """One layer's largest membranes so far, and those of the next step."""
    for most, memory in ((a, b), (b, a)):
        first = most.kind == "membrane" and most.at == 0
        following = Value("membrane", most.name, most.at + 1)
        if (most.kind == "largest" or first) and memory == following:
            return replace(memory, kind="largest")
    raise refusal(name, "takes the largest of something else than one membrane")


def text(value: Value) -> str:
    """``value`` in the words of a message."""
    what = {
        "frame": "the whole input",
        "input": f"step {value.at} of the input",
        "train": "all steps of the input",
        "sum": f"the weighted sums of {value.name}",
        "spikes": f"step {value.at} of the spikes of {value.name}",
        "membrane": f"step {value.at} of the membranes of {value.name}",
        "both": f"spikes and membranes of {value.name} together",
        "state": "a constant",
    }
    return what.get(value.kind, f"{value.kind} of {value.name}")
