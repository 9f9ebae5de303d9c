"""Draws what banks do in each cycle, for docs/srbs.md: ``python -m benchmarks.srbs_schedule``."""

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.srbs import pruned
from hwgen.network import TensorType, WinogradConv2d
from hwgen.network.srbs import SubRows
from hwgen.report.plots import COLOURS, STYLE
from hwgen.rtl_templates import SparseSpec

RESULT = Path("docs/benchmarks/srbs_schedule.svg")

#: Pattern, input and output channels, banks, and output lanes of what is drawn.
PATTERN, CHANNELS, BANKS, LANES = SubRows(8, 2), (32, 8), 2, 2


def drawn() -> SparseSpec:
    """A small array with random weights."""
    shape = (4, 4, CHANNELS[1], CHANNELS[0])
    weights = pruned(np.random.default_rng(4), shape, PATTERN, 4)
    zeros, bias = np.zeros((4, 4), np.int64), np.zeros(CHANNELS[1], np.int64)
    kind = TensorType((8, 8, CHANNELS[0]), 8, False)
    op = WinogradConv2d(kind, weights, bias, 4, 2, zeros, zeros, padding=(1, 1, 1, 1))
    return SparseSpec((op,), PATTERN, BANKS, LANES)


def picture(spec: SparseSpec) -> str:
    """SVG text: the places that each bank reads for tap (0, 0), step by step of a group of tiles,
    as the memory of weights has them."""
    places = next(iter(spec.weight_fields()))[0]
    folds, names = spec.in_folds * spec.slots, []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for lane in range(spec.out_lanes):
            for bank in range(spec.in_lanes):
                row = len(names)
                names.append(f"bank {bank}, output lane {lane}")
                for step, word in enumerate(places):
                    fold = step // folds
                    faint = 0.35 + 0.4 * (step % folds // spec.slots % 2)
                    colour = COLOURS[fold % len(COLOURS)]
                    axes.add_patch(Rectangle((step, row), 1, 1, color=colour, alpha=faint, lw=0))
                    place = word[lane * spec.in_lanes + bank]
                    axes.text(step + 0.5, row + 0.55, str(place), ha="center", va="center")
        for fold in range(spec.out_folds):
            outs = range(fold * spec.out_lanes, (fold + 1) * spec.out_lanes)
            text = f"output channels {outs[0]} and {outs[-1]}"
            axes.text((fold + 0.5) * folds, -0.3, text, ha="center", va="bottom")
        axes.set_xlim(0, len(places))
        axes.set_ylim(len(names), -0.05)
        axes.set_yticks([n + 0.5 for n in range(len(names))], names)
        axes.set_xticks(range(0, len(places) + 1, spec.slots))
        axes.set_xlabel("cycle")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


if __name__ == "__main__":
    RESULT.write_text(picture(drawn()))
    print(f"wrote {RESULT}")
