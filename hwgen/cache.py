"""Where what takes long to make is kept between runs."""

import os
from pathlib import Path

__all__ = ["cache"]


def cache() -> Path:
    """``$HWGEN_CACHE``, or ``hwgen`` in the user's cache."""
    if chosen := os.environ.get("HWGEN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwgen"
