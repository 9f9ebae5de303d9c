"""The command line. Results go to standard output, everything else to standard error."""

import os
import signal
import sys

__all__ = ["INTERRUPTED", "STOPPED", "main"]

#: What Ctrl-C ends with: a message, and an exit code.
STOPPED, INTERRUPTED = "interrupted; nothing half-made is left behind", 130


def main(*arguments, **options) -> None:
    """Run ``hwgen``; what is given goes to ``click.Group.main``."""
    # Modules that are half imported can do anything with an exception: Ctrl-C ends it at once.
    before = signal.signal(signal.SIGINT, _stop)
    from hwgen.cli.commands import main as command

    signal.signal(signal.SIGINT, before)
    sys.exit(command(*arguments, **options))


def _stop(number, frame) -> None:
    os.write(sys.stderr.fileno(), f"{STOPPED}\n".encode())
    os._exit(INTERRUPTED)
