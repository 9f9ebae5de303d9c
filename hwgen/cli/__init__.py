"""The command line. Results go to standard output, everything else to standard error."""

import sys

from hwgen.cli.interrupt import at_once

__all__ = ["main"]


def main(*arguments, **options) -> None:
    """Run ``hwgen``; what is given goes to ``click.Group.main``."""
    with at_once():
        from hwgen.cli.commands import main as command
    sys.exit(command(*arguments, **options))
