"""Options that several commands share, and what they mean to ``flow``."""

from collections.abc import Callable

import click

from hwgen.compress.settings import by_layer
from hwgen.errors import Problem, UserError
from hwgen.sweep.options import calibration

__all__ = ["arguments", "network_options", "refuse_choices"]


def bits(ctx, param, text: str | None):
    """``8``, or a table ``conv1=4,fc=8,default=6``."""
    if text is None:
        return None
    try:
        return by_layer(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


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
        calibration,
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


def refuse_choices(*but: str) -> None:
    """UserError if the command line gives any option ``but`` these parameters: a build has made its
    choices."""
    options = click.get_current_context().command.params
    given = [
        option.opts[0]
        for option in options
        if isinstance(option, click.Option) and option.name not in but and _is_given(option.name)
    ]
    if given:
        reason = f"a build is planned already, so {', '.join(given)} would change nothing"
        raise UserError(Problem(None, reason, "give the model instead of the build"))


def arguments(options: dict) -> dict:
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
