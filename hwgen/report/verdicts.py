"""What was asked of a design, and the answers, for the tiles of its page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hwgen.cost.energy import SPREAD, joules
from hwgen.plan import Plan
from hwgen.report.plots import RESOURCES

__all__ = ["Verdict", "cycles_note", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """A tile: what was asked, the answer, and where the answer comes from.

    ``state`` is "good", "bad" or "open" (not yet measured, or nothing to judge).
    """

    title: str
    value: str
    source: str
    state: str = "open"


def verdicts(plan: Plan, report: Mapping) -> list[Verdict]:
    """A tile for each of them, whether measured yet or not."""
    throughput, accuracy = report["throughput"], report["accuracy"]
    multipliers = report["multipliers"]
    found = [
        _bit_exact(report),
        *(_cycles(report, key, title) for key, title in CYCLES.items()),
        Verdict(
            "Throughput",
            f"{throughput['frames_per_second']:,.0f} frames/s",
            f"at {throughput['clock_mhz']:g} MHz ({throughput['clock_source']})",
        ),
        Verdict(
            "Multipliers busy",
            f"{100 * report['utilisation']['multipliers']:.1f} %",
            f"of {multipliers['mac']:,} for multiply-adds; {multipliers['requantise']:,} more "
            "requantise",
        ),
    ]
    if accuracy["float"] is not None:
        found.append(
            Verdict(
                "Accuracy",
                f"{accuracy['integer']:.2f} %",
                f"as integers, on {accuracy['images']:,} images; {accuracy['float']:.2f} % in "
                "float",
            )
        )
    elif accuracy.get("agreement") is not None:
        found.append(
            Verdict(
                "Agreement",
                f"{accuracy['agreement']:.2f} %",
                f"of {accuracy['images']:,} images, for which integers and floats choose the same",
            )
        )
    found += [Verdict("Warning", "look here", text, "bad") for text in report.get("warnings", ())]
    found.append(_energy(plan))
    fits = plan.area.fits(plan.board)
    most = max(plan.area.share(plan.board).items(), key=lambda item: item[1])
    found.append(
        Verdict(
            "Board",
            "fits" if fits else "does not fit",
            f"by the estimate; {RESOURCES[most[0]]} is the scarcest, {100 * most[1]:.0f} % used",
            "good" if fits else "bad",
        )
    )
    return found


def _energy(plan: Plan) -> Verdict:
    parts = [f"{joules(pj)} {name}" for name, pj in asdict(plan.energy).items()]
    source = f"an estimate, within a factor of {SPREAD:g}, without leakage and pins: "
    return Verdict("Energy a frame", joules(plan.energy.total), source + ", ".join(parts))


def cycles_note(report: Mapping) -> str:
    """Whether the cycles foretold have been simulated, as the end of a sentence."""
    run = report["simulation"]
    if run is None:
        return "; not yet simulated"
    if run["every_frame_on_time"]:
        return "; in simulation every frame ended in the very cycle foretold"
    return "; in simulation frames ended in other cycles"


#: Numbers of cycles, by their names in a report.
CYCLES = {"interval": "Cycles between frames", "latency": "Cycles, first input to last output"}


def _bit_exact(report: Mapping) -> Verdict:
    title = "Bit-exact"
    if report["bit_exact"] is None:
        return Verdict(title, "not yet simulated", "hwgen sim compares every beat of every layer")
    run = report["simulation"] or {}
    source = f"Verilator, {report['frames']:,} frames, without stalls"
    if run.get("stall_rate"):
        source += f" and with {100 * run['stall_rate']:.0f} % random ones"
    if report["bit_exact"]:
        return Verdict(title, "yes", f"{source}: every layer's stream", "good")
    return Verdict(title, "NO", source, "bad")


def _cycles(report: Mapping, key: str, title: str) -> Verdict:
    pair, data = report["cycles"][key], report.get("data")
    foretold, simulated = pair["estimated"], pair["simulated"]
    if data:
        return _mean_cycles(report, foretold, simulated, title, data if key == "interval" else None)
    if simulated is None:
        return Verdict(title, f"{foretold:,}", "foretold; not yet simulated")
    if simulated == foretold:
        return Verdict(title, f"{simulated:,}", "simulated, and exactly as foretold", "good")
    return Verdict(title, f"{simulated:,}", f"simulated; {foretold:,} were foretold", "bad")


def _mean_cycles(
    report: Mapping, foretold: float, simulated: float | None, title: str, data: Mapping | None
) -> Verdict:
    """The same where data decides: a mean over ``data``, and the worst; a latency is the worst."""
    over = f"on average over {data['frames']} frames; " if data else ""
    worst = f"{over}{data['interval_worst'] if data else foretold:,} at worst"
    if simulated is None or not report["simulation"]:
        return Verdict(title, f"{foretold:,}", f"foretold, {worst}; not yet simulated")
    if report["simulation"]["every_frame_on_time"]:
        source = f"simulated, and exactly as foretold; {foretold:,} {worst}"
        return Verdict(title, f"{simulated:,}", source, "good")
    return Verdict(
        title, f"{simulated:,}", f"simulated, not as foretold; {foretold:,} {worst}", "bad"
    )
