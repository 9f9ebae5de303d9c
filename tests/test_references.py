"""Every reference network: what its model.json says is so, in float and in integers."""

import importlib
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hwgen import models
from hwgen.compress import Settings, compare, masks_of, quantize
from hwgen.frontend import accuracy, is_spiking, quantise_input, read
from hwgen.models import finetune, measure, reference
from hwgen.models.recipe import tasks
from hwgen.network.srbs import SubRows, check, tap_weights

#: Frames that are enough to see a difference, and few enough for seconds.
FEW = 300

FILES = (reference.WEIGHTS, reference.INFO, reference.TEST, reference.CALIBRATION)


NAMES = [name for name in models.names() if not name.endswith(("_w4a4", "_srbs75"))]

#: Those with a folder of their own; others are of another size, and lie beside one.
FOLDERS = [name for name in NAMES if (reference.Path(models.__file__).parent / name).is_dir()]


@pytest.fixture(scope="module", params=NAMES)
def network(request) -> models.Reference:
    return models.load(request.param)


def test_shipped_accuracy(network):
    info = network.info
    recorded = info.get("shipped_accuracy_percent", info["accuracy_percent"])
    assert len(network.test_labels) == info.get("shipped_images", info["accuracy_images"])
    measured = models.accuracy(
        network.module, network.test_images[:2000], network.test_labels[:2000]
    )
    exact = len(network.test_labels) <= 2000
    # Float summation order varies between machines, which can tip a close image.
    one = 100 / len(network.test_labels)
    assert measured == pytest.approx(recorded, abs=one if exact else 1.5)


def test_sizes_and_checkpoint(network):
    size = reference.size(network.module, network.test_images.shape[1:])
    assert size == {key: network.info[key] for key in size}
    assert all(torch.isfinite(value).all() for value in network.module.state_dict().values())
    assert network.calibration.shape[0] == network.info["calibration_images"] == 512


def test_integers_at_8_bits(network):
    """As recorded of the whole test set, within 0.3 points of float; and equal to torch."""
    info = network.info
    if is_spiking(network.module):
        pytest.skip("tests/test_mnist_snn.py is about synapses of fewer bits")
    assert info["integer_bits"] == 8
    assert info["integer_accuracy_percent"] >= info["accuracy_percent"] - 0.3
    program = quantize(network.module, network.calibration, Settings(8, 8))
    made = read(program)
    images, labels = network.test_images[:FEW], network.test_labels[:FEW]
    differences = compare(program, made, images[:32])
    assert max(difference.largest for difference in differences.values()) <= 1
    with torch.no_grad():
        chosen = program(torch.from_numpy(images)).numpy().argmax(1)
    integers = made.compute(quantise_input(made, images)).reshape(len(images), -1).argmax(1)
    assert np.mean(chosen == integers) >= 0.99
    assert accuracy(made, images, labels) >= models.accuracy(network.module, images, labels) - 1


def test_recipe_is_the_one_of_the_checkpoint(network):
    base = next(name for name in FOLDERS if network.name.startswith(name))
    task = {task.name: task for task in tasks(base)}[network.name]
    recorded = network.info["recipe"]
    own = asdict(task.recipe)
    assert {key: own[key] for key in recorded} == recorded


