"""Reference networks: what is shipped is what its figures say, and the recipe runs."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hwgen import models
from hwgen.models import reference, training
from hwgen.models.augmentation import erase, shift_and_flip
from hwgen.models.fashion_cnn import FashionCNN, data
from hwgen.models.fashion_cnn import train as recipe
from hwgen.models.recipe import calibration_choice

FILES = ["calibration.npz", "model.json", "model.safetensors", "test.npz"]


@pytest.fixture(scope="module")
def shipped() -> models.Reference:
    return models.load("fashion_cnn")


@pytest.fixture(scope="module")
def small_data(shipped, tmp_path_factory):
    """A folder of idx files like the data set's, made from the shipped calibration images."""
    folder = tmp_path_factory.mktemp("small")
    shipped_folder = Path(models.__file__).parent / shipped.name
    with np.load(shipped_folder / "calibration.npz", allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    for part, chosen in (("train", slice(0, 400)), ("t10k", slice(400, 512))):
        _write_idx(folder / f"{part}-images-idx3-ubyte.gz", images[chosen, :, :, 0])
        _write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels[chosen])
    return folder


def _write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), 1))


def run(*arguments):
    """The recipe's command in one thread, as torch's number of threads is the test run's own."""
    arguments = ("--threads", 1, *arguments)
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(recipe.main, [str(argument) for argument in arguments])
    finally:
        torch.set_num_threads(threads)


# What is shipped


def test_accuracy_is_the_one_in_model_json(shipped):
    measured = models.accuracy(shipped.module, shipped.test_images, shipped.test_labels)
    # Float summation order varies between machines, which can tip a few close images.
    assert measured == pytest.approx(shipped.info["accuracy_percent"], abs=0.05)
    assert measured >= 91.5
    assert shipped.info["accuracy_images"] == len(shipped.test_images) == 10_000


def test_shapes_and_ranges(shipped):
    assert shipped.name in models.names()
    assert not shipped.module.training
    for images, count in ((shipped.test_images, 10_000), (shipped.calibration, 512)):
        assert images.shape == (count, 1, 28, 28)
        assert images.dtype == np.float32
        assert images.min() == 0 and images.max() == 1
    assert shipped.test_labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(shipped.test_labels), [1000] * 10)


def test_size_by_hand(shipped):
    convolutions = 28 * 28 * 16 * 9 + 14 * 14 * 32 * 16 * 9 + 7 * 7 * 64 * 32 * 9
    assert shipped.info["multiply_adds"] == convolutions + 576 * 10
    weights = 16 * 9 + 32 * 16 * 9 + 64 * 32 * 9 + 576 * 10 + 10
    assert shipped.info["parameters"] == weights + 2 * (16 + 32 + 64)
    size = reference.size(shipped.module, (1, 28, 28))
    assert size == {key: shipped.info[key] for key in size}


def test_checkpoint_is_float32_and_finite(shipped):
    for name, value in shipped.module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert value.dtype == torch.float32, name
            assert torch.isfinite(value).all(), name


@pytest.mark.skipif(not data.DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist is missing")
def test_images_are_those_of_the_data_set(shipped):
    dataset = data.read()
    np.testing.assert_array_equal(shipped.test_images, reference.pixels(dataset.test_images))
    np.testing.assert_array_equal(shipped.test_labels, dataset.test_labels)
    chosen = dataset.train_images[calibration_choice(len(dataset.train_images))]
    np.testing.assert_array_equal(shipped.calibration, reference.pixels(chosen))


# Loading and measuring


def test_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="'fashon_cnn'; did you mean fashion_cnn"):
        models.load("fashon_cnn")


def test_folder_without_training(tmp_path):
    with pytest.raises(models.ReferenceFilesError, match=r"lacks model\.safetensors, model\.json"):
        models.load("fashion_cnn", tmp_path)


def test_accuracy_refuses_training_mode_and_bad_counts(shipped):
    images, labels = shipped.test_images[:4], shipped.test_labels[:4]
    with pytest.raises(ValueError, match="bn1, bn2, bn3, dropout in training mode"):
        models.accuracy(FashionCNN(), images, labels)
    for bad_images, bad_labels in ((images, labels[:3]), (images[:0], labels[:0])):
        with pytest.raises(ValueError, match="need one for each"):
            models.accuracy(shipped.module, bad_images, bad_labels)


def test_accuracy_counts_across_short_batches():
    logits = np.eye(10, dtype=np.float32)[[3, 1, 4, 1, 5, 9, 2]]
    assert models.accuracy(torch.nn.Identity(), logits, np.array([3, 1, 4, 1, 5, 0, 0]), 3) == (
        pytest.approx(100 * 5 / 7)
    )


# The recipe


