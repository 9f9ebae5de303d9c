"""Right from power-up: without initial values, but those of ROMs, reset alone defines everything.

Event-driven four-state simulation shows what two-state simulation and synthesis do not: a block
that waits for a change that never comes, a register that is read before it is written.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import flow
from hwgen.emit import write_build
from hwgen.sim import simulate

sys.path.insert(0, str(Path(__file__).parents[1] / "whole"))
from random_networks import random_network
from random_plans import random_frames, random_plan

#: A register with an initial value.
INITIAL = re.compile(r"^( *reg [^;=]*?) *= [^;]+;$", re.MULTILINE)


def forget_initial_values(folder: Path) -> None:
    """As on a chip without them."""
    file = folder / "rtl" / "accelerator.v"
    text, found = INITIAL.subn(r"\1 ;", file.read_text())
    assert found > 10
    file.write_text(text)


def runs_on_icarus(folder: Path) -> None:
    """The user's own bench passes; undefined bits of a beat or of a handshake make it fail."""
    command = [sys.executable, "run.py", "--sim", "icarus"]
    done = subprocess.run(command, cwd=folder / "bench", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "4 of 4 tests passed" in done.stdout


def small(folder: Path) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    flow.build(model, board="ulx3s", calibrate=torch.rand(8, 1, 4, 4), out=folder, fps=100_000)


needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="there is no iverilog")


@needs_icarus
def test_as_it_is_written(tmp_path):
    small(tmp_path / "build")
    runs_on_icarus(tmp_path / "build")


@needs_icarus
def test_several_pixels_a_beat(tmp_path):
    torch.manual_seed(2)
    folder, calibrate = tmp_path / "build", torch.rand(8, 1, 4, 8)
    model = nn.Conv2d(1, 2, 3, padding=1)
    flow.build(model, board="zcu104", calibrate=calibrate, out=folder, fps=6_000_000)
    _, plan = flow.load_build(folder)
    assert max(getattr(stage.spec, "pixels", 1) for stage in plan.stages) >= 4
    forget_initial_values(folder)
    runs_on_icarus(folder)


@needs_icarus
@pytest.mark.parametrize("seed", [3, 4, 8])
def test_random_networks(tmp_path, seed):
    chance = Random(seed)
    network = random_network(chance)
    frames = random_frames(network, chance, 3)
    folder = tmp_path / "build"
    write_build(folder, "random", network, random_plan(network, chance), frames, {})
    forget_initial_values(folder)
    runs_on_icarus(folder)


def test_noise_in_place_of_initial_values(tmp_path):
    small(tmp_path / "build")
    forget_initial_values(tmp_path / "build")
    with np.load(tmp_path / "build" / "frames.npz") as file:
        frames = file["s_axis"]
    for seed in range(5):
        result = simulate(tmp_path / "build", frames, seed=seed)
        assert result.bit_exact, result
