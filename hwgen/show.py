"""Reports for people: tables on the terminal."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hwgen.board import Board
from hwgen.cost.energy import joules
from hwgen.cost.families import FAMILIES

__all__ = ["boards", "built", "estimated", "plain", "simulated", "tools"]

out = Console(highlight=False)
if not out.is_terminal and "COLUMNS" not in os.environ:
    out.width = 120  # a file or a pipe has no width of its own, and names should stay whole

RESOURCES = ("lut", "ff", "dsp", "bram")


def plain(text: str) -> str:
    """``text`` with nothing in it taken for markup."""
    return escape(text)


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose first column is text and whose others are numbers."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for n, column in enumerate(columns):
        made.add_column(column, justify="right" if n else "left", overflow="fold")
    return made


def built(report: dict, folder: Path) -> None:
    """After ``hwgen build``."""
    _summary(report)
    out.print(f"\nwritten to [bold]{plain(str(folder))}[/]; next: hwgen sim {plain(str(folder))}")


def simulated(result, folder: Path) -> None:
    """After ``hwgen sim``."""
    for what, run in (("no stalls", result.free), ("random stalls", result.stalled)):
        good = "green" if run.bit_exact else "bold red"
        out.print(f"[{good}]{plain(what)}: {plain(str(run))}[/]")
    cycles, data = result.report["cycles"], result.report.get("data")
    for name in ("interval", "latency"):
        pair = cycles[name]
        seen = "not seen" if pair["simulated"] is None else f"{pair['simulated']:,} simulated"
        text = f"{name}: {seen}, {pair['estimated']:,} cycles estimated"
        if data and name == "interval":
            text += f" on average over {data['frames']} frames, {data['interval_worst']:,} at worst"
        out.print(text + (" at worst" if data and name == "latency" else ""))
    if result.free.bit_exact:
        verdict = "in the cycle foretold" if result.cycles_exact else "NOT in the cycle foretold"
        count = result.free.frames
        out.print(f"{'the frame' if count == 1 else f'all {count} frames'} ended {verdict}")


def estimated(report: dict) -> None:
    """After ``hwgen estimate``."""
    made = table("layer", "engine", "interval", "latency", "mult.", "LUT", "FF", "DSP", "BRAM")
    for row in report["layers"]:
        numbers = [row[key] for key in ("interval", "latency", "multipliers", *RESOURCES)]
        made.add_row(
            plain(row["layer"] or row["name"]),
            row["engine"],
            *(f"{number:,}" for number in numbers),
        )
    out.print(made)
    out.print()
    _summary(report)


def _summary(report: dict) -> None:
    throughput, cycles, data = report["throughput"], report["cycles"], report.get("data")
    out.print(f"[bold]{plain(report['design'])}[/] on {plain(report['board_title'])}")
    if report.get("quantised_by"):
        out.print(f"quantised    already, by {report['quantised_by']}: scales and bits are kept")
    for text in report.get("warnings", ()):
        out.print(f"[bold yellow]warning[/]      {plain(text)}", soft_wrap=True)
    accuracy = report["accuracy"]
    if accuracy["float"] is not None:
        out.print(
            f"accuracy     {accuracy['integer']:.2f} % as integers, {accuracy['float']:.2f} % in "
            f"float, on {accuracy['images']:,} images"
        )
    elif accuracy.get("agreement") is not None:
        out.print(
            f"agreement    {accuracy['agreement']:.2f} % of {accuracy['images']:,} images, "
            "for which integers and floats choose the same"
        )
    worst = " at worst" if data else ""
    out.print(
        f"throughput   {throughput['frames_per_second']:,.0f} frames/s at "
        f"{throughput['clock_mhz']:g} MHz ({throughput['clock_source']})"
        + (", on average" if data else "")
    )
    out.print(
        f"cycles       {cycles['interval']['estimated']:,} between frames"
        + (f" on average over {data['frames']} of them" if data else "")
        + f", {cycles['latency']['estimated']:,} from first input to last output{worst}"
    )
    if data:
        out.print(
            f"             {data['interval_most']:,} between frames at most among those, "
            f"{data['interval_worst']:,} at worst"
        )
    if report.get("rounded"):
        out.print(f"rounded      {plain(report['rounded'])}")
    multipliers = report["multipliers"]
    out.print(
        f"multipliers  {multipliers['mac']:,} for multiply-adds, "
        f"{100 * report['utilisation']['multipliers']:.1f} % busy; "
        f"{multipliers['requantise']} more requantise"
    )
    if energy := report.get("energy"):
        out.print(
            f"energy       {joules(energy['picojoules'])} a frame, within a factor of "
            f"{energy['within_factor']:g}: counts of the schedule by a table of 2014"
        )
    fifos = ", ".join(f"{name} {depth}" for name, depth in report["fifos"].items())
    out.print(f"FIFOs        {fifos or 'none needed'}\n")
    _area(report["area"])
    out.print("fits" if report["fits"] else "[bold red]does not fit[/]")


def _area(area: dict) -> None:
    measured = area["synthesized"]
    columns = ["resource", "estimated", "of", "share"]
    if measured["lut"] is not None:
        columns += ["synthesised", "error"]
    made = table(*columns)
    for name in RESOURCES:
        used, there = area["estimated"][name], area["available"][name]
        share = f"{100 * used / there:.1f} %" if there else "-"
        error = area.get("expected_error", {}).get(name)
        spread = f" ± {100 * error:.0f} %" if error else ""
        row = [name.upper(), f"{used:,}{spread}", f"{there:,}", share]
        if measured["lut"] is not None:
            real = measured[name]
            row += [f"{real:,}", f"{100 * (used - real) / real:+.1f} %" if real else "-"]
        made.add_row(*row)
    out.print(made)
    if more := area.get("register_file"):
        out.print(f"its register file, beside it, takes {more['lut']:,} LUT and {more['ff']:,} FF")


def boards(known: Sequence[Board]) -> None:
    """After ``hwgen boards``."""
    made = table("board", "LUT", "FF", "DSP", "block RAM", "clock")
    made.add_column("family")
    made.add_column("device", no_wrap=True)
    for board in known:
        family = FAMILIES[board.family]
        made.add_row(
            board.name,
            *(f"{getattr(board, name):,}" for name in ("lut", "ff", "dsp")),
            f"{board.bram:,} x {family.block_kbit:2}k",
            f"{board.clock_mhz:g} MHz",
            family.title,
            plain(board.device),
        )
    out.print(made)
    out.print(
        "\nLUTs of a generic ASIC are gates, DSP blocks of Gowin are 9 x 9 multipliers.\n"
        "Clocks are assumed until a design has been routed; every number has its source in boards/."
    )
    for board in known:
        for text in board.left_out:
            out.print(f"{board.name} leaves out {plain(text)}", style="dim", soft_wrap=True)


def tools(rows: Sequence) -> None:
    """After ``hwgen doctor``."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("tool", "for", "state", "version", "where"):
        made.add_column(column, overflow="fold")
    for row in rows:
        colour = "green" if row.state == "ok" else "yellow" if row.optional else "bold red"
        state = f"[{colour}]{row.state}[/]"
        made.add_row(row.tool, row.purpose, state, plain(row.version), plain(row.where))
    out.print(made)
    for row in rows:
        if row.remedy:
            out.print(f"{row.tool}: {plain(row.remedy)}", soft_wrap=True)
