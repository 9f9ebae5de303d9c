"""A small network, trained on real images, and quantised by PT2E in several ways."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained():
    """The network, in eval mode, with real images and labels: to calibrate, and to test."""
    from quantised import train

    return train()
