"""What the benchmarks that go on where they stopped share."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.machine import machine, versions
from hwgen.errors import UserError

__all__ = ["keep", "run"]


def run(main: Callable[[], None]) -> None:
    """``main``, whose mistakes and interrupts end in a line."""
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


def keep(
    result: Path,
    command: str,
    markdown: Callable[[Mapping], str],
    plot: Callable[[Mapping], str],
    parts: Mapping,
) -> None:
    """Write ``parts`` beside what else the file ``result`` holds, and from all of it the table and
    the plot."""
    found = json.loads(result.read_text()) if result.exists() else {}
    found |= {"command": command, "machine": machine(), "tools": versions(), **parts}
    result.write_text(json.dumps(found, indent=1) + "\n")
    result.with_suffix(".md").write_text(markdown(found))
    result.with_suffix(".svg").write_text(plot(found))
