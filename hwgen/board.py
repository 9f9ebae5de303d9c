"""Boards are data: reads ``boards/*.toml``, or a file of the user's own.

A board file gives ``title``, ``family``, ``device`` and ``initialised``, and one table each for
``lut``, ``ff``, ``dsp`` and ``bram`` (``count`` and ``source``) and for ``clock`` (``mhz`` and
``source``); perhaps ``lutram``, likewise, and ``left_out``, a list of what hwgen does not use
there, and why.
``boards/ulx3s.toml`` is the example to copy.
"""

import difflib
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hwgen.errors import Problem, UserError

__all__ = ["FAMILIES", "Board", "board_names", "load_board"]

#: What ``cost`` and ``synth`` know: Lattice iCE40 and ECP5, Gowin LittleBee, AMD 7 series and
#: UltraScale+, generic gates.
FAMILIES = ("ice40", "ecp5", "gowin", "xc7", "xcup", "asic")

RESOURCES = ("lut", "ff", "dsp", "bram")
#: What a board file may leave out.
OPTIONAL = ("lutram",)


@dataclass(frozen=True)
class Board:
    """What a design may use.

    ``lut``, ``ff``, ``dsp``, ``bram``: in the units of the family, as ``cost.Area`` has them.
    ``initialised``: the memory styles that a bitstream can fill; the planner puts weights nowhere
    else. ``lutram``: cells of memory in LUTs, where these are fewer than the LUTs there are.
    ``clock_mhz`` is assumed until a design has been routed. ``sources`` says, by field, where
    numbers come from; ``left_out`` what there is besides and is never used, and why.
    """

    name: str
    title: str
    family: str
    device: str
    lut: int
    ff: int
    dsp: int
    bram: int
    clock_mhz: float
    initialised: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()
    lutram: int | None = None


def board_names() -> list[str]:
    """Names of the boards that come with hwgen, in alphabetical order."""
    return sorted(
        Path(file.name).stem
        for file in files("hwgen.boards").iterdir()
        if file.name.endswith(".toml")
    )


def load_board(name: str | Path) -> Board:
    """The board of this name, or the one that a ``.toml`` file of the user's describes.

    UserError names every field that is missing or wrong, or the nearest names of an unknown board.
    """
    if str(name).endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _error(f"{name} cannot be read: {error}", "give a board file in TOML") from None
        return _board(Path(name).stem, str(name), text)
    known = board_names()
    if str(name).lower() in known:
        name = str(name).lower()
    if name not in known:
        near = difflib.get_close_matches(str(name), known) or known
        raise _error(
            f"there is no board {str(name)!r}",
            f"did you mean {' or '.join(near)}? A board of your own: give the path of a .toml file",
        )
    text = files("hwgen.boards").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return _board(str(name), f"boards/{name}.toml", text)


def _error(reason: str, remedy: str) -> UserError:
    return UserError(Problem(None, reason, remedy))


def _board(name: str, place: str, text: str) -> Board:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _error(f"{place} is not TOML: {error}", "correct the file") from None
    problems: list[Problem] = []

    def bad(field: str, remedy: str) -> None:
        reason = f"{place}: {field} is {'wrong' if _has(tree, field) else 'missing'}"
        problems.append(Problem(None, reason, remedy))

    for field in ("title", "family", "device"):
        if not isinstance(tree.get(field), str):
            bad(field, "give a text")
    if isinstance(tree.get("family"), str) and tree["family"] not in FAMILIES:
        bad("family", f"one of {', '.join(FAMILIES)}")
    styles = tree.get("initialised")
    if not isinstance(styles, list) or any(s not in ("block", "distributed") for s in styles):
        bad("initialised", 'a list of "block" and "distributed"')
    others = tree.get("left_out", [])
    if not isinstance(others, list) or any(not isinstance(text, str) for text in others):
        bad("left_out", "a list of texts")
    counted = [*RESOURCES, *(field for field in OPTIONAL if field in tree)]
    for field in counted:
        count = _get(tree, field, "count")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            bad(f"{field}.count", "a whole number, 0 or more")
    mhz = _get(tree, "clock", "mhz")
    if not isinstance(mhz, int | float) or isinstance(mhz, bool) or not 0 < mhz < 1e5:
        bad("clock.mhz", "a number of MHz above 0")
    for field in (*counted, "clock"):
        if not isinstance(_get(tree, field, "source"), str):
            bad(f"{field}.source", "a text that says where the number comes from")
    allowed = {
        "title",
        "family",
        "device",
        "initialised",
        "left_out",
        "clock",
        *RESOURCES,
        *OPTIONAL,
    }
    for field in sorted(set(tree) - allowed):
        remedy = f"remove it; known fields are {', '.join(sorted(allowed))}"
        problems.append(Problem(None, f"{place}: {field} is unknown", remedy))
    if problems:
        raise UserError(*problems)
    counts = {field: tree[field]["count"] for field in counted}
    return Board(
        name=name,
        title=tree["title"],
        family=tree["family"],
        device=tree["device"],
        clock_mhz=float(tree["clock"]["mhz"]),
        initialised=tuple(tree["initialised"]),
        left_out=tuple(others),
        sources=tuple((field, tree[field]["source"]) for field in (*counted, "clock")),
        **counts,
    )


def _get(tree: dict, table: str, key: str):
    inner = tree.get(table)
    return inner.get(key) if isinstance(inner, dict) else None


def _has(tree: dict, field: str) -> bool:
    table, _, key = field.partition(".")
    return (_get(tree, table, key) if key else tree.get(table)) is not None
