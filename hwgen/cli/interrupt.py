"""What Ctrl-C ends with, and while modules load."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["INTERRUPTED", "STOPPED", "at_once"]

#: A message, and an exit code.
STOPPED, INTERRUPTED = "interrupted; nothing half-made is left behind", 130


@contextmanager
def at_once() -> Iterator[None]:
    """Ctrl-C ends the process: half-imported modules can do anything with an exception."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # as a shell's scripts start what is to run in the background
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(number, frame) -> None:
    os.write(sys.stderr.fileno(), f"{STOPPED}\n".encode())
    os._exit(INTERRUPTED)