def test_measure_command(tmp_path):
    """The figures of a training can be had again, from the whole data set, by one command."""
    shipped = models.load("digits_mlp")
    folder = reference.Path(models.__file__).parent / "digits_mlp"
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before = (tmp_path / reference.INFO).read_text()
    (tmp_path / reference.INFO).write_text(before.replace("integer_accuracy_percent", "gone"))
    result = CliRunner().invoke(measure.main, ["digits_mlp", "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    figures = f"{shipped.info['accuracy_percent']:.2f} % in float"
    assert f"digits_mlp on 360 test images: {figures}" in result.output
    again = models.load("digits_mlp", tmp_path).info
    assert again["integer_accuracy_percent"] == shipped.info["integer_accuracy_percent"]


def test_measure_lists_the_networks():
    listed = CliRunner().invoke(measure.main, ["--help"]).output
    assert all(name in listed for name in FOLDERS)
    assert CliRunner().invoke(measure.main, ["nothing"]).exit_code == 2


def test_digits_are_those_of_the_package():
    dataset = importlib.import_module("hwgen.models.digits_mlp.data").read()
    shipped = models.load("digits_mlp")
    np.testing.assert_array_equal(shipped.test_images, reference.pixels(dataset.test_images))
    np.testing.assert_array_equal(shipped.test_labels, dataset.test_labels)
    assert len(dataset.train_images) == 1437


def test_cifar_is_known_by_its_hash(tmp_path):
    data = importlib.import_module("hwgen.models.cifar_resnet8.data")
    with pytest.raises(data.DataError, match=r"neither data_batch_1\.bin to 5 .* name its folder"):
        data.read(tmp_path)
    records = np.zeros((10_000, 1 + 3 * 32 * 32), np.uint8)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        records.tofile(tmp_path / f"{name}.bin")
    with pytest.raises(data.DataError, match="is not CIFAR-10: its train images differ"):
        data.read(tmp_path)
    records[:3].tofile(tmp_path / "data_batch_2.bin")
    with pytest.raises(data.DataError, match="is damaged: 122"):
        data.read(tmp_path)


@pytest.mark.skipif(
    not importlib.import_module("hwgen.models.cifar_resnet8.data").FOLDER.is_dir(),
    reason="CIFAR-10 is not here",
)
def test_shipped_images_of_cifar_are_those_of_the_data_set():
    data = importlib.import_module("hwgen.models.cifar_resnet8.data")
    dataset, shipped = data.read(), models.load("cifar_resnet8")
    count = len(shipped.test_images)
    np.testing.assert_array_equal(
        shipped.test_images, reference.pixels(dataset.test_images[:count])
    )
    np.testing.assert_array_equal(shipped.test_labels, dataset.test_labels[:count])


# Trained further on few bits


@pytest.fixture(scope="module")
def trained() -> models.Reference:
    return models.load("cifar_resnet8_w4a4")


def test_four_bits_within_a_point_and_a_half(trained):
    """As recorded of all 10,000; every weight and activation but the image and the logits."""
    info = trained.info
    assert info["accuracy_images"] == 10_000
    assert info["integer_accuracy_percent"] >= info["float_accuracy_percent"] - 1.5
    assert info["integer_accuracy_percent"] > info["before_training_percent"] + 2
    made = read(trained.module)
    rounded = [node.op.bits for node in made if node.op.kind == "requantise"]
    assert made.input.type.bits == 8 and set(rounded[:-1]) == {4} and rounded[-1] == 16
    assert {n.op.weight_bits for n in made if n.op.kind in ("conv2d", "linear")} == {4}


def test_trained_integers(trained):
    made = read(trained.module)
    measured = accuracy(made, trained.test_images, trained.test_labels)
    assert measured == pytest.approx(trained.info["shipped_accuracy_percent"], abs=0.01)
    differences = compare(trained.module, made, trained.test_images[:32])
    assert max(difference.largest for difference in differences.values()) <= 1


def test_trained_recipe_is_the_one_of_the_file(trained):
    task = importlib.import_module("hwgen.models.cifar_resnet8.train").TASK
    assert asdict(task.finetune) == trained.info["recipe"]


def test_trained_files_belong_together(trained, tmp_path):
    folder = reference.Path(models.__file__).parent / "cifar_resnet8"
    for name in (*FILES, "w4a4.pt2", "w4a4.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    models.load("cifar_resnet8_w4a4", tmp_path)
    with open(tmp_path / "w4a4.pt2", "ab") as file:
        file.write(b"0")
    with pytest.raises(models.ReferenceFilesError, match=r"w4a4\.pt2 is not the file that w4a4"):
        models.load("cifar_resnet8_w4a4", tmp_path)
    (tmp_path / "w4a4.pt2").unlink()
    with pytest.raises(models.ReferenceFilesError, match="holds no training of w4a4"):
        models.load("cifar_resnet8_w4a4", tmp_path)


SPARSE = {
    "cifar_vgg_srbs75": ([6, 6, 6, 6, 2, 6], 1.0),
    "fashion_vgg_srbs75": ([4, 4, 4, 4, 4], 0.5),
}


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_network(name):
    """Three quarters of the weights are zero, in integers: of every layer with sub-rows of 16 so
    many are kept; and accuracy is within so many points of the dense float network's."""
    sparse, (kept, points) = models.load(name), SPARSE[name]
    made = read(sparse.module)
    layers = [node.op for node in made if hasattr(node.op, "weights")]
    winograd = ["winograd_conv2d"] * (len(kept) - 1)
    assert [op.kind for op in layers] == ["conv2d", *winograd, "linear"]
    for op, n in zip(layers[1:], kept, strict=True):
        check(tap_weights(op), SubRows(16, n))
    zero = sum(np.count_nonzero(op.weights == 0) for op in layers)
    assert zero >= 0.745 * sum(op.weights.size for op in layers)
    info = sparse.info
    assert info["accuracy_images"] == 10_000
    assert info["integer_accuracy_percent"] >= info["float_accuracy_percent"] - points
    few = slice(200)
    network = models.load(name.removesuffix("_srbs75"))
    choices = [
        one.compute(quantise_input(one, sparse.test_images[few])).argmax(1)
        for one in (made, read(quantize(network.module, network.calibration)))
    ]
    assert (choices[0] == choices[1]).mean() > 0.9
    differences = compare(sparse.module, made, sparse.test_images[:16])
    assert max(difference.largest for difference in differences.values()) <= 1


def test_finetune_prunes(tmp_path):
    folder = reference.Path(models.__file__).parent / "digits_mlp"
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    asked = ["digits_mlp", "--weights", "8", "--keep", "3", "--domain", "direct", "--epochs", "1"]
    out = tmp_path / "out"
    asked += ["--folder", str(tmp_path), "--out", str(out)]
    result = CliRunner().invoke(finetune.main, asked)
    assert result.exit_code == 0, result.output
    info = json.loads((out / "direct81.json").read_text())
    assert info["pruning"] == {"n": 3, "domain": "direct", "S": 16, "steps": 12}
    made = read(out / "direct81.pt2")
    first, *others = [node.op for node in made if hasattr(node.op, "weights")]
    assert others and (first.weights != 0).mean() > 0.5, "it reads a map of one channel"
    for op in others:
        check(tap_weights(op), SubRows(16, 3))


def test_finetune_prunes_by_table():
    """What is kept of each layer may differ; the name tells how much of the network is zero."""
    network = models.load("digits_mlp")
    pruning = finetune.Pruning({"fc2": 2}, "direct", steps=1)
    target = finetune.Target(8, 8, pruning)
    program = target.program(network, network.calibration)
    sizes = {name: mask.size for name, mask in masks_of(program).items()}
    kept = sizes["fc1"] + sizes["fc2"] / 8
    assert target.name(program) == f"direct{math.floor(100 * (1 - kept / sum(sizes.values())))}"
    assert finetune.written(pruning.n) == "fc2=2"


@pytest.mark.parametrize("keep", ["0", "16", "default=17", "fc1=4,fc1=8", "some"])
def test_finetune_refuses(keep):
    result = CliRunner().invoke(finetune.main, ["digits_mlp", "--keep", keep])
    assert result.exit_code == 2
    assert "--keep" in result.output


def test_finetune_refuses_layers():
    result = CliRunner().invoke(finetune.main, ["digits_mlp", "--keep", "fc1=4"])
    assert result.exit_code == 2
    assert "fc1: cannot be pruned: it has 1 input channels" in result.output


def test_finetune_command(tmp_path):
    folder = reference.Path(models.__file__).parent / "digits_mlp"
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    asked = ["digits_mlp", "--weights", "2", "--activations", "3", "--epochs", "2"]
    result = CliRunner().invoke(finetune.main, [*asked, "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    info = json.loads((tmp_path / "w2a3.json").read_text())
    figure = f"{info['integer_accuracy_percent']:.2f} % in integers on 360 test images"
    assert figure in " ".join(result.output.split())
    assert info["command"].endswith("digits_mlp " + " ".join(asked[1:]) + " --seed 0 --threads 1")
    result = CliRunner().invoke(measure.main, ["digits_mlp", "--folder", str(tmp_path)])
    assert f"w2a3: {info['integer_accuracy_percent']:.2f} %" in result.output


def test_the_table_in_the_docs():
    text = (reference.Path(__file__).parents[1] / "docs" / "training.md").read_text()
    rows = {row.split("`")[1]: row for row in text.splitlines() if row.startswith("| `")}
    assert list(rows) and set(rows) == set(models.names())
    for name, row in rows.items():
        info = models.load(name).info
        start = info if name in NAMES else models.load(info["name"]).info
        columns = [cell.strip() for cell in row.split("|")][1:-1]
        assert columns[2:5] == [
            f"{start['multiply_adds']:,}",
            f"{start['accuracy_percent']:.2f} %",
            f"{info['integer_accuracy_percent']:.2f} %",
        ]
    assert f"{models.load('cifar_resnet8_w4a4').info['before_training_percent']:.2f} %" in text
