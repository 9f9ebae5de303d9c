"""``winograd.json`` as a page and a plot for people."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.command import made_on
from hwgen.report.plots import STYLE

__all__ = ["markdown", "plot", "speed_ups"]

#: Name of each way of computing a layer, and its colour.
NAMES = {
    ("direct", "lossless"): ("direct", "#5b5b5b"),
    ("winograd-f2", "lossless"): ("F2 lossless", "#332288"),
    ("winograd-f4", "lossless"): ("F4 lossless", "#117733"),
    ("winograd-f2", "native"): ("F2 native", "#44759e"),
    ("winograd-f4", "native"): ("F4 native", "#8a7a1f"),
}


def speed_ups(found: Mapping) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """By layer and name: how much faster than direct convolution at as many multipliers, and at as
    many DSP blocks, where products share these."""
    layers: dict[tuple[str, str], dict[str, Mapping]] = {}
    for row in found["layers"]:
        name = NAMES[row["engine"], row["mode"]][0]
        layers.setdefault((row["network"], row["layer"]), {})[name] = row
    return {
        layer: {
            name: tuple(
                some["direct"]["simulated_cycles"]
                * some["direct"][what]
                / (row["simulated_cycles"] * row[what])
                for what in ("multipliers", "dsp_packed")
            )
            for name, row in some.items()
        }
        for layer, some in layers.items()
        if "direct" in some
    }  # type: ignore[return-value]


def markdown(found: Mapping) -> str:
    """Tables of everything that was measured."""
    lines = [
        "# Winograd against direct convolution",
        "",
        f"Written by `{found['command']}` from `winograd.json`, which it also wrote, with "
        f"{made_on(found, 'layers', 'networks')}. 8 bits; each array is the "
        f"fastest of at most {found['budget']} multipliers. Cycles are those between frames, "
        "simulated; areas are estimates for UltraScale+, DSP blocks with one product each and "
        "where products share them.",
        "",
        "| layer | engine | C x K, map | multipliers | ideal cycles | simulated | exact | LUT | FF "
        "| DSP | packed | BRAM |",
        "|---|---|---|--:|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for row in found["layers"]:
        name = NAMES[row["engine"], row["mode"]][0]
        shape = f"{row['in_channels']} x {row['out_channels']}, {row['height']} x {row['width']}"
        numbers = [row[key] for key in ("multipliers", "ideal_cycles", "simulated_cycles")]
        areas = [row[key] for key in ("lut", "ff", "dsp", "dsp_packed", "bram")]
        cells = [f"{row['network']} {row['layer']}", name, shape, *(f"{n:,}" for n in numbers)]
        cells += ["yes" if row["bit_exact"] else "**no**", *(f"{n:,}" for n in areas)]
        lines.append("| " + " | ".join(cells) + " |")
    names = [name for name, _ in NAMES.values() if name != "direct"]
    lines += [
        "",
        "Speed-up over direct convolution, at as many multipliers / at as many DSP blocks:",
        "",
        "| layer | " + " | ".join(names) + " |",
        "|---|" + "--:|" * len(names),
    ]
    for layer, some in speed_ups(found).items():
        cells = [f"{some[n][0]:.2f} / {some[n][1]:.2f}" if n in some else "" for n in names]
        lines.append(f"| {' '.join(layer)} | " + " | ".join(cells) + " |")
    lost = [
        f"{' '.join(layer)} ({name})"
        for layer, some in speed_ups(found).items()
        for name in names
        if name in some and some[name][1] < 1
    ]
    lines += [
        "",
        "Two 8-bit products of direct convolution share a DSP block; most of lossless Winograd's "
        "are too wide for that. At as many DSP blocks, direct convolution is the faster for: "
        f"{', '.join(lost) or 'no layer'}.",
        "",
        "![Speed-up over direct convolution](winograd.svg)",
        *_networks(found.get("networks", ())),
    ]
    return "\n".join(lines) + "\n"


def _networks(rows: Sequence[Mapping]) -> list[str]:
    if not rows:
        return []
    lines = [
        "",
        "## Whole networks",
        "",
        "Winograd forced on every 3x3 convolution of stride 1, every layer's stream compared with "
        "direct convolution, in Verilator (`python -m benchmarks.winograd_networks`).",
        "",
        "| network | engine | layers that can, do | test images | cycles between | "
        "bit-exact | every frame on time |",
        "|---|---|--:|--:|--:|---|---|",
    ]
    for row in rows:
        name = NAMES[row["engine"], "lossless"][0]
        counts = f"{row['eligible']}, {row['by_winograd']}"
        right = ["yes" if row[key] else "**no**" for key in ("bit_exact", "cycles_exact")]
        cells = [f"`{row['network']}`", name, counts, str(row["frames"]), f"{row['interval']:,}"]
        lines.append("| " + " | ".join([*cells, *right]) + " |")
    return lines


def plot(found: Mapping) -> str:
    """Speed-ups of each layer, as SVG text."""
    given = speed_ups(found)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.5), layout="constrained")
        FigureCanvasSVG(figure)
        for n, what in enumerate(("multipliers", "DSP blocks")):
            axes = figure.add_subplot(2, 1, n + 1)
            ways = [way for way in NAMES.values() if way[0] != "direct"]
            for k, (name, colour) in enumerate(ways):
                places = [x for x, some in enumerate(given.values()) if name in some]
                heights = [some[name][n] for some in given.values() if name in some]
                left = [x + (k - 1.5) * 0.2 for x in places]
                axes.bar(left, heights, 0.18, color=colour, label=name)
            axes.axhline(1, color=NAMES["direct", "lossless"][1], linewidth=1)
            axes.set_ylabel(f"speed-up at equal {what}")
            labels = ["\n".join(layer) for layer in given]
            axes.set_xticks(range(len(labels)), labels, fontsize=7)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
