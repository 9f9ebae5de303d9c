"""Which foldings of a tiled engine are worth offering, whatever the engine multiplies by."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["FEWER", "STARVED", "narrowest", "unbeaten"]

#: Part of the multipliers of a faster folding that a slower one may have at most to be offered.
FEWER = 0.9

#: Small foldings have fewer multipliers, and are offered even where they cannot be kept busy.
STARVED = 256


def unbeaten(specs: Iterable[Any]) -> Iterator[Any]:
    """Those of ``specs`` that no other beats in steps and multipliers, or only just."""
    least = float("inf")
    for spec in sorted(specs, key=lambda spec: (spec.schedule().steps, spec.multipliers)):
        if spec.multipliers <= FEWER * least:
            least = spec.multipliers
            yield spec


def narrowest(make: Callable[[int, int], Any], most: tuple[int, int], steps: int) -> Any:
    """``make`` of the fewest pixels in a beat, of the source and of the target, with which streams
    do not slow down an array of ``steps``; None if those of ``most``, which they divide, do."""
    for source in (n for n in range(1, most[0] + 1) if most[0] % n == 0):
        for target in (n for n in range(1, most[1] + 1) if most[1] % n == 0):
            spec = make(source, target)
            if spec.schedule().processes["fill"].steps > steps:
                break
            if spec.schedule().steps == steps:
                return spec
    return None
