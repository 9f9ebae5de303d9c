"""Options of ``hwgen sweep``; ``points`` reads them, so that all mistakes are told at once."""

from collections.abc import Callable
from pathlib import Path

import click

__all__ = ["calibration", "sweep_options"]

#: Of ``--train`` without a number.
EPOCHS = 10

#: The option of every command that quantises.
calibration = click.option(
    "--calibration",
    type=click.Choice(["minmax", "percentile", "mse"]),
    default="mse",
    show_default=True,
    help="How activation ranges follow from the inputs seen.",
)


def sweep_options(command: Callable) -> Callable:
    """Options of ``run.sweep``, and ``--json``."""
    for option in (
        click.argument("model"),
        click.option(
            "--weights", default="2..8", show_default=True, help="Bits: 2..8, 2,4,8 or 2..4,8."
        ),
        click.option("--activations", default="4..8", show_default=True, help="Bits, likewise."),
        click.option(
            "--boards",
            "on",
            default="ulx3s",
            show_default=True,
            help="Names or .toml files: ulx3s,zcu104.",
        ),
        click.option("--fps", type=float, help="Frames a second wanted; else as fast as fits."),
        click.option(
            "--calibrate",
            metavar="FILE",
            help="Real inputs, .npz (N, C, H, W), (N, C, L) or (N, F).",
        ),
        click.option("--test", metavar="FILE", help="Test set, .npz of images and labels."),
        calibration,
        click.option(
            "--out", type=click.Path(path_type=Path), help="Folder; build/sweep/NAME by default."
        ),
        click.option("--jobs", type=int, default=2, show_default=True, help="Processes."),
        click.option(
            "--synth", metavar="POINTS", help="Measure with Yosys: w4a4, or w4a4-ulx3s, ..."
        ),
        click.option("--sim", metavar="POINTS", help="Simulate with Verilator, likewise."),
        click.option(
            "--train",
            type=int,
            is_flag=False,
            flag_value=EPOCHS,
            metavar="[EPOCHS]",
            help=f"Train each point on its bits; {EPOCHS} epochs unless told otherwise.",
        ),
        click.option("--train-data", metavar="FILE", help="For it, .npz of images and labels."),
        click.option("--json", "as_json", is_flag=True, help="Print the table as JSON."),
    )[::-1]:
        command = option(command)
    return command
