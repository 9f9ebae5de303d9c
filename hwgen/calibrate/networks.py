"""The reference networks, planned for a board: whole accelerators to compare estimates with."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from hwgen import flow, model, models
from hwgen.board import Board
from hwgen.calibrate.measure import Design
from hwgen.emit.rtl import TOP, rtl_files
from hwgen.errors import UserError
from hwgen.network import Network
from hwgen.plan import plan
from hwgen.primitives import Part

__all__ = ["networks"]

#: Frames a second that plans are made for: few, since a large accelerator is the same parts more
#: often, and takes synthesis the longer.
FPS = 30.0

#: LUTs of the largest plan that is synthesised, and gates: beyond, it takes more than minutes.
LARGEST, MOST_GATES = 20_000, 100_000


def networks(
    board: Board, names: Sequence[str] | None, progress: Callable[[int, int], None]
) -> Iterator[tuple[str, Design, list[Part]]]:
    """Name, design and parts of each reference network that ``board`` can hold, if small."""
    chosen = models.names() if names is None else names
    for done, name in enumerate(chosen):
        progress(done, len(chosen))
        try:
            planned = plan(_integers(name), board, FPS)
        except UserError:
            continue  # too large for the board, or too slow: nothing to compare
        if planned.area.lut > (MOST_GATES if board.family == "asic" else LARGEST):
            continue
        contents = rtl_files(planned)

        def write(folder: Path, contents=contents) -> None:
            for file, text in contents.items():
                (folder / file).write_text(text)

        key = json.dumps(contents, sort_keys=True)
        parts = [part for stage in planned.stages for part in stage.spec.primitives()]
        yield f"{name} on {board.name}", Design(board.family, TOP, key, write), parts
    progress(len(chosen), len(chosen))


@cache
def _integers(name: str) -> Network:
    found = replace(model.find(name), test=None)  # how accurate it is, is not asked here
    return flow.integers(found).network
