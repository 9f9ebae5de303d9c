"""What Ctrl-C ends with, and while modules load."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["INTERRUPTED", "STOPPED", "at_once"]

#: A message, and an exit code.
STOPPED, INTERRUPTED = "interrupted; nothing half-made is left behind", 130


@contextmanager
def at_once() -> Iterator[None]:
    """Ctrl-C ends the process: half-imported modules can do anything with an exception."""
    before = signal.getsignal(signal.SIGINT)
    # Ignored, as a shell's scripts start what is to run in the background; or handled by what is
    # not Python, and could not be put back. Only the main thread may set a handler.
    main = threading.current_thread() is threading.main_thread()
    if before in (signal.SIG_IGN, None) or not main:
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
