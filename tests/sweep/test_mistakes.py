"""Mistakes, by their full text; all of them at once, and before anything is written."""

import numpy as np
import pytest

from hwgen.errors import UserError
from hwgen.sweep.run import sweep

FORM = "give a range such as 2..8, a list such as 2,4,8, or both: 2..4,8"

#: Arguments of ``sweep``: what it says.
MISTAKES = {
    "range": (
        {"weights": "8..2"},
        "--weights: the range 8..2 is empty; did you mean 2..8?",
    ),
    "words": (
        {"weights": "2..x,four"},
        f"--weights: '2..x' is no number of bits; {FORM}\n"
        f"--weights: 'four' is no number of bits; {FORM}",
    ),
    "outside": (
        {"weights": "0..17", "activations": "17,4"},
        "--weights: 0 and 17 bits; use 1 to 16\n--activations: 17 bits; use 1 to 16",
    ),
    "boards": (
        {"on": "ulx3,zcu104,moon"},
        "there is no board 'ulx3'; did you mean ulx3s? A board of your own: "
        "give the path of a .toml file\nthere is no board 'moon'; ",
    ),
    "everything": (
        {"model": "gone.py:x", "weights": "0", "fps": -1.0, "jobs": 0},
        "--weights: 0 bits; use 1 to 16\nthere is no file gone.py; check the path\n"
        "-1 frames/s are no rate; give a number above 0\n"
        "0 jobs are no number of processes; give 1 to 256",
    ),
    "choice": (
        {"weights": "4", "activations": "4..5", "sim": "w8a8", "synth": "w4a4,w4a4-moon"},
        "--synth: 'w4a4-moon' is not in the sweep; give one of its 2 points, such as ",
    ),
    "no labels": (
        {"test": "bare.npz"},
        "bare.npz holds no labels; save it with numpy.savez(images=..., labels=...)",
    ),
    "labels beyond the outputs": (
        {"test": "many.npz"},
        "a label is 3, and the network has 3 outputs; number the classes from 0 to 2",
    ),
    "labels": (
        {"test": "short.npz"},
        "short.npz holds 4 images and labels int64 (3,); give one whole number, 0 or more, for "
        "each image",
    ),
    "shape": (
        {"test": "wide.npz"},
        "input: takes frames of shape (1, 6, 6), and was given (1, 7, 7); "
        "give inputs as the network takes them",
    ),
    "nothing to train on": (
        {"train": 3},
        "there is nothing to train on; give --train-data FILE.npz with images and labels",
    ),
    "nothing to train": (
        {"train_data": "test.npz"},
        "test.npz is given to train on, and nothing is to be trained; give --train as well",
    ),
    "epochs": ({"train": 0, "train_data": "test.npz"}, "--train: 0 epochs; give 1 or more"),
    "training data": (
        {"train": 1, "train_data": "wide.npz"},
        "input: takes frames of shape (1, 6, 6), and was given (1, 7, 7); "
        "give inputs as the network takes them",
    ),
    "classes": (
        {"train": 1, "train_data": "many.npz"},
        "a label is 3, and the network has 3 outputs; number the classes from 0 to 2",
    ),
    "folder": ({"out": "nets.py"}, "nets.py is no folder; give another --out"),
    "build": (
        {"out": ".", "weights": "4", "activations": "4", "sim": "w4a4"},
        "w4a4-ulx3s exists and is not a build of hwgen, so it is kept; give another --out",
    ),
}


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text((place / "nets.py").read_text())
    images = np.ones((4, 1, 6, 6), np.float32)
    np.savez("bare.npz", images=images)
    np.savez("short.npz", images=images, labels=np.zeros(3, int))
    np.savez("wide.npz", images=np.ones((4, 1, 7, 7), np.float32), labels=np.zeros(4, int))
    np.savez("many.npz", images=images, labels=np.arange(4))
    np.savez("test.npz", images=images, labels=np.zeros(4, int))
    (tmp_path / "w4a4-ulx3s").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(here, name):
    given, says = MISTAKES[name]
    before = sorted(here.rglob("*"))
    with pytest.raises(UserError) as caught:
        sweep(**{"model": "nets.py:tiny", "jobs": 1, **given})
    assert str(caught.value).startswith(says)
    if name == "choice":
        assert "--sim: 'w8a8' is not in the sweep" in str(caught.value)
    assert [path for path in sorted(here.rglob("*")) if "__pycache__" not in path.parts] == before


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 40, None])
def test_foreign_store(here, content):
    import sqlite3

    if content:
        (here / "sweep.sqlite").write_bytes(content)
    else:
        with sqlite3.connect(here / "sweep.sqlite") as database:
            database.execute("CREATE TABLE mine (x)")
    old = (here / "sweep.sqlite").read_bytes()
    with pytest.raises(UserError, match="cannot be used as the store of a sweep: "):
        sweep("nets.py:tiny", "4", "4", out=here, jobs=1)
    assert (here / "sweep.sqlite").read_bytes() == old
