"""Results of a sweep on disk, each under the hash of everything that it depends on.

One SQLite table. A row is committed before the next result is waited for: whatever kills the
sweep, what is in the file is whole, and the next sweep starts from it.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from hwgen.errors import Problem, UserError

__all__ = ["Store", "digest"]

#: Stands in the file's header (``PRAGMA user_version``); another number is not read.
FORMAT = 1

#: Seconds that a sweep waits for another one that writes to the same file.
PATIENCE = 60.0

_TABLE = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY,      -- SHA-256 of inputs
    kind TEXT NOT NULL,        -- float, accuracy, plan, synth, sim
    inputs TEXT NOT NULL,      -- JSON: everything that the value depends on
    value TEXT NOT NULL,       -- JSON
    seconds REAL NOT NULL,     -- what it took
    finished TEXT NOT NULL     -- UTC
)
"""


def digest(inputs: Mapping) -> str:
    """SHA-256 of a tree of plain values."""
    return hashlib.sha256(_text(inputs).encode()).hexdigest()


def _text(tree: Mapping) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


class Store:
    """The file at ``path``, made if there is none. UserError if it is something else."""

    def __init__(self, path: Path):
        self.path = path
        self._database: sqlite3.Connection | None = None
        try:
            # Autocommit: every statement is a transaction of its own.
            self._database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            (tables,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if version != FORMAT and (version or tables):
                self.close()
                raise _unusable(path, f"it is of format {version}, not {FORMAT}")
            self._database.execute(_TABLE)
            self._database.execute(f"PRAGMA user_version = {FORMAT}")
        except sqlite3.Error as error:
            self.close()
            raise _unusable(path, str(error)) from error

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()

    def get(self, inputs: Mapping):
        """The value that was stored for ``inputs``; None if there is none."""
        assert self._database is not None
        try:
            rows = self._database.execute(
                "SELECT value FROM results WHERE key = ?", (digest(inputs),)
            ).fetchall()
            return json.loads(rows[0][0]) if rows else None
        except (sqlite3.Error, ValueError) as error:
            raise _unusable(self.path, str(error)) from error

    def put(self, kind: str, inputs: Mapping, value, seconds: float) -> None:
        """Store ``value``, a tree of plain values, for ``inputs``; on disk when this returns."""
        assert self._database is not None
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        row = (digest(inputs), kind, _text(inputs), json.dumps(value), round(seconds, 3), now)
        try:
            self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise _unusable(self.path, str(error)) from error


def _unusable(path: Path, why: str) -> UserError:
    reason = f"{path} cannot be used as the store of a sweep: {why}"
    return UserError(Problem(None, reason, "give another --out, or move the file away"))
