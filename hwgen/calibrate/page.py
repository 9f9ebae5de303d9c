"""The comparison of estimates with Yosys, to look at: a table in Markdown, and a plot."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwgen.cost.families import FAMILIES
from hwgen.report.plots import FAINT, INK, STYLE

__all__ = ["markdown", "write_page"]

DPI = 130

#: The band of a plot: the error that nine of ten specs are to stay below.
BAND = 0.2

HEAD = """# Area: estimated and synthesised

Written into `area.json`, and from that into this page, lastly by `{command}`. Families
may have been measured one after the other: the command of each is in `hwgen/cost/constants.json`.
Yosys {yosys}.

The constants are fitted to some specs; table and plot are about others, drawn at random, which the
fit has not seen, and about whole reference networks. Half of the relative errors are below the
median, nine of ten below the 90th percentile. Counts of blocks are exact or wrong. Specs are of the
sizes that plans for real networks have, from some tens of LUTs up. Of the networks there are those
that fit the board and whose plans are not so large that synthesis takes more than minutes.

![estimated against synthesised LUTs]({plot})
"""


def write_page(stored: Mapping, file: Path) -> list[Path]:
    """``area.md`` and ``area.png`` beside ``file``, the ``area.json`` that holds ``stored``."""
    page, plot = file.with_suffix(".md"), file.with_suffix(".png")
    page.write_text(markdown(stored, plot.name))
    figure = _figure(stored["families"])
    FigureCanvasAgg(figure).print_png(plot, metadata={"Software": None})
    return [page, plot]


def markdown(stored: Mapping, plot: str) -> str:
    """The page: a table of families, and one of the specs that are furthest off."""
    versions = stored["versions"]
    text = HEAD.format(command=stored["command"], yosys=versions["yosys"], plot=plot)
    families = stored["families"]
    return text + "\n".join(["", *_overview(families), *_missing(families), "", *_worst(families)])


def _overview(families: Mapping) -> Iterator[str]:
    yield "| family | specs | LUT median | 90 % | FF median | 90 % | DSP wrong | BRAM wrong |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, found in families.items():
        errors = (
            f"{100 * found[f'{resource}_{kind}_error']:.1f} %"
            for resource in ("lut", "ff")
            for kind in ("median", "p90")
        )
        wrong = (str(found[f"{resource}_mismatches"]) for resource in ("dsp", "bram"))
        title = f"{FAMILIES[name].title} (`{name}`)"
        yield f"| {' | '.join((title, str(found['specs']), *errors, *wrong))} |"


def _missing(families: Mapping) -> Iterator[str]:
    """What is not in the table."""
    titles = [
        f"{shape.title} (`{name}`)" for name, shape in FAMILIES.items() if name not in families
    ]
    if titles:
        yield ""
        yield f"Not on record: {', '.join(titles)}. Their LUTs and flip-flops are estimated"
        yield "with constants of which it is not known how far off they are; no error is shown."


def _worst(families: Mapping, count: int = 3) -> Iterator[str]:
    yield "The furthest off, in LUTs:"
    yield ""
    yield "| family | spec | estimated | synthesised | error |"
    yield "|---|---|--:|--:|--:|"
    for name, found in families.items():
        for row in sorted(found["rows"], key=lambda row: -abs(_off(row)))[:count]:
            pair = (f"{row[side]['lut']:,}" for side in ("estimated", "synthesized"))
            yield f"| {name} | {row['spec']} | {' | '.join(pair)} | {100 * _off(row):+.1f} % |"
    yield ""


def _off(row: Mapping) -> float:
    return row["estimated"]["lut"] / max(1, row["synthesized"]["lut"]) - 1


def _figure(families: Mapping) -> Figure:
    """A panel for each family: estimated over synthesised LUTs, at the size of the design."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 2.6 * -(-len(families) // 3)), layout="constrained")
        grid = figure.subplots(-(-len(families) // 3), 3, squeeze=False, sharey=True)
        panels = list(grid.flat)
        for panel, (name, found) in zip(panels, families.items(), strict=False):
            sizes = [row["synthesized"]["lut"] for row in found["rows"]]
            panel.axhspan(-100 * BAND, 100 * BAND, color=FAINT, alpha=0.25, linewidth=0)
            panel.axhline(0, color=FAINT, linewidth=0.8)
            offs = [100 * _off(row) for row in found["rows"]]
            panel.scatter(sizes, offs, s=12, color=INK, linewidths=0)
            panel.set(xscale="log", ylim=(-45, 45), xlabel="gates" if name == "asic" else "LUTs")
            panel.set_title(FAMILIES[name].title, fontsize="medium", loc="left")
        for panel in panels[len(families) :]:
            panel.set_visible(False)
        figure.supylabel("estimate too high by, %", fontsize="medium")
    figure.set_dpi(DPI)
    return figure
