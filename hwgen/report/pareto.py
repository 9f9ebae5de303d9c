"""Pareto fronts of a sweep, and their plots: accuracy against what it costs."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from hwgen.board import Board
from hwgen.report.plots import FAINT, INK, STYLE

__all__ = ["AXES", "files", "front"]

#: What accuracy is weighed against: the column, whether more of it is better, and its name.
AXES = {
    "lut": ("lut_estimated", False, "LUT"),
    "dsp": ("dsp_estimated", False, "DSP"),
    "fps": ("frames_per_second", True, "frames/s"),
}

#: Points of accuracy below the best that a plot shows; what is worse would flatten the rest.
WINDOW = 8.0

#: Where the name of a point may stand: offsets, and how the text is aligned to them.
PLACES = [
    (7, 3, "bottom"),
    (8, 0, "center"),
    (7, -3, "top"),
    (-7, 3, "bottom"),
    (-8, 0, "center"),
    (-7, -3, "top"),
]

DPI = 160


def front(rows: Sequence[Mapping], axis: str) -> list[Mapping]:
    """Rows that no other beats in accuracy without being worse on ``axis`` (of ``AXES``), or the
    other way round; by rising accuracy.

    Rows with neither accuracy nor plan are on no front. Of equal ones all are.
    """
    column, more, _ = AXES[axis]
    known = [row for row in rows if row["accuracy"] is not None and row[column] is not None]

    def cost(row: Mapping) -> float:
        return -row[column] if more else row[column]

    def beaten(row: Mapping) -> bool:
        return any(
            other["accuracy"] >= row["accuracy"]
            and cost(other) <= cost(row)
            and (other["accuracy"] > row["accuracy"] or cost(other) < cost(row))
            for other in known
        )

    return sorted((row for row in known if not beaten(row)), key=lambda row: row["accuracy"])


def files(
    model: str,
    board: Board,
    rows: Sequence[Mapping],
    accuracy_float: float | None,
    fps: float | None,
) -> dict[str, bytes]:
    """``pareto-BOARD.svg`` and ``.png``; nothing when no row has both accuracy and plan.

    ``rows`` are those of one board, as in ``sweep.csv``.
    """
    if not any(row["accuracy"] is not None and row["fits"] for row in rows):
        return {}
    with matplotlib.rc_context(STYLE):
        figure = _figure(model, board, rows, accuracy_float, fps)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        svg, png = io.BytesIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(svg, metadata=nothing)
        figure.set_dpi(DPI)
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    name = f"pareto-{board.name}"
    return {f"{name}.svg": svg.getvalue(), f"{name}.png": png.getvalue()}


def _figure(
    model: str,
    board: Board,
    rows: Sequence[Mapping],
    accuracy_float: float | None,
    fps: float | None,
) -> Figure:
    known = [row for row in rows if row["accuracy"] is not None and row["fits"]]
    best = max(row["accuracy"] for row in known)
    shown = [row for row in known if row["accuracy"] >= best - WINDOW]
    low = min(row["accuracy"] for row in shown)
    high = max(best, accuracy_float or 0.0)
    margin = max(0.06 * (high - low), 0.05)
    bits = sorted({row["weights"] for row in shown})
    colours = _colours(bits)
    figure = Figure(figsize=(11.5, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, axis in zip(panels, AXES, strict=True):
        _panel(axes, axis, shown, rows, colours)
        if accuracy_float is not None:
            axes.axhline(accuracy_float, color=INK, linestyle=":", linewidth=1, zorder=0)
    panels[0].set_ylim(low - margin, high + 1.4 * margin)
    panels[0].set_ylabel("accuracy on the test set, %")
    asked = f"at least {fps:,g} frames/s" if fps else "as fast as fits"
    figure.suptitle(
        f"{model} on {board.name}: {asked} at {board.clock_mhz:g} MHz",
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
    )
    _legend(figure, bits, colours, accuracy_float)
    if left_out := _left_out(rows, known, shown):
        figure.supxlabel(left_out, x=0.01, ha="left", fontsize=8)
    figure.draw_without_rendering()  # the layout is final: names can be placed
    for axes, axis in zip(panels, AXES, strict=True):
        _names(axes, axis, shown, rows)
    return figure


def _left_out(rows: Sequence[Mapping], known: Sequence[Mapping], shown: Sequence[Mapping]) -> str:
    """What the plot does not show."""
    texts = []
    below = [row for row in known if not any(row is one for one in shown)]
    if below:
        ends = sorted(row["accuracy"] for row in below)
        spread = f"{ends[0]:.1f} to {ends[-1]:.1f} %" if len(below) > 1 else f"{ends[0]:.1f} %"
        texts.append(f"{_points(below)} of {spread} accuracy")
    if len(known) < len(rows):
        missing = [row for row in rows if not any(row is one for one in known)]
        texts.append(f"{_points(missing)} that would not fit or not be fast enough")
    return "not shown: " + " and ".join(texts) if texts else ""


def _points(rows: Sequence[Mapping]) -> str:
    return "1 point" if len(rows) == 1 else f"{len(rows)} points"


def _colours(bits: Sequence[int]) -> dict[int, Any]:
    shades = matplotlib.colormaps["viridis"]
    last = max(len(bits) - 1, 1)
    return {number: shades(0.92 * n / last) for n, number in enumerate(bits)}


def _front_of(axis: str, shown: Sequence[Mapping], rows: Sequence[Mapping]) -> list[Mapping]:
    """The front of all rows, as far as it is shown."""
    return [row for row in front(rows, axis) if any(row is one for one in shown)]


def _panel(
    axes: Axes,
    axis: str,
    shown: Sequence[Mapping],
    rows: Sequence[Mapping],
    colours: Mapping[int, Any],
) -> None:
    column, more, name = AXES[axis]
    best = _front_of(axis, shown, rows)
    for row in shown:
        on = any(row is one for one in best)
        axes.scatter(
            row[column],
            row["accuracy"],
            s=58 if on else 26,
            color=[colours[row["weights"]]],
            edgecolors=INK if on else "none",
            linewidths=1.2,
            alpha=1.0 if on else 0.6,
            zorder=3 if on else 2,
        )
    values, accuracies = [row[column] for row in best], [row["accuracy"] for row in best]
    style: Any = "steps-pre" if more else "steps-post"
    axes.plot(values, accuracies, drawstyle=style, color=INK, linewidth=0.9, zorder=1)
    _scale(axes, [row[column] for row in shown])
    axes.set_xlabel(f"{name}, {'more' if more else 'less'} is better")
    axes.set_axisbelow(True)
    axes.grid(color=FAINT, linewidth=0.6)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic if the values are far apart, and no wider than tells them apart if not."""
    low, high = min(values), max(values)
    if low > 0 and high / low > 4:
        axes.set_xscale("log")
        margin = (high / low) ** 0.2
        axes.set_xlim(low / margin, high * margin)
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        # Values that are nearly the same are to look so.
        span = max(high - low, 0.15 * high, 1)
        middle = (low + high) / 2
        axes.set_xlim(middle - 0.72 * span, middle + 0.72 * span)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _names(axes: Axes, axis: str, shown: Sequence[Mapping], rows: Sequence[Mapping]) -> None:
    """Name the points of a front, best first, wherever there is room; no name hides another."""
    column, more, _ = AXES[axis]
    points = axes.transData.transform([(row[column], row["accuracy"]) for row in shown])
    dots = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in points]
    frame = axes.get_window_extent()
    taken: list[Bbox] = []
    # Towards what no point reaches, if there is room.
    sides = PLACES if more else [(-x, y, side) for x, y, side in PLACES]
    for row in reversed(_front_of(axis, shown, rows)):
        for x, y, vertical in sides:
            text = axes.annotate(
                f"w{row['weights']}a{row['activations']}",
                (row[column], row["accuracy"]),
                (x, y),
                textcoords="offset points",
                ha="left" if x > 0 else "right" if x < 0 else "center",
                va=vertical,
                fontsize=8,
                color=INK,
            )
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and box.y1 <= frame.y1
            others = [*taken, *dots]
            if inside and box.y0 >= frame.y0 and not box.count_overlaps(others):
                taken.append(box)
                break
            text.remove()


def _legend(
    figure: Figure, bits: Sequence[int], colours: Mapping[int, Any], accuracy_float: float | None
) -> None:
    handles = [_dot(colours[number], f"{number}-bit weights") for number in bits]
    handles.append(_dot("white", "on the Pareto front", INK))
    if accuracy_float is not None:
        label = f"float, {accuracy_float:.2f} %"
        handles.append(Line2D([], [], color=INK, linestyle=":", linewidth=1, label=label))
    figure.legend(
        handles=handles, loc="outside right upper", frameon=False, fontsize=8, handletextpad=0.4
    )


def _dot(colour, label: str, edge: str = "none") -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker="o", color=colour, markeredgecolor=edge, label=label
    )
