"""Mistakes that the user can mend: every one of them named at once, and what to do about each."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Problem", "UserError", "refuse"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: in which layer (None: in no single one), why, and what would do."""

    layer: str | None
    reason: str
    remedy: str

    def __str__(self):
        place = f"{self.layer}: " if self.layer else ""
        return f"{place}{self.reason}; {self.remedy}"


class UserError(Exception):
    """All problems of one input, one a line. The command line prints it and exits with 2."""

    def __init__(self, *problems: Problem):
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def refuse(problems: Iterable[Problem]) -> None:
    """Raise UserError with every one of ``problems``, unless there is none; repeats are dropped."""
    found = tuple(dict.fromkeys(problems))
    if found:
        raise UserError(*found)
