"""The commands: each turns its options into one call, and shows what came of it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from hwgen import show
from hwgen.board import FAMILIES
from hwgen.cli.group import FAILED, Group, bars, notes, status
from hwgen.cli.options import arguments, network_options, refuse_choices
from hwgen.sweep.options import sweep_options

__all__ = ["main"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hwgen")
def main():
    """From a trained PyTorch network to a bit-exact accelerator.

    MODEL is a reference network's name, a .pt2 file of torch.export, or file.py:function.
    """


@main.command()
@network_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder; build/NAME by default.")
@click.option("--force", is_flag=True, help="Replace an older build.")
@click.option("--ip", is_flag=True, help="Write a Tcl script that packages it for Vivado.")
def build(out, force, ip, as_json, **options):
    """Write the accelerator of MODEL for a board."""
    from hwgen import flow

    chosen = arguments(options)
    with status() as progress:
        report = flow.build(out=out, force=force, ip=ip, progress=progress, **chosen)
    folder = out or Path("build") / report["design"]
    if as_json:
        _print_json(report)
    else:
        show.built(report, folder)
    if ip:
        script = show.plain(str(folder / "ip" / "package.tcl"))
        notes.print(f"{script} was written, not run: vivado -mode batch -source package.tcl")


@main.command()
@click.argument("folder", metavar="BUILD", type=click.Path(path_type=Path))
@click.option("--frames", type=click.IntRange(min=2), help="At most so many frames.")
@click.option(
    "--inputs",
    "--images",
    "images",
    metavar="FILE",
    help="Other inputs than those kept in BUILD, .npz, as for --calibrate.",
)
@click.option(
    "--stall",
    type=click.FloatRange(0, 0.95),
    default=0.3,
    show_default=True,
    help="How often source and sink are idle in the second run.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 0x7FFFFFFF),
    default=1,
    show_default=True,
    help="Of the stalls.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def sim(folder, as_json, **options):
    """Simulate BUILD and compare every stream of every layer with the golden model."""
    from hwgen import flow

    with bars() as progress:
        result = flow.simulate(folder, progress=progress, **options)
    if as_json:
        _print_json(result.report)
    else:
        show.simulated(result, folder)
    if not (result.bit_exact and result.cycles_exact):
        sys.exit(FAILED)


@main.command()
@network_options
@click.option("--synth", is_flag=True, help="Measure the area with Yosys as well.")
def estimate(synth, as_json, **options):
    """Foretell cycles and area of MODEL, layer by layer; MODEL may be a build directory."""
    if Path(options["model"]).is_dir():
        refuse_choices("synth", "as_json")
    from hwgen import flow

    chosen = arguments(options)
    with status() as progress:
        report = flow.estimate(synth=synth, progress=progress, **chosen)
    if as_json:
        _print_json(report)
    else:
        show.estimated(report)


@main.command()
@sweep_options
def sweep(as_json, **options):
    """Accuracy, cycles and area of MODEL at many bit widths, on several boards.

    Every result is kept at once: a sweep that was stopped goes on where it was.
    """
    from hwgen.sweep import display, run

    with bars() as progress:
        made, files = run.sweep(progress=progress, **options)
    if as_json:
        _print_json(made.to_json())
    else:
        display.swept(made, files)
    if not made.verified:
        sys.exit(FAILED)


@main.command()
@click.option(
    "--family",
    "families",
    type=click.Choice(FAMILIES),
    multiple=True,
    help="One or several; all of them by default.",
)
@click.option(
    "--each",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Specs of every kind to fit to.",
)
@click.option(
    "--unseen",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Other specs, to test with.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of those to test with.")
@click.option("--model", "models", multiple=True, help="Reference networks; all by default.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Specs synthesised at a time; one for each processor by default.",
)
@click.option("--keep", is_flag=True, help="Leave the constants alone: only compare.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("docs/benchmarks/area.json"),
    show_default=True,
    help="The comparison; a page and a plot are put beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def calibrate(families, each, unseen, seed, models, jobs, keep, out, as_json):
    """Fit the estimates of area to Yosys, and say how far off they are.

    Every synthesis is kept at once: a run that was stopped goes on where it was.
    """
    from hwgen.calibrate import display, run
    from hwgen.calibrate.page import write_page

    with bars() as progress:
        stored = run.calibrate(
            families or FAMILIES,
            each,
            unseen,
            seed,
            models or None,
            not keep,
            out,
            jobs,
            progress=progress,
        )
    files = [out, *write_page(stored, out)]
    if as_json:
        _print_json(stored)
    else:
        display.calibrated(stored, files)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def boards(as_json):
    """List the boards."""
    from hwgen.board import board_names, load_board

    known = [load_board(name) for name in board_names()]
    if as_json:
        _print_json([asdict(board) for board in known])
    else:
        show.boards(known)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(as_json):
    """List every tool that hwgen uses, and how to get what is missing."""
    from hwgen.doctor import examine, healthy

    rows = examine()
    if as_json:
        _print_json([asdict(row) for row in rows])
    else:
        show.tools(rows)
    if not healthy(rows):
        sys.exit(FAILED)


def _print_json(tree) -> None:
    click.echo(json.dumps(tree, indent=1, default=str))
