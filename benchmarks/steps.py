"""Measured steps, each stored as soon as it is done: an interrupted benchmark goes on from there.

A step is stored under its name and under a digest of all that it measures. When the emitted
Verilog changes, so does the digest, and the step runs again.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["Steps"]


class Steps:
    """Results by step, in one JSON file; ``fresh`` forgets those of earlier runs."""

    def __init__(self, path: Path, fresh: bool = False):
        self.path = path
        self._known: dict[str, object] = {}
        if path.exists() and not fresh:
            self._known = json.loads(path.read_text())

    def __call__(self, name: str, digest: str, measure: Callable[[], object]):
        """What ``measure()`` gives, as JSON gives it back; or what it gave before."""
        key = f"{name} {digest}"
        if key not in self._known:
            result = measure()
            self._known[key] = json.loads(json.dumps(result))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".part")
            partial.write_text(json.dumps(self._known, indent=1) + "\n")
            os.replace(partial, self.path)
        return self._known[key]
