"""Mistakes that the user can mend: every one of them named at once, and what to do about each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Problem", "ToolError", "UserError", "refuse", "together"]


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


class ToolError(Exception):
    """A tool that hwgen starts is missing or broke: nothing was verified or measured.

    The command line prints it, with the tool's own words, and exits with 1.
    """


def together(*steps: Callable[[], Any]) -> list[Any]:
    """Results of independent ``steps``; UserError with the problems of all that failed."""
    results: list[Any] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            results.append(step())
        except UserError as error:
            problems += error.problems
    refuse(problems)
    return results


def refuse(problems: Iterable[Problem]) -> None:
    """Raise UserError with every one of ``problems``, unless there is none; repeats are dropped."""
    found = tuple(dict.fromkeys(problems))
    if found:
        raise UserError(*found)
