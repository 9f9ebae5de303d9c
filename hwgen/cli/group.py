"""How commands end, and how they say what they are doing."""

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hwgen import show
from hwgen.cli.interrupt import INTERRUPTED, STOPPED
from hwgen.errors import ToolError, UserError

__all__ = ["FAILED", "Group", "bars", "notes", "status"]

#: Exit codes: a verification that failed or a tool that broke, a mistake of the user's.
FAILED, MISTAKE = 1, 2

FULL = (errno.ENOSPC, errno.EDQUOT)

notes = Console(stderr=True, highlight=False)


class Group(click.Group):
    """Commands whose mistakes end in one plain message and an exit code, never in a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except UserError as error:
            for problem in error.problems:
                _complain(str(problem))
            ctx.exit(MISTAKE)
        except ToolError as error:
            _complain(str(error))
            ctx.exit(FAILED)
        except BrokenPipeError:
            raise  # whoever reads our output has seen enough: click ends in silence
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            remedy = "free some space" if error.errno in FULL else "check place and permissions"
            _complain(f"{place}{error.strerror or error}; {remedy}")
            ctx.exit(MISTAKE)
        except KeyboardInterrupt:
            warnings.simplefilter("ignore")  # Amaranth's, about hardware that was not finished
            notes.print(STOPPED)
            ctx.exit(INTERRUPTED)


def _complain(text: str) -> None:
    notes.print(f"[bold red]error:[/] {show.plain(text)}", soft_wrap=True)


def _progress(*columns, **options) -> Progress:
    return Progress(*columns, console=notes, disable=not notes.is_terminal, **options)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, and the time since the start; only on a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with _progress(*columns, TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("starting")
        yield lambda what: progress.update(task, description=what)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """One bar for each thing that is being done, with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with _progress(*columns, TimeRemainingColumn(elapsed_when_finished=True)) as progress:
        tasks: dict[str, int] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield tell
