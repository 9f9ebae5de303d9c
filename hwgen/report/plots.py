"""Plots of a plan, as SVG text to be put into a page."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hwgen.board import Board
from hwgen.plan import Plan
from hwgen.plan.pipeline import Stage

__all__ = ["area", "colours", "intervals", "label"]

#: Resources in the order in which they are drawn, as people write them.
RESOURCES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "BRAM"}

#: Colours of stages, dark enough for white text and apart for the colour-blind (Paul Tol, muted).
COLOURS = (
    "#332288",
    "#117733",
    "#882255",
    "#44759e",
    "#8a7a1f",
    "#aa4455",
    "#2f8577",
    "#764a91",
    "#5b5b5b",
)
PLUMBING, INK, FAINT = "#9a9a9a", "#222222", "#d8d8d8"

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, and in the page's own font
    "svg.hashsalt": "hwgen",  # the same bytes for the same plot
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a layer may be called $x$
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
}


def label(stage: Stage) -> str:
    """The layer's own name, or that of the plumbing."""
    return stage.node or stage.name


def colours(stages: Sequence[Stage]) -> list[str]:
    """One colour for each stage; engines differ, plumbing is grey."""
    taken = 0
    result = []
    for stage in stages:
        result.append(COLOURS[taken % len(COLOURS)] if stage.node else PLUMBING)
        taken += stage.node is not None
    return result


def intervals(plan: Plan) -> str:
    """Cycles that each engine works in a frame, against the interval of the whole: how busy each
    one is, and which one is the bottleneck."""
    stages = plan.stages
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 0.5 + 0.27 * len(stages)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(
            range(len(stages)), [s.interval for s in stages], color=colours(stages), height=0.72
        )
        for stage, bar in zip(stages, bars, strict=True):
            share = stage.interval / plan.expected
            inside = share > 0.5
            axes.annotate(
                f"{stage.interval:,}  ({100 * share:.0f} %)",
                (bar.get_width(), bar.get_y() + bar.get_height() / 2),
                (-4 if inside else 4, 0),
                textcoords="offset points",
                ha="right" if inside else "left",
                va="center",
                color="white" if inside else INK,
            )
        axes.axvline(plan.expected, color=INK, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(stages)), [label(s) for s in stages])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.02 * max(plan.expected, *(s.interval for s in stages)))
        axes.set_xlabel(f"cycles a frame; dashed: one frame every {plan.expected:,.0f} cycles")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.tick_params(axis="y", length=0)
        return _svg(figure)


def area(plan: Plan, board: Board) -> str:
    """Estimated area, stage upon stage, as share of what ``board`` has of each resource."""
    stages = plan.stages
    names = [name for name in RESOURCES if getattr(board, name)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 0.9 + 0.42 * len(names)), layout="constrained")
        axes = figure.subplots()
        left = [0.0] * len(names)
        for stage, colour in zip(stages, colours(stages), strict=True):
            shares = [100 * getattr(stage.area, name) / getattr(board, name) for name in names]
            axes.barh(
                range(len(names)),
                shares,
                left=left,
                color=colour,
                height=0.66,
                edgecolor="white",
                linewidth=0.5,
            )
            for row, share in enumerate(shares):
                if share > 0.9 * len(label(stage)) + 2:  # wide enough for its name
                    axes.text(
                        left[row] + share / 2,
                        row,
                        label(stage),
                        color="white",
                        ha="center",
                        va="center",
                        fontsize=8,
                    )
            left = [a + b for a, b in zip(left, shares, strict=True)]
        for row, total in enumerate(left):
            axes.annotate(
                f"{total:.1f} %",
                (total, row),
                (4, 0),
                textcoords="offset points",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axes.axvline(100, color=INK, linestyle="--", linewidth=1)
        labels = [
            f"{RESOURCES[n]}  {getattr(plan.area, n):,} of {getattr(board, n):,}" for n in names
        ]
        axes.set_yticks(range(len(names)), labels)
        axes.invert_yaxis()
        axes.set_xlim(0, max(112, 1.1 * max(left)))
        axes.set_xlabel("% of the board")
        axes.set_axisbelow(True)
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """The ``<svg>`` element alone, without the prologue that a file of its own would need."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(text, metadata=nothing)
    found = text.getvalue()
    return found[found.index("<svg") :]
