"""Disjoint sets of things that are in an order, which sets keep."""

from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import Generic, TypeVar

__all__ = ["Sets"]

T = TypeVar("T", bound=Hashable)


class Sets(Generic[T]):
    """Each of ``things`` in a set of its own, until some are tied. ``of`` is the set of each, in
    the order of ``things``: the same list for all that are in it."""

    def __init__(self, things: Iterable[T]):
        self.of = {thing: [thing] for thing in things}
        self._order = {thing: number for number, thing in enumerate(self.of)}

    def tie(self, *things: T) -> None:
        """Put the sets of these together."""
        for first, second in pairwise(things):
            if self.of[first] is not self.of[second]:
                both = sorted(self.of[first] + self.of[second], key=self._order.__getitem__)
                self.of.update(dict.fromkeys(both, both))
