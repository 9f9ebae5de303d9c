"""``BUILD/report.html``: what a design is and what is known of it, on one page.

The page holds everything that it shows: it can be mailed, or opened without a network.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from hwgen.beats import Beats
from hwgen.cost.families import FAMILIES
from hwgen.network import Network, load_network
from hwgen.plan import Plan, plan_from_json
from hwgen.report import plots, record
from hwgen.report.verdicts import cycles_note, verdicts
from hwgen.rtl_templates import FifoSpec

__all__ = ["write_page"]

NAME = "report.html"

RESOURCES = plots.RESOURCES


def write_page(build: Path) -> Path:
    """Write ``report.html`` into build directory ``build``, from its plan and its report as it
    stands, and return its path. What was not measured yet is named as such.

    ValueError if ``build`` is no build directory.
    """
    build = Path(build)
    network = load_network(build)
    plan = plan_from_json((build / "plan.json").read_text(), network)
    report = record.read(build)
    page = build / NAME
    partial = build / f".{NAME}"
    partial.write_text(_render(network, plan, report), encoding="utf-8")
    os.replace(partial, page)
    return page


def _render(network: Network, plan: Plan, report: Mapping) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    entering, last = _ends(plan)
    return environment.get_template("page.html.jinja").render(
        design=report["design"],
        board=plan.board,
        facts=_facts(network, plan),
        verdicts=verdicts(plan, report),
        network_input=" + ".join(map(_map, entering.values())),
        network_output=" + ".join(map(_map, last.values())),
        boxes=_boxes(plan),
        last=_wire(plan.stages[-1].spec.outputs[0]),
        rows=_rows(plan),
        resources=RESOURCES.values(),
        built=sum(plan.multipliers(role) for role in ("mac", "requantise")),
        area=_area(plan, report),
        block_kbit=FAMILIES[plan.board.family].block_kbit,
        cycles_note=cycles_note(report),
        interval_plot=Markup(plots.intervals(plan)),
        area_plot=Markup(plots.area(plan, plan.board)),
        registers=plan.register_file,
        plan=plan,
    )


def _facts(network: Network, plan: Plan) -> list[tuple[str, str]]:
    """What the design is."""
    weights = [node.op.weights for node in network if hasattr(node.op, "weights")]
    ends = zip(("Input", "Output"), _ends(plan), strict=True)
    asked = f"{plan.fps_asked:,g} frames/s" if plan.fps_asked else "the fastest plan that fits"
    return [
        ("Layers", f"{sum(stage.node is not None for stage in plan.stages)} in hardware"),
        ("Weights", f"{sum(w.size for w in weights):,}"),
        ("Work", f"{plan.multiply_adds:,} multiply-adds a frame"),
        *((f"{what} {name}".rstrip(), _values(b)) for what, end in ends for name, b in end.items()),
        ("Asked for", asked),
        ("Device", plan.board.device),
    ]


def _ends(plan: Plan) -> tuple[dict[str, Beats], dict[str, Beats]]:
    """What enters and leaves, by name."""
    return plan.entries, {name: beats for name, (_, beats) in plan.exits.items()}


def _values(beats: Beats) -> str:
    kind = beats.type
    shape, sign = " × ".join(map(str, kind.shape)), "signed" if kind.signed else "unsigned"
    plural = "s" if beats.values > 1 else ""
    return f"{shape}, {kind.bits} bits {sign}, {_lanes(beats)} value{plural} a beat"


def _lanes(beats: Beats) -> str:
    return f"{beats.pixels} × {beats.lanes}" if beats.pixels > 1 else f"{beats.lanes}"


def _boxes(plan: Plan) -> list[dict]:
    """The stages as the stream meets them, each with what enters it."""
    made = []
    label = {stage.name: plots.label(stage) for stage in plan.stages}
    before = None
    for stage, colour in zip(plan.stages, plots.colours(plan.stages), strict=True):
        spec = stage.spec
        sources = [name for name, _ in stage.sources if name]
        comes = " and ".join(label[name] for name in sources)
        folding = []
        if isinstance(spec, FifoSpec):
            folding.append(f"{spec.depth:,} beats deep")
        elif hasattr(spec, "in_lanes"):
            folding.append(f"{spec.in_lanes} in × {spec.out_lanes} out lanes")
            for what in ("pixels", "tiles"):
                if getattr(spec, what, 1) > 1:
                    folding.append(f"× {getattr(spec, what)} {what}")
        elif len(spec.outputs) > 1:
            folding.append(f"{len(spec.outputs)} ways")
        elif stage.node is None:
            folding.append(f"{_lanes(spec.inputs[0])} → {_lanes(spec.outputs[0])} lanes")
        else:
            out = spec.outputs[0]
            folding.append(f"{_lanes(out)} lane{'s' if out.values > 1 else ''}")
        made.append(
            {
                "name": plots.label(stage),
                "engine": _engine(stage),
                "folding": " ".join(folding),
                # A branch: what comes is not what stands before.
                "comes": comes if sources and sources != [before] else None,
                **_wire(spec.inputs[0]),
                "colour": colour,
                "plumbing": stage.node is None,
                "bottleneck": stage.interval == max(s.interval for s in plan.stages),
            }
        )
        before = stage.name
    return made


def _wire(beats: Beats) -> dict[str, str]:
    return {"bits": f"{beats.width:,} bits", "beats": f"{beats.count:,} beats"}


def _map(beats: Beats) -> str:
    return "×".join(map(str, beats.type.shape))


def _engine(stage) -> str:
    return type(stage.spec).__name__.removesuffix("Spec")


def _rows(plan: Plan) -> list[dict]:
    """One row a stage."""
    slowest = max(stage.interval for stage in plan.stages)
    made = []
    for stage, colour in zip(plan.stages, plots.colours(plan.stages), strict=True):
        op = stage.spec.ops[0] if hasattr(stage.spec, "ops") else None
        macs = getattr(stage.spec, "multiplications", 0) or getattr(op, "macs", 0)
        built = getattr(stage.spec, "multipliers", 0)
        made.append(
            {
                "name": plots.label(stage),
                "engine": _engine(stage),
                "output": _map(stage.spec.outputs[0]),
                "interval": stage.interval,
                "share": stage.interval / plan.expected,
                "multipliers": built,
                "busy": macs / (built * plan.expected) if macs and built else None,
                "area": [getattr(stage.area, name) for name in RESOURCES],
                "reason": stage.reason,
                "bottleneck": stage.interval == slowest,
                "colour": colour,
                "plumbing": stage.node is None,
            }
        )
    return made


def _area(plan: Plan, report: Mapping) -> list[dict]:
    """One row a resource."""
    made = []
    for name, title in RESOURCES.items():
        used, there = report["area"]["estimated"][name], getattr(plan.board, name)
        real = report["area"]["synthesized"][name]
        made.append(
            {
                "title": title,
                "estimated": used,
                "spread": report["area"].get("expected_error", {}).get(name),
                "there": there,
                "share": used / there if there else None,
                "synthesised": real,
                "error": used / real - 1 if real else None,
            }
        )
    return made
