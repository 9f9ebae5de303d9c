"""``--train``: points trained on their bits, under keys of their own, and built as they are."""

import numpy as np
import pytest
from click.testing import CliRunner

from hwgen.cli.commands import main
from hwgen.sweep.labelled import load_test_set
from hwgen.sweep.run import STORE, sweep
from hwgen.sweep.store import Store
from hwgen.sweep.training import Training

ASKED = dict(weights="1", activations="2", test="lit.npz", jobs=1)
EPOCHS = 12

#: Tells which third of an image is the brightest.
NET = """
import numpy as np
import torch
from torch import nn


def lit():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    network = nn.Sequential(*layers, nn.Linear(36, 3))
    with np.load("lit.npz") as data:
        images, labels = torch.from_numpy(data["images"]), torch.from_numpy(data["labels"])
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval(), images[:100]
"""


@pytest.fixture(scope="module")
def lit(tmp_path_factory):
    """A folder with that network, lit.py:lit, and lit.npz."""
    folder = tmp_path_factory.mktemp("lit")
    images = np.random.default_rng(0).random((600, 1, 6, 6), dtype=np.float32)
    labels = np.arange(600) % 3
    for third in range(3):
        images[labels == third, :, 2 * third : 2 * third + 2] += 0.3
    np.savez(folder / "lit.npz", images=images, labels=labels)
    (folder / "lit.py").write_text(NET)
    return folder


@pytest.fixture
def place(lit, monkeypatch):
    """That folder, as the working directory."""
    monkeypatch.chdir(lit)
    return lit


@pytest.fixture(scope="module")
def once(lit):
    """Without and with training in one folder: ``(sweep, sweep)``, and what progress told."""
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(lit)
        plain, _ = sweep("lit.py:lit", **ASKED, out="taught")
        taught, _ = sweep(
            "lit.py:lit",
            **ASKED,
            out="taught",
            train=EPOCHS,
            train_data="lit.npz",
            progress=lambda what, done, of: told.append((what, done, of)),
        )
    return plain, taught, told


def test_training_makes_a_point_more_accurate(once):
    plain, taught, told = once
    assert plain.training is None and taught.training["epochs"] == EPOCHS
    assert taught.rows[0]["accuracy"] > plain.rows[0]["accuracy"] + 2
    assert taught.to_json()["training"]["peak_lr"] > 0
    steps = [(done, of) for what, done, of in told if what == "training w1a2"]
    assert steps == [(done, 60) for done in range(1, 61)], "600 images in batches of 128, 12 times"


def test_it_is_found_again_and_not_taken_for_another(once, place, monkeypatch):
    _, taught, _ = once
    asked = ASKED | {"out": "taught", "train_data": "lit.npz"}
    with Store(place / "taught" / STORE) as store:
        (before,) = store._database.execute("SELECT count(*) FROM results").fetchone()

    trained = []
    real = Training.__call__
    monkeypatch.setattr(
        Training, "__call__", lambda self, *a: trained.append(self.recipe.epochs) or real(self, *a)
    )
    again, _ = sweep("lit.py:lit", **asked, train=EPOCHS)
    assert again.rows == taught.rows and trained == []
    sweep("lit.py:lit", **asked, train=1)
    assert trained == [1], "another recipe is another point"
    images, labels = load_test_set("lit.npz")
    np.savez("less.npz", images=images[:100], labels=labels[:100])
    sweep("lit.py:lit", **(asked | {"train_data": "less.npz"}), train=1)
    assert trained == [1, 1], "and so are other images"
    with Store(place / "taught" / STORE) as store:
        (after,) = store._database.execute("SELECT count(*) FROM results").fetchone()
    assert after == before + 4


def test_what_was_trained_is_built_and_simulated(place):
    arguments = ["sweep", "lit.py:lit", "--weights", "1", "--activations", "2", "--test"]
    arguments += ["lit.npz", "--out", "taught", "--jobs", "1", "--sim", "w1a2"]
    arguments += ["--train", str(EPOCHS), "--train-data", "lit.npz"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert f"each point trained {EPOCHS} epochs" in result.output
    from hwgen.flow import load_build
    from hwgen.frontend import accuracy

    network, _ = load_build(place / "taught" / "w1a2-ulx3s")
    assert f"{accuracy(network, *load_test_set('lit.npz')):.2f}" in result.output
