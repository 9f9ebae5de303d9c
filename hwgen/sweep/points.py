"""What a sweep covers: ranges of bits, the points that they span, and choices among them."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwgen.board import Board, load_board
from hwgen.errors import Problem, UserError, refuse

__all__ = ["Point", "bits", "boards", "chosen", "rate", "span"]

LEAST, MOST = 1, 16  # what ``compress.Settings`` takes

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:\.\.\s*(\d{1,9})\s*)?")

FORM = "give a range such as 2..8, a list such as 2,4,8, or both: 2..4,8"


@dataclass(frozen=True, order=True)
class Point:
    """Bits of all weights and of all activations."""

    weights: int
    activations: int

    def __str__(self):
        return f"w{self.weights}a{self.activations}"


def bits(option: str, given: str | int | Iterable[int]) -> tuple[int, ...]:
    """``2..8``, ``2,4,8``, ``2..4,8`` or the numbers themselves, each once, in ascending order.

    UserError names ``option`` and every part that is wrong.
    """
    parts = given.split(",") if isinstance(given, str) else _listed(given)
    found: set[int] = set()
    problems = []
    for part in parts:
        match = _RANGE.fullmatch(str(part))
        if match is None:
            problems.append(Problem(None, f"{option}: {str(part)!r} is no number of bits", FORM))
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        outside = [str(n) for n in dict.fromkeys((first, last)) if not LEAST <= n <= MOST]
        if outside:
            reason = f"{option}: {' and '.join(outside)} bits"
            problems.append(Problem(None, reason, f"use {LEAST} to {MOST}"))
        elif first > last:
            reason = f"{option}: the range {first}..{last} is empty"
            problems.append(Problem(None, reason, f"did you mean {last}..{first}?"))
        else:
            found.update(range(first, last + 1))
    refuse(problems)
    if not found:
        raise UserError(Problem(None, f"{option}: there are no bits", FORM))
    return tuple(sorted(found))


def _listed(given: int | Iterable[int]) -> list:
    return [given] if isinstance(given, int) else list(given)


def span(weights: Iterable[int], activations: Iterable[int]) -> tuple[Point, ...]:
    """Every combination, weights first."""
    lanes = tuple(activations)
    return tuple(Point(w, a) for w in weights for a in lanes)


def boards(given: str | Iterable[str | Path]) -> dict[Board, str | Path]:
    """Boards, in the order given, each with the name or file that it was found by.

    UserError names all that cannot be had.
    """
    names = given.split(",") if isinstance(given, str) else list(given)
    found: dict[Board, str | Path] = {}
    problems: list[Problem] = []
    for name in names:
        name = name.strip() if isinstance(name, str) else name
        try:
            board = load_board(name)
        except UserError as error:
            problems += error.problems
            continue
        if any(other.name == board.name and other != board for other in found):
            reason = f"two different boards are called {board.name!r}"
            problems.append(Problem(None, reason, "rename one of the files"))
        found.setdefault(board, name)
    refuse(problems)
    if not found:
        raise UserError(Problem(None, "there are no boards to sweep", "give --boards ulx3s"))
    return found


def chosen(
    option: str, given: str | Iterable[str] | None, points: Sequence[Point], on: Sequence[Board]
) -> tuple[tuple[Point, Board], ...]:
    """Points by name: ``w4a4`` on every board, or ``w4a4-ulx3s`` on that one.

    UserError names every one that is not in the sweep.
    """
    names = given.split(",") if isinstance(given, str) else list(given or ())
    known = {f"{point}": [(point, board) for board in on] for point in points}
    known |= {f"{point}-{board.name}": [(point, board)] for point in points for board in on}
    found: dict[tuple[Point, str], tuple[Point, Board]] = {}
    problems = []
    for name in (str(name).strip() for name in names):
        if name not in known:
            some = [str(point) for point in points]
            near = difflib.get_close_matches(name, known) or [some[0], some[-1]]
            reason = f"{option}: {name!r} is not in the sweep"
            remedy = (
                f"give one of its {len(points)} points, such as {', '.join(dict.fromkeys(near))}"
            )
            problems.append(Problem(None, reason, remedy))
            continue
        for point, board in known[name]:
            found[point, board.name] = point, board
    refuse(problems)
    return tuple(found.values())


def rate(fps: float | None) -> None:
    """UserError unless ``fps`` is a frame rate, or none is asked for."""
    if fps is not None and not 0 < fps < float("inf"):
        raise UserError(Problem(None, f"{fps:g} frames/s are no rate", "give a number above 0"))
