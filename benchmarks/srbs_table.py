"""``srbs.json`` as a page and a plot for people."""

import io
from collections.abc import Callable, Mapping

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.command import made_on
from hwgen.report.plots import STYLE

__all__ = ["markdown", "plot", "speed_up"]

#: Name of each engine, and its colour.
NAMES = {"srbs-f2": ("SRBS F2", "#44759e"), "srbs-direct": ("SRBS direct", "#8a7a1f")}

#: Operations of a DSP block, by bits.
RATES = "operations_per_dsp_and_cycle_8x8", "operations_per_dsp_and_cycle_7x6"

#: What is aimed at, by network: of dense F2 over SRBS F2.
BARS = {"vgg16": 5.0, "resnet18": 3.8}


#: The same of whole networks.
WHOLE = {"vgg16": 4.5, "resnet18": 2.6}


#: Block RAMs of the Alveo U250.
BLOCK_RAMS = 5376


def speed_up(row: Mapping) -> float:
    """Multipliers times cycles of dense F2 over those of ``row``."""
    dense = row["dense_cycles"] * row["dense_multipliers"]
    return dense / (row["simulated_cycles"] * row["multipliers"])


def markdown(found: Mapping) -> str:
    """Tables of what was measured."""
    lines = [
        "# Sub-row-balanced sparsity",
        "",
        f"Written by `{found['command']}` from `srbs.json`, which it also wrote, with "
        f"{made_on(found, 'layers', 'networks')}.",
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
        "they fit, at 8 bits, and with 7-bit activations and 6-bit weights. "
        "*µJ*: energy of a frame, here and in the dense F2 array, estimated to within a factor of "
        "three.",
        "",
        "| layer | engine | C x K, map | S, n | multipliers | ideal | simulated | over ideal | "
        "speed-up | per DSP | µJ, dense µJ | exact | LUT | FF | DSP | BRAM |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        shape = f"{row['in_channels']} x {row['out_channels']}, {row['height']} x {row['width']}"
        cells = [
            f"{row['network']} {row['layer']}",
            NAMES[row["engine"]][0],
            shape,
            f"{row['S']}, {row['n']}",
            *(f"{row[key]:,}" for key in ("multipliers", "ideal_cycles", "simulated_cycles")),
            f"{row['simulated_cycles'] / row['ideal_cycles']:.3f}",
            f"{speed_up(row):.2f}{'' if row['dense_simulated'] else '*'}",
            " / ".join(f"{row[key]:.1f}" for key in RATES),
            f"{row['energy_uj']:.0f}, {row['dense_energy_uj']:.0f}",
            "yes" if row["bit_exact"] else "**no**",
            *(f"{row[key]:,}" for key in ("lut", "ff", "dsp", "bram")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if not all(row["dense_simulated"] for row in rows):
        lines += ["", "\\* The dense cycles of this layer are foretold, not yet simulated."]
    lines.append("")
    best = [layer for layer, some in _by_layer(rows).items() if _direct_wins(some)]
    return [
        *lines,
        *_mean(rows),
        "Direct convolution needs 2.25 times the products, but two of its 8-bit products share a "
        "DSP block, which those of F2 do only from 7 and 6 bits on. Where it gives more operations "
        f"per DSP block and cycle at 8 bits: {', '.join(map(' '.join, best)) or 'nowhere'}.",
        "",
        "![Speed-up over the dense array](srbs.svg)",
        "",
    ]


def _mean(rows) -> list[str]:
    """Speed-ups of whole networks' layers, each layer counted once."""
    lines = []
    for network, bar in BARS.items():
        for engine, (name, _) in NAMES.items():
            some = [r for r in rows if (r["network"], r["engine"]) == (network, engine)]
            if some:
                dense = sum(r["dense_cycles"] * r["dense_multipliers"] for r in some)
                sparse = sum(r["simulated_cycles"] * r["multipliers"] for r in some)
                least = min(map(speed_up, some))
                lines.append(
                    f"- {network}, {name}: {dense / sparse:.2f} over all layers, {least:.2f} at "
                    f"least; aimed at for F2: {bar}."
                )
    return ["Speed-ups over dense F2 at equal multipliers:", "", *lines, ""]


def _by_layer(rows) -> dict[tuple[str, str], dict[str, Mapping]]:
    found: dict[tuple[str, str], dict[str, Mapping]] = {}
    for row in rows:
        found.setdefault((row["network"], row["layer"]), {})[row["engine"]] = row
    return found


def _direct_wins(some: Mapping[str, Mapping]) -> bool:
    rates = [some[name][RATES[0]] for name in NAMES if name in some]
    return len(rates) == 2 and rates[1] > rates[0]


def _networks(networks: Mapping) -> list[str]:
    done = {name: some for name, some in networks.items() if "interval_planned" in some}
    if not done:
        return []
    lines = [
        "## Whole networks",
        "",
        "All layers, with random 8-bit weights; those of 64 input channels or more keep n of each "
        "S, 3 x 3 ones of stride 1 in Winograd's domain. Planned for the Alveo U250 at its "
        "assumed clock, weights in block RAM, emitted, and simulated as one accelerator, every "
        "layer's stream compared with the golden model. Dense pipelines, by F2 where they can be "
        "and direct, are planned only: their cycles are foretold, and block RAM for their weights, "
        "of which the board has too little, is assumed. *Speed-up*: multipliers times cycles of "
        "the dense pipeline over those of the sparse one.",
        "",
        "| | " + " | ".join(done) + " |",
        "|---|" + "--:|" * len(done),
    ]

    def row(what: str, text: Callable[[Mapping], str]) -> None:
        lines.append(f"| {what} | " + " | ".join(text(some) for some in done.values()) + " |")

    def number(key: str) -> Callable[[Mapping], str]:
        return lambda some: f"{some[key]:,}" if key in some else "not yet"

    def share(key: str) -> Callable[[Mapping], str]:
        return lambda some: f"{100 * some[key]:.1f} %" if key in some else "not yet"

    row("S, n", lambda some: f"{some['S']}, {some['n']}")
    row("multipliers", number("multipliers"))
    row("of their cycles with a product", share("utilisation"))
    row("cycles a frame, planned", number("interval_planned"))
    row("simulated", number("interval_simulated"))
    row("bit-exact", lambda some: {True: "yes", False: "**no**"}.get(some.get("bit_exact"), "-"))
    for resource in ("lut", "ff", "dsp", "bram"):
        row(resource.upper(), lambda some, resource=resource: f"{some['area'][resource]:,}")
    for way, name in (("winograd", "F2"), ("direct", "direct")):
        pair = (f"dense_{way}_{key}" for key in ("multipliers", "interval"))
        row(f"dense {name}: multipliers x cycles", _product(*pair))
        row("of their cycles with a product", share(f"dense_{way}_utilisation"))
        row(f"its block RAM, of {BLOCK_RAMS:,}", number(f"dense_{way}_bram"))
        row(f"speed-up over dense {name}", number(f"speedup_over_dense_{way}"))
    lines.append(
        "| aimed at over dense F2 | " + " | ".join(str(WHOLE[name]) for name in done) + " |"
    )
    for step in ("plan", "emit", "build", "simulate"):
        row(f"seconds to {step}", number(f"seconds_{step}"))
    row("frames simulated", number("frames"))
    row("GB at most", number("peak_memory_gb"))
    return [*lines, ""]


def _product(*keys: str) -> Callable[[Mapping], str]:
    return lambda some: " x ".join(f"{some[key]:,}" if key in some else "not yet" for key in keys)


def plot(found: Mapping) -> str:
    """Speed-ups of each layer, as SVG text."""
    given = _by_layer(found.get("layers", ()))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for k, (engine, (name, colour)) in enumerate(NAMES.items()):
            places = [x for x, some in enumerate(given.values()) if engine in some]
            gains = [speed_up(some[engine]) for some in given.values() if engine in some]
            left = [x + (k - 0.5) * 0.36 for x in places]
            axes.bar(left, gains, 0.34, color=colour, label=name)
        for x, (network, _) in enumerate(given):
            axes.hlines(BARS[network], x - 0.45, x + 0.45, color="#882255", linewidth=1)
        axes.axhline(1, color="#5b5b5b", linewidth=1)
        axes.set_ylabel("speed-up over dense F2\nat equal multipliers")
        axes.set_xticks(range(len(given)), ["\n".join(layer) for layer in given], fontsize=7)
        axes.legend(ncols=2, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
