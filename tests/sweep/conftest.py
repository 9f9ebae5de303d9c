"""A tiny network with a test set, and its sweep without any interruption."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

NET = """
import torch
from torch import nn


def tiny():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(36, 3)), torch.rand(16, 1, 6, 6)
"""


def _test_set(folder: Path) -> Path:
    """Images with the labels that a network gives them, some of which are wrong."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    network = nn.Sequential(*layers, nn.Linear(36, 3))
    images = torch.rand(200, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        labels = network(images).argmax(1).numpy()
    labels[::10] = 2 - labels[::10]
    path = folder / "test.npz"
    np.savez(path, images=images.numpy(), labels=labels)
    return path


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A folder with the network, nets.py:tiny, and its test set, test.npz."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "nets.py").write_text(NET)
    _test_set(folder)
    return folder


@pytest.fixture
def place(original, monkeypatch) -> Path:
    """That folder, as the working directory."""
    monkeypatch.chdir(original)
    return original


@pytest.fixture(scope="session")
def whole(original):
    """A sweep without interruption: ``(Sweep, files)``."""
    from hwgen.sweep.run import sweep

    return sweep(
        original / "nets.py:tiny",
        "2..3,5",
        "4,6",
        "ulx3s,zcu104",
        out=original / "whole",
        test=original / "test.npz",
        jobs=1,
    )
