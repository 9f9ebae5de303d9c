"""Snapshots: texts that are compared with a file, which ``pytest --update-snapshots`` rewrites."""

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--update-snapshots", action="store_true", help="Write snapshots instead of comparing."
    )


@pytest.fixture
def snapshot(request) -> Callable[[str, str], None]:
    """``snapshot(file, text)`` compares with ``snapshots/file`` beside the test."""
    folder = Path(request.path).parent / "snapshots"

    def compare(file: str, text: str) -> None:
        if request.config.getoption("--update-snapshots"):
            folder.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        assert text == (folder / file).read_text(), "right? then pytest --update-snapshots"

    return compare
