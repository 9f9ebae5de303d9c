"""What the benchmarks that go on where they stopped share."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.machine import stamp
from hwgen.errors import ToolError, UserError

__all__ = ["keep", "made_on", "measured_here", "run", "stamped"]


def run(main: Callable[[], None]) -> None:
    """``main``, whose mistakes and interrupts end in a line."""
    try:
        main()
    except (ToolError, UserError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


def keep(
    result: Path,
    command: str,
    pages: Mapping[str, Callable[[Mapping], str]],
    **parts,
) -> None:
    """Write ``parts`` beside what else the file ``result`` holds, and from all of it ``pages``,
    texts by the suffixes of their files.

    The machine and the tools at the top are those of the first part that was written. A row that
    was ``stamped`` names its own where they are others.
    """
    found = _read(result) | {"command": command}
    found |= {name: found.get(name, now) for name, now in stamp().items()} | parts
    result.write_text(json.dumps(found, indent=1) + "\n")
    for suffix, page in pages.items():
        result.with_suffix(suffix).write_text(page(found))


def stamped(result: Path, row: Mapping) -> dict:
    """A ``row`` that was measured just now, for ``result``: with the machine and the tools, unless
    they are those at the top of the file."""
    return {**row, **({} if measured_here(result, {}) else stamp())}


def measured_here(result: Path, row: Mapping) -> bool:
    """Whether ``row`` of the file ``result`` was measured on this machine, with these tools; yes
    where the file does not say, as then it has no rows yet."""
    told = {**_read(result), **row}
    return all(told.get(name, now) == now for name, now in stamp().items())


def made_on(found: Mapping, *parts: str) -> str:
    """Verilator and processor of the rows in ``parts`` of ``found``, each pair once."""
    rows: list[Mapping] = []
    for part in parts:
        some = found.get(part, ())
        rows += some.values() if isinstance(some, Mapping) else some
    named = ({**found, **row} for row in rows or [{}])
    pairs = (f"{one['tools']['verilator']} on {one['machine']['processor']}" for one in named)
    return "Verilator " + " and ".join(dict.fromkeys(pairs))


def _read(result: Path) -> dict:
    return json.loads(result.read_text()) if result.exists() else {}
