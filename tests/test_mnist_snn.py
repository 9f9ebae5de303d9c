"""The spiking reference networks: what is on record of them is so, and they build."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwgen import flow, models
from hwgen.compress import Settings, distance, spiking_network
from hwgen.errors import UserError
from hwgen.frontend import accuracy
from hwgen.sweep.run import sweep


@pytest.fixture(scope="module")
def network():
    return models.load("mnist_snn")


@pytest.mark.parametrize(
    ("name", "hidden", "percent"),
    [("mnist_snn", 128, 97.3), ("mnist_snn_large", 160, 98.0), ("mnist_snn_small", 32, 96.5)],
)
def test_integers_of_4_bits(name, hidden, percent):
    network = models.load(name)
    info = network.info
    assert info["name"] == name
    assert info["integer_accuracy_percent"] >= percent
    assert info["integer_accuracy_percent"] >= info["float_network_accuracy_percent"] - 0.5
    assert info["integer_accuracy_percent_25_steps"] >= percent - 0.5
    assert info["steps"] >= 8
    made, rounded = spiking_network(network.module, Settings(weights=4), network.calibration)
    assert rounded is None
    layers = [node.op for node in made if node.op.kind == "spiking_linear"]
    assert [(op.neurons, op.input.channels) for op in layers] == [(hidden, 784), (10, hidden)]
    assert all(op.index_bits == 4 and not op.saturates for op in layers)
    assert distance(made, network.calibration[:50]) == 0
    # All of the test set takes ten seconds; a part of it differs by chance.
    assert accuracy(made, network.test_images, network.test_labels) == pytest.approx(
        info["integer_accuracy_percent"], abs=1e-6
    )


def test_the_weights_are_the_codebook(network):
    """The default of 8 bits a weight finds the 16 values that were trained."""
    for bits in (4, 8):
        made, _ = spiking_network(network.module, Settings(weights=bits), network.calibration[:50])
        ops = [node.op for node in made if node.op.kind == "spiking_linear"]
        assert [op.index_bits for op in ops] == [4, 4]
        weight = network.module.fc1.weight.detach().numpy()
        assert len(np.unique(weight)) <= 16
        assert np.array_equal(
            ops[0].weights / ops[0].weights.max(), weight.astype(float) / weight.max()
        )


def test_it_is_bit_exact(network, tmp_path):
    flow.build("mnist_snn", "arty_a7_100t", tmp_path / "x", fps=10_000)
    result = flow.simulate(tmp_path / "x", frames=4)
    assert result.bit_exact and result.cycles_exact
    assert result.report["data"]["interval_mean"] < 11_000


def test_a_sweep_is_refused(tmp_path):
    with pytest.raises(UserError, match="mnist_snn is spiking, which is not swept"):
        sweep("mnist_snn", out=tmp_path / "s")


def test_the_record_is_within_the_aims():
    """Of the network of 98 %: area, cycles on average over the test set, and how busy its units
    are; of all, that simulation found the integers and the cycles foretold."""
    found = json.loads((Path(__file__).parents[1] / "docs/benchmarks/spiking.json").read_text())
    for network in found["networks"].values():
        assert all(row["bit_exact"] and row["cycles_exact"] for row in network["families"].values())
    large = found["networks"]["mnist_snn_large"]
    assert large["accuracy"]["integer"] >= 98
    made = large["families"]["xilinx7"]
    assert made["lut"] < 3000 and made["bram"] <= 2 * 18
    assert made["cycles_mean"] <= min(10_000, 1.1 * made["cycles_ideal"])
    cells = [row["cells"] for row in found["growth"]]
    assert cells[-1] <= 1.15 * cells[0]
