"""The command line. Results go to standard output, everything else to standard error."""

import errno
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hwgen import show
from hwgen.board import FAMILIES
from hwgen.errors import Problem, ToolError, UserError
from hwgen.sweep.options import sweep_options

__all__ = ["main"]

#: Exit codes: a verification that failed or a tool that broke, a mistake of the user's, Ctrl-C.
FAILED, MISTAKE, INTERRUPTED = 1, 2, 130

FULL = (errno.ENOSPC, errno.EDQUOT)

notes = Console(stderr=True, highlight=False)


class Group(click.Group):
    """Commands whose mistakes end in one plain message and an exit code, never in a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except UserError as error:
            for problem in error.problems:
                _complain(str(problem))
            ctx.exit(MISTAKE)
        except ToolError as error:
            _complain(str(error))
            ctx.exit(FAILED)
        except BrokenPipeError:
            raise  # whoever reads our output has seen enough: click ends in silence
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            remedy = "free some space" if error.errno in FULL else "check place and permissions"
            _complain(f"{place}{error.strerror or error}; {remedy}")
            ctx.exit(MISTAKE)
        except KeyboardInterrupt:
            warnings.simplefilter("ignore")  # Amaranth's, about hardware that was not finished
            notes.print("interrupted; nothing half-made is left behind")
            ctx.exit(INTERRUPTED)


def _complain(text: str) -> None:
    notes.print(f"[bold red]error:[/] {show.plain(text)}", soft_wrap=True)


def bits(ctx, param, text: str | None):
    """``8``, or a table ``conv1=4,fc=8,default=6``."""
    if text is None:
        return None
    try:
        if "=" not in text:
            return int(text)
        pairs = [entry.rsplit("=", 1) for entry in text.split(",")]
        table = {name.strip(): int(number) for name, number in pairs}
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a number nor a table such as conv1=4,default=8"
        ) from None
    if len(table) < len(pairs):
        raise click.BadParameter(f"{text!r} names a layer twice")
    return table


def engines(ctx, param, text: str):
    """``winograd-f2``, or a table ``conv1=direct,default=winograd-f4``."""
    if "=" not in text:
        return text
    pairs = [entry.rpartition("=") for entry in text.split(",")]
    table = {name.strip(): kind.strip() for name, _, kind in pairs}
    if len(table) < len(pairs) or not all(table):
        raise click.BadParameter(f"{text!r} names a layer twice, or none")
    return table


def network_options(command: Callable) -> Callable:
    """Options of every command that takes MODEL."""
    for option in (
        click.argument("model"),
        click.option("--board", default="ulx3s", show_default=True, help="Name, or a .toml file."),
        click.option(
            "--calibrate",
            metavar="FILE",
            help="Real inputs, .npz (N, C, H, W), (N, C, L) or (N, F); of several, by their names.",
        ),
        click.option("--bits", callback=bits, help="Weights and activations: 1 to 16, or a table."),
        click.option("--weights", callback=bits, help="Weights: 1 to 16, or conv1=4,default=8."),
        click.option("--activations", callback=bits, help="Activations, likewise."),
        click.option(
            "--calibration",
            type=click.Choice(["minmax", "percentile", "mse"]),
            default="mse",
            show_default=True,
            help="How activation ranges follow from the inputs seen.",
        ),
        click.option(
            "--engine",
            callback=engines,
            default="auto",
            help="direct, winograd-f2, winograd-f4 or srbs, or a table: conv1=direct,default=srbs.",
        ),
        click.option(
            "--approximate", is_flag=True, help="Round neurons' constants that do not fit."
        ),
        click.option("--fps", type=float, help="Frames a second wanted; else as fast as fits."),
        click.option(
            "--max-port-width",
            type=int,
            metavar="BITS",
            help="Widest tdata of the AXI4-Stream ports; else as the engines like best.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
    )[::-1]:
        command = option(command)
    return command


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

    arguments = _arguments(options)
    with _status() as progress:
        report = flow.build(out=out, force=force, ip=ip, progress=progress, **arguments)
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
@click.option("--seed", type=int, default=1, show_default=True, help="Of the stalls.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def sim(folder, as_json, **options):
    """Simulate BUILD and compare every stream of every layer with the golden model."""
    from hwgen import flow

    with _bars() as progress:
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
        _refuse_choices(
            "board",
            "calibrate",
            "bits",
            "weights",
            "activations",
            "engine",
            "fps",
            "max-port-width",
        )
    from hwgen import flow

    arguments = _arguments(options)
    with _status() as progress:
        report = flow.estimate(synth=synth, progress=progress, **arguments)
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

    with _bars() as progress:
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
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Specs of every kind, half of which are fitted to.",
)
@click.option("--model", "models", multiple=True, help="Reference networks; all by default.")
@click.option("--keep", is_flag=True, help="Leave the constants alone: only compare.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("docs/benchmarks/area.json"),
    show_default=True,
    help="The comparison; a page and a plot are put beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def calibrate(families, each, models, keep, out, as_json):
    """Fit the estimates of area to Yosys, and say how far off they are.

    Every synthesis is kept at once: a run that was stopped goes on where it was.
    """
    from hwgen.calibrate import display, run
    from hwgen.calibrate.page import write_page

    with _bars() as progress:
        stored = run.calibrate(
            families or FAMILIES, each, models or None, not keep, out, progress=progress
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


def _refuse_choices(*names: str) -> None:
    """UserError if the command line gives any of these options: a build has made its choices."""
    given = [f"--{name}" for name in names if _is_given(name)]
    if given:
        reason = f"a build is planned already, so {', '.join(given)} would change nothing"
        raise UserError(Problem(None, reason, "give the model instead of the build"))


def _arguments(options: dict) -> dict:
    """Command-line options as arguments of ``flow``."""
    from hwgen.compress import Settings

    both = options.pop("bits")
    chosen = {name: options.pop(name) for name in ("weights", "activations")}
    for name, own in chosen.items():
        if own is None and both is not None:
            chosen[name] = both
    given = {name: value for name, value in chosen.items() if value is not None}
    others = {name: options.pop(name) for name in ("calibration", "approximate")}
    if not given and not any(map(_is_given, others)):
        return options  # a network that is already quantised leaves nothing to choose
    return {**options, "settings": Settings(**given, **others)}


def _is_given(name: str) -> bool:
    """Whether the command line gives this option."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _print_json(tree) -> None:
    click.echo(json.dumps(tree, indent=1, default=str))


def _progress(*columns, **options) -> Progress:
    return Progress(*columns, console=notes, disable=not notes.is_terminal, **options)


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, and the time since the start; only on a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with _progress(*columns, TimeElapsedColumn(), transient=True) as progress:
        task = progress.add_task("starting")
        yield lambda what: progress.update(task, description=what)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """One bar for each thing that is being done, with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with _progress(*columns, TimeRemainingColumn(elapsed_when_finished=True)) as progress:
        tasks: dict[str, int] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield tell
