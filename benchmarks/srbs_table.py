"""``srbs.json`` as a page and a plot for people."""

import io
from collections.abc import Mapping

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from hwgen.report.plots import STYLE

__all__ = ["markdown", "plot", "speed_up"]

#: Name of each engine, and its colour.
NAMES = {"srbs-f2": ("SRBS F2", "#44759e"), "srbs-direct": ("SRBS direct", "#8a7a1f")}

#: What is aimed at, by network: of dense F2 over SRBS F2.
BARS = {"vgg16": 5.0, "resnet18": 3.8}


def speed_up(row: Mapping) -> float | None:
    """Multipliers times cycles of dense F2 over those of ``row``."""
    if row["dense_cycles"] is None:
        return None
    dense = row["dense_cycles"] * row["dense_multipliers"]
    return dense / (row["simulated_cycles"] * row["multipliers"])


def markdown(found: Mapping) -> str:
    """Tables of what was measured."""
    machine, tools = found["machine"], found["tools"]
    lines = [
        "# Sub-row-balanced sparsity",
        "",
        f"Written by `{found['command']}` from `srbs.json`, which it also wrote, with Verilator "
        f"{tools['verilator']} on {machine['processor']}.",
        "",
        *_layers(found.get("layers", ())),
        *_networks(found.get("networks", {})),
        "What the pattern costs in accuracy: [srbs_accuracy.md](srbs_accuracy.md).",
    ]
    return "\n".join(lines).rstrip() + "\n"


def _layers(rows) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Layers",
        "",
        "Random 8-bit weights, of which every sub-row of S input channels keeps n. *Ideal* are the "
        "products of a frame, edge tiles whole, over the multipliers; cycles are those between "
        "frames, simulated; areas are estimates for UltraScale+. *Speed-up*: multipliers times "
        "cycles of the dense F2 array (`winograd.json`, native) over those of the row. *Per DSP*: "
        "operations of the dense layer for each DSP block and cycle, two tiles to a block where "
        "they fit, with 7-bit activations and 6-bit weights.",
        "",
        "| layer | engine | C x K, map | S, n | multipliers | ideal | simulated | over ideal | "
        "speed-up | per DSP | exact | LUT | FF | DSP | BRAM |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        shape = f"{row['in_channels']} x {row['out_channels']}, {row['height']} x {row['width']}"
        gain = speed_up(row)
        cells = [
            f"{row['network']} {row['layer']}",
            NAMES[row["engine"]][0],
            shape,
            f"{row['S']}, {row['n']}",
            *(f"{row[key]:,}" for key in ("multipliers", "ideal_cycles", "simulated_cycles")),
            f"{row['simulated_cycles'] / row['ideal_cycles']:.3f}",
            f"{gain:.2f}" if gain else "",
            f"{row['operations_per_dsp_and_cycle']:.1f}",
            "yes" if row["bit_exact"] else "**no**",
            *(f"{row[key]:,}" for key in ("lut", "ff", "dsp", "bram")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    best = [layer for layer, some in _by_layer(rows).items() if _direct_wins(some)]
    return [
        *lines,
        "",
        "Direct convolution needs 2.25 times the products, but two of its 8-bit products share a "
        "DSP block, and all of them do at 7 and 6 bits. Where it gives more operations per DSP "
        f"block and cycle than F2: {', '.join(map(' '.join, best)) or 'nowhere'}.",
        "",
        "![Speed-up over the dense array](srbs.svg)",
        "",
    ]


def _by_layer(rows) -> dict[tuple[str, str], dict[str, Mapping]]:
    found: dict[tuple[str, str], dict[str, Mapping]] = {}
    for row in rows:
        found.setdefault((row["network"], row["layer"]), {})[row["engine"]] = row
    return found


def _direct_wins(some: Mapping[str, Mapping]) -> bool:
    rates = [some[name]["operations_per_dsp_and_cycle"] for name in NAMES if name in some]
    return len(rates) == 2 and rates[1] > rates[0]


def _networks(networks: Mapping) -> list[str]:
    if not networks:
        return []
    lines = ["## Whole networks", "", "| network | | |", "|---|---|--:|"]
    for name, some in networks.items():
        lines += [f"| {name} | {key.replace('_', ' ')} | {value} |" for key, value in some.items()]
    return [*lines, ""]


def plot(found: Mapping) -> str:
    """Speed-ups of each layer, as SVG text."""
    given = _by_layer(found.get("layers", ()))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for k, (engine, (name, colour)) in enumerate(NAMES.items()):
            gains = [speed_up(some[engine]) if engine in some else None for some in given.values()]
            places = [x for x, gain in enumerate(gains) if gain]
            left = [x + (k - 0.5) * 0.36 for x in places]
            axes.bar(left, [g for g in gains if g], 0.34, color=colour, label=name)
        for x, (network, _) in enumerate(given):
            axes.hlines(BARS[network], x - 0.45, x + 0.45, color="#882255", linewidth=1)
        axes.axhline(1, color="#5b5b5b", linewidth=1)
        axes.set_ylabel("speed-up over dense F2\nat equal multipliers")
        axes.set_xticks(range(len(given)), ["\n".join(layer) for layer in given], fontsize=7)
        axes.legend(ncols=2, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
