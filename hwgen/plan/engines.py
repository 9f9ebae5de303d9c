"""Which engine a layer is to have: names for them, and what the user asks for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial

from hwgen.board import Board
from hwgen.cost import Area
from hwgen.errors import Problem, refuse
from hwgen.network import Conv2d, Input, Network, Node, Op, WinogradConv2d, srbs
from hwgen.network.winograd import TILES, obstacle
from hwgen.plan.candidates import candidates
from hwgen.rtl_templates import ConvSpec, SparseSpec, WinogradSpec

__all__ = [
    "NAMES",
    "Engines",
    "allowed",
    "check",
    "check_names",
    "differences",
    "no_engine",
    "reason_for",
]

#: One engine for all layers that can have it, or a table by layer name; ``"default"`` is
#: for layers that it does not name.
Engines = str | Mapping[str, str]

WINOGRAD, SRBS = "winograd", "srbs"

#: What memories with contents can be made of.
STYLES = ("block", "distributed")

#: What may be asked for; ``winograd`` is either tile, ``srbs`` the array for sparse weights,
#: Winograd's or not.
NAMES = ("auto", "direct", WINOGRAD, *(f"{WINOGRAD}-f{tile}" for tile in TILES), SRBS)

#: What to do about an engine that a layer cannot have.
DENSE = "ask for direct; Winograd is for 3 x 3 kernels of stride 1, all in one group"
SPARSE = "prune its weights to sub-rows first, or ask for auto"


def engine_name(spec) -> str | None:
    """The name of an engine among those that a layer can choose from; None for others."""
    if isinstance(spec, SparseSpec):
        return SRBS
    if isinstance(spec, WinogradSpec):
        return f"{WINOGRAD}-f{spec.tile}"
    return "direct" if isinstance(spec, ConvSpec) else None


def allowed(engines: Engines, layer: str, op: Op, spec) -> bool:
    """Whether ``layer`` may have the engine ``spec``.

    What is asked for by ``"default"``, or for all layers, counts where it can be had.
    """
    wanted = _wanted(engines, layer)
    if wanted == "auto" or why_not(op, wanted):
        return True
    name = engine_name(spec) or "direct"
    return name == wanted or (wanted == WINOGRAD and name.startswith(WINOGRAD))


def why_not(op: Op, wanted: str) -> str | None:
    """Why ``op`` cannot have the engine ``wanted``; None if it can."""
    if wanted == SRBS:
        return srbs.obstacle(op)
    if isinstance(op, WinogradConv2d):
        mine = f"{WINOGRAD}-f{op.tile}"
        return None if wanted in ("auto", WINOGRAD, mine) else f"its weights are for {mine}"
    if not wanted.startswith(WINOGRAD):
        return None
    return obstacle(op) if isinstance(op, Conv2d) else "it is no convolution"


def reason_for(pick, some: Sequence, limit: int, engines: Engines, node: Node) -> str:
    """Why a layer has the kind of engine that it has; empty where there is no other."""
    mine = engine_name(pick.spec)
    wanted = _wanted(engines, node.name)
    if mine is None or not (isinstance(node.op, Conv2d) or why_not(node.op, SRBS) is None):
        return ""  # no other engine computes it
    if wanted != "auto":
        reason = why_not(node.op, wanted)
        if reason is None:
            return f"; {mine}, as asked"
        return f"; {mine}, though {wanted} was asked for: {reason}"
    others = []
    for kind in (name for name in NAMES if name != mine):
        rivals = [c for c in some if engine_name(c.spec) == kind]
        fast = [c for c in rivals if c.interval <= limit]
        if not rivals:
            continue
        if fast:
            rival = min(fast, key=lambda c: c.cost)
            others.append(f"{kind} would take {differences(pick.area, rival.area)}")
        else:
            others.append(f"{kind} takes {min(c.interval for c in rivals)} cycles at best")
    return f"; {mine}, as {' and '.join(others)}" if others else ""


def no_engine(node: Node, board: Board, engines: Engines) -> Problem:
    """Why no engine for a layer is left."""
    wanted = partial(allowed, engines, node.name, node.op)
    if candidates(node.op, replace(board, initialised=STYLES), wanted):
        fills = " and ".join(board.initialised) or "neither"
        return Problem(
            node.name,
            f"needs weights in block RAM or LUTs, of which a configuration of {board.name} fills "
            f"{fills}",
            "a board whose memories can be initialised",
        )
    if candidates(node.op, replace(board, initialised=STYLES)):
        return Problem(
            node.name,
            "the engine that is asked for has no folding for this layer",
            "ask for auto or direct",
        )
    shapes = " and ".join(str(kind.shape) for kind in node.op.inputs)
    return Problem(
        node.name,
        f"no engine has a folding for {type(node.op).__name__} from {shapes} to "
        f"{node.op.output.shape}",
        "other channels, or a map whose size is divided by the strides",
    )


def differences(mine: Area, other: Area) -> str:
    """What ``other`` takes more, or less."""
    names = ("dsp", "lut", "bram")
    counts = {name: getattr(other, name) - getattr(mine, name) for name in names}
    text = ", ".join(f"{count:+d} {name.upper()}" for name, count in counts.items() if count)
    return text or "as much"


def check_names(engines: Engines) -> None:
    """UserError, naming every engine that is unknown."""
    refuse(
        Problem(
            None if layer == "default" else layer,
            f"there is no engine {wanted!r}",
            f"use {', '.join(NAMES)}",
        )
        for layer, wanted in _table(engines).items()
        if wanted not in NAMES
    )


def check(engines: Engines, network: Network) -> None:
    """UserError, naming every name that is no layer and every layer that cannot have its engine."""
    check_names(engines)
    refuse(_problems(engines, network))


def _problems(engines: Engines, network: Network) -> Iterator[Problem]:
    layers = {node.name: node.op for node in network if not isinstance(node.op, Input)}
    for layer, wanted in _table(engines).items():
        if layer == "default":
            continue
        if layer not in layers:
            nearest = get_close_matches(layer, layers) or list(layers)[:5]
            text = f"an engine is asked for {layer!r}, which is no layer"
            yield Problem(None, text, f"nearest are {', '.join(nearest)}")
            continue
        reason = why_not(layers[layer], wanted)
        if reason:
            remedy = SPARSE if wanted == SRBS else DENSE
            yield Problem(layer, f"{wanted} cannot compute it: {reason}", remedy)


def _table(engines: Engines) -> Mapping[str, str]:
    return {"default": engines} if isinstance(engines, str) else engines


def _wanted(engines: Engines, layer: str) -> str:
    table = _table(engines)
    return table.get(layer, table.get("default", "auto"))
