"""A folder with a stranger's files, and the command line run in it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from hwgen import flow, show
from hwgen.cli.commands import main

NETS = """
import sys

import numpy as np
import torch
from torch import nn

import beside


def small():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(64, 3)), torch.rand(8, 1, 8, 8)


def unsupported():
    layers = nn.Conv2d(1, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 1), nn.Softmax(1)
    return nn.Sequential(*layers), torch.rand(8, 1, 8, 8)


def nan():
    model, images = small()
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = float("nan")
        model[4].bias[:2] = float("inf")
    return model, images


def without_data():
    return small()[0]


def big():
    layers = nn.Flatten(), nn.Linear(64, 1024), nn.Linear(1024, 1024), nn.Linear(1024, 8)
    return nn.Sequential(*layers), torch.rand(2, 1, 8, 8)


def fails():
    raise ValueError("the weights are gone\\nand so on")


def leaves():
    sys.exit("bye")


def number():
    return 3


def three():
    return (*small(), 3)


def lists():
    return small()[0], [[1, 2], [3]]


def bytes_last():
    return small()[0], np.zeros((8, 8, 8, 1), np.uint8)
"""


@dataclass(frozen=True)
class Outcome:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def _original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "nets.py").write_text(NETS)
    (folder / "beside.py").write_text("")
    (folder / "syntax.py").write_text("def f(:\n")
    rng = np.random.default_rng(0)
    images = rng.random((8, 1, 8, 8), dtype=np.float32)
    holed = np.where(images > 0.99, np.nan, images).astype(np.float32)
    files = {
        "good": images,
        "bytes": (255 * images).astype(np.uint8).reshape(8, 8, 8, 1),
        "last": images.reshape(8, 8, 8, 1),
        "three": rng.random((8, 3, 8, 8), dtype=np.float32),
        "holed": holed,
        "pickled": np.array([object()]),
    }
    for name, array in files.items():
        np.savez(folder / f"{name}.npz", images=array)
    (folder / "junk.npz").write_text("junk")
    (folder / "junk.pt2").write_text("junk")
    height = torch.export.Dim("height", min=4, max=64)
    exported = torch.export.export(
        nn.Sequential(nn.Conv2d(1, 4, 3)).eval(),
        (torch.zeros(2, 1, 8, 8),),
        dynamic_shapes=({2: height},),
    )
    torch.export.save(exported, folder / "dynamic.pt2")
    flow.build(f"{folder}/nets.py:small", out=folder / "built")
    return folder


@pytest.fixture
def stranger(_original, tmp_path, monkeypatch) -> Path:
    """The working directory: nets.py, calibration data good and bad, and ``built``, a build."""
    folder = tmp_path / "stranger"
    shutil.copytree(_original, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(show.out, "width", 120)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def run(stranger) -> Run:
    """``run("build", "nets.py:small")`` in the stranger's folder. No command may end in a
    traceback."""

    def run(*arguments: str) -> Outcome:
        result = CliRunner().invoke(main, [*map(str, arguments)], prog_name="hwgen")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run
