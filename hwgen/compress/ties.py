"""Grids of all activations of a network together: tensors that meet are tied.

An addition is exact where the scales of its operands differ by a power of two. Tensors that must
agree in this way form a class; every one of them keeps the scale it would have alone as nearly as
powers of two allow. Tensors that are concatenated share one grid; one that has fewer bits than the
others has coarser steps of the same range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import fx

from hwgen.compress.observers import Observed, UnsignedGrid, choose, error
from hwgen.compress.sets import Sets
from hwgen.compress.settings import Calibration
from hwgen.frontend.calls import WEIGHTED, op_of
from hwgen.frontend.ratios import multipliers
from hwgen.frontend.rescale import MAX_APART

__all__ = ["Place", "choose_grids"]


@dataclass(frozen=True, eq=False)
class Place:
    """A tensor that is to be rounded to a grid: the network's input, or what a layer makes.

    ``exit`` is the call whose result is rounded, ``maker`` the one whose sums it comes from, and
    ``sources`` are the places of the tensors which that one reads. One step of the sums is ``gain``
    times the finest step of the sources; gains of layers with weights can be adapted later.
    """

    exit: fx.Node
    maker: fx.Node
    layer: str
    bits: int
    method: Calibration
    sources: tuple["Place", ...] = ()
    gain: float = 0.0

    @property
    def is_free(self) -> bool:
        """Whether weights can absorb any ratio between the grids before and after."""
        return self.maker.op == "placeholder" or op_of(self.maker) in WEIGHTED

    def step(self, grids: Mapping["Place", UnsignedGrid]) -> float:
        """One step of the sums in real numbers; 0 for the input, which is no sum."""
        return min((grids[source].scale for source in self.sources), default=0.0) * self.gain


def choose_grids(
    places: Sequence[Place],
    seen: Mapping[fx.Node, Observed],
    side_by_side: Sequence[Sequence[fx.Node]] = (),
) -> dict[Place, UnsignedGrid]:
    """A grid for each of ``places``, which are in topological order.

    ``side_by_side`` are the exits that each concatenation joins.
    Sums and averages are rounded by a multiple ``m / 2^s`` that the requantiser has exactly, except
    where one class holds several of them that come from different classes: then all but one are up
    to one part in 2^16 off, which is less than one step of their output.
    """
    by_exit = {place.exit: place for place in places}
    shared = Sets(places)
    for exits in side_by_side:
        shared.tie(*(by_exit[exit] for exit in exits))
    seen = dict(seen)
    alone: dict[Place, UnsignedGrid] = {}
    for place in places:
        first, *others = shared.of[place]
        if others and place is first:
            together = _together([seen[member.exit] for member in shared.of[place]])
            seen.update({member.exit: together for member in shared.of[place]})
        # An output much finer than the sums tells nothing more apart, and its roundings would
        # often be ties, which floats and integers break in different ways.
        least = place.step(alone) / 16
        alike = alone.get(first)
        if alike is not None and alike.hi == (1 << place.bits) - 1:
            alone[place] = alike
        else:
            whole = any(member.method == "minmax" for member in shared.of[place])
            method: Calibration = "minmax" if whole else place.method
            alone[place] = choose(seen[place.exit], place.bits, method, least)
    return _Tied(_classes(places, shared), alone, seen, shared).grids


def _together(seen: Sequence[Observed]) -> Observed:
    """What several tensors hold, side by side."""
    if len(seen) == 1:
        return seen[0]
    sample = np.concatenate([one.sample for one in seen])
    return Observed(min(one.lo for one in seen), max(one.hi for one in seen), sample)


def _classes(places: Sequence[Place], shared: Sets) -> dict[Place, list[Place]]:
    """The class of each place: all whose scales may differ by powers of two only."""
    found = Sets(places)
    makers: dict[fx.Node, Place] = {}
    for place in places:
        found.tie(place, makers.setdefault(place.maker, place), *shared.of[place])
        if not place.is_free and op_of(place.maker) == "add":
            found.tie(*place.sources)
    return found.of


class _Tied:
    """Settles class after class; one that is derived from another comes after it."""

    def __init__(
        self,
        classes: Mapping[Place, list[Place]],
        alone: Mapping[Place, UnsignedGrid],
        seen: Mapping[fx.Node, Observed],
        shared: Sets,
    ):
        self.grids: dict[Place, UnsignedGrid] = {}
        self._classes, self._alone, self._seen = classes, alone, seen
        self._shared = shared
        self._begun: set[Place] = set()
        for place in classes:
            self._settle(place)

    def _settle(self, place: Place) -> None:
        if place in self._begun:
            return
        members = self._classes[place]
        self._begun.update(members)
        grids = self._together(members)
        factor = 1.0
        for member in members:
            if member.is_free:
                continue
            for source in member.sources:
                self._settle(source)
            if all(source in self.grids for source in member.sources):
                # Nearly as it was, and a multiple that the requantiser has.
                step = member.step(self.grids)
                m, shift = multipliers(np.array([step / grids[member].scale]))
                factor = step * 2.0**shift / float(m[0]) / grids[member].scale
                break
        self.grids |= {
            member: UnsignedGrid(grid.scale * factor, grid.zero_point, grid.hi)
            for member, grid in grids.items()
        }

    def _together(self, members: list[Place]) -> dict[Place, UnsignedGrid]:
        """Grids whose scales differ by powers of two, at the least cost to all of ``members``."""
        if len(members) == 1:
            return {members[0]: self._alone[members[0]]}
        # Of those that share a grid, the one with the most bits stands for all.
        widest = {member: max(self._shared.of[member], key=lambda p: p.bits) for member in members}
        found = self._tied(list(dict.fromkeys(widest.values())))
        return {member: _coarser(found[widest[member]], member.bits) for member in members}

    def _tied(self, members: list[Place]) -> dict[Place, UnsignedGrid]:
        best, least = {}, np.inf
        for base in dict.fromkeys(self._alone[member].scale for member in members):
            tried = {member: self._nearest(member, base) for member in members}
            floor = max(grid.scale for grid, _ in tried.values()) / 2.0**MAX_APART
            cost = sum(cost for _, cost in tried.values())
            if cost < least:
                least = cost
                best = {
                    member: grid if grid.scale >= floor else _moved(grid, floor)
                    for member, (grid, _) in tried.items()
                }
        return best

    def _nearest(self, member: Place, base: float) -> tuple[UnsignedGrid, float]:
        """The best grid at a power of two times ``base``, and its square error in steps."""
        alone, sample = self._alone[member], self._seen[member.exit].sample
        power = np.log2(alone.scale / base)
        powers = {round(power)} if abs(power - round(power)) < 1e-9 else {int(np.ceil(power))}
        if member.method != "minmax":  # which asks that nothing is clipped
            powers.add(int(np.floor(power + 1e-9)))
        grids = [_moved(alone, base * 2.0**power) for power in sorted(powers)]
        grid, cost = min(((grid, error(sample, grid)) for grid in grids), key=lambda one: one[1])
        return grid, cost / alone.scale**2


def _coarser(grid: UnsignedGrid, bits: int) -> UnsignedGrid:
    """The same range in integers of ``bits`` bits; none of them lies outside of it."""
    less = grid.hi.bit_length() - bits
    return UnsignedGrid(grid.scale * 2.0**less, grid.zero_point >> less, (1 << bits) - 1)


def _moved(grid: UnsignedGrid, scale: float) -> UnsignedGrid:
    """The same grid with steps of ``scale``: coarser ones cover more, finer ones clip both ends."""
    return UnsignedGrid(scale, round(grid.zero_point * min(1.0, grid.scale / scale)), grid.hi)