def test_smoke_training(small_data, tmp_path):
    out = tmp_path / "new" / "folder"
    result = run("--epochs", 1, "--seed", 3, "--out", out, "--data", small_data)
    assert result.exit_code == 0, result.output
    assert "epoch 1/1: loss" in result.output
    assert "% on 112 test images" in result.output
    assert sorted(p.name for p in out.iterdir()) == FILES
    info = json.loads((out / "model.json").read_text())
    assert (info["seed"], info["epochs"], info["accuracy_images"]) == (3, 1, 112)
    assert info["command"].endswith(f"--threads 1 --out {out} --data {small_data}")
    own = models.load("fashion_cnn", out)
    measured = models.accuracy(own.module, own.test_images, own.test_labels)
    assert measured == pytest.approx(info["accuracy_percent"], abs=1)

    before = (out / "model.safetensors").read_bytes()
    result = run("--epochs", 1, "--seed", 3, "--out", out, "--data", small_data)
    assert result.exit_code == 0, result.output
    assert (out / "model.safetensors").read_bytes() == before, "the seed decides the weights"
    assert sorted(p.name for p in out.iterdir()) == FILES


@pytest.mark.parametrize("where", ["training", "saving"])
def test_interrupt_leaves_nothing(small_data, tmp_path, monkeypatch, where):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    if where == "training":
        monkeypatch.setattr(training.augmentation, "shift_and_flip", interrupt)
    else:  # after the weights, before the images
        monkeypatch.setattr(reference.np, "savez_compressed", interrupt)
    result = run("--epochs", 1, "--out", tmp_path, "--data", small_data)
    assert result.exit_code == 1
    assert "Aborted!" in result.output
    assert list(tmp_path.iterdir()) == []


def test_files_of_two_trainings_do_not_pass_for_one(tmp_path):
    module = FashionCNN().eval()
    images = np.zeros((2, 28, 28, 1), np.uint8), np.zeros(2, np.uint8)
    reference.save(tmp_path, module, {"name": "fashion_cnn"}, images, images)
    models.load("fashion_cnn", tmp_path)
    path = tmp_path / "model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(models.ReferenceFilesError, match=r"is not the file that model\.json"):
        models.load("fashion_cnn", tmp_path)


def test_missing_data_says_how_to_get_it(tmp_path):
    result = run("--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "apt install dataset-fashion-mnist" in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_damaged_data_is_named(small_data, tmp_path):
    for path in small_data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    raw = gzip.decompress(labels.read_bytes())
    for content, message in (
        (gzip.compress(raw[:-1]), "is damaged: 399 elements for the shape"),
        (gzip.compress(raw[:6]), "is not an idx file"),
        (labels.read_bytes()[:50], "is unreadable"),
        (b"no gzip", "is unreadable"),
    ):
        labels.write_bytes(content)
        with pytest.raises(data.DataError, match=message):
            data.read(tmp_path)


# Augmentation


def test_shift_and_flip_are_shifts_and_flips():
    random = torch.Generator().manual_seed(1)
    image = torch.rand(1, 2, 7, 9, generator=random)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
    windows = [padded[0, :, r : r + 7, c : c + 9] for r in range(3) for c in range(3)]
    padded = padded.flip(3)
    windows += [padded[0, :, r : r + 7, c : c + 9] for r in range(3) for c in range(3)]
    out = shift_and_flip(image.expand(400, -1, -1, -1), 1, True, random)
    seen = {next(k for k, w in enumerate(windows) if torch.equal(w, o)) for o in out}
    assert seen == set(range(18))


def test_erase_zeroes_one_rectangle():
    out = erase(torch.ones(300, 2, 28, 20), 0.5, torch.Generator().manual_seed(1))
    hit = (out[:, 0] == 0).flatten(1).any(1)
    assert 100 < hit.sum() < 200
    for image in out[hit]:
        rows, columns = (image[0] == 0).any(1), (image[0] == 0).any(0)
        assert torch.equal(image == 0, (rows[:, None] & columns).expand(2, -1, -1))
        assert 28 // 8 <= rows.sum() <= 28 * 3 // 8
        assert 20 // 8 <= columns.sum() <= 20 * 3 // 8


def test_learning_rate_climbs_then_falls_to_zero():
    numbers = training.Recipe(epochs=1, peak_lr=0.2, warmup=0.25)
    rates = [numbers.learning_rate(step, 100) for step in range(100)]
    assert rates.index(max(rates)) == 24
    assert max(rates) == 0.2
    assert 0 < rates[0] <= 0.01
    assert 0 <= rates[-1] < 0.001
    assert training.Recipe(epochs=1).learning_rate(0, 1) == 0.1


@pytest.mark.parametrize("field", ["epochs", "batch", "peak_lr", "warmup", "erase", "seed"])
def test_recipe_refuses_nonsense(field):
    with pytest.raises(ValueError, match=f"{field} must be"):
        training.Recipe(**{"epochs": 1, field: -1})
