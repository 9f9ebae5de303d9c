"""A network that PT2E has quantised, from a file to verified Verilog, by the command line alone."""

import json
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from quantised import Bits, Net, quantised

from hwgen import flow
from hwgen.cli.commands import main

MIXED = {"depth": (4, 4), "wide": (4, 8)}


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """A smaller network on images of 14x14, as a file; and real images with their labels."""
    folder = tmp_path_factory.mktemp("pt2e")
    _, calibration, images, labels = trained
    torch.manual_seed(1)
    small = F.avg_pool2d(calibration, 2)
    module = quantised(Net(width=4).eval(), small, Bits(special=MIXED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(module, (small[:2],))
    torch.export.save(exported, folder / "quantised.pt2")
    images = F.avg_pool2d(images[:60], 2).numpy()
    np.savez(folder / "data.npz", images=images, labels=labels[:60].numpy())
    return folder


def run(*arguments: object):
    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="hwgen")


def test_it_needs_no_data_and_is_bit_exact(folder):
    result = run("build", folder / "quantised.pt2", "--board", "ulx3s", "--out", folder / "built")
    assert result.exit_code == 0, result.stderr
    assert "quantised    already, by PT2E: scales and bits are kept\n" in result.stdout
    assert "accuracy" not in result.stdout and "agreement" not in result.stdout
    simulated = flow.simulate(folder / "built", frames=4)
    assert simulated.bit_exact and simulated.cycles_exact
    report = json.loads((folder / "built" / "report.json").read_text())
    assert (report["quantised_by"], report["bit_exact"]) == ("PT2E", True)
    assert report["largest_lsb"] <= 1


def test_real_images_with_labels_give_both_accuracies(folder):
    data = folder / "data.npz"
    result = run("estimate", folder / "quantised.pt2", "--calibrate", data, "--json")
    report = json.loads(result.stdout)
    assert report["accuracy"]["images"] == 60
    assert report["accuracy"]["agreement"] >= 95
    assert abs(report["accuracy"]["float"] - report["accuracy"]["integer"]) <= 5
    assert report["largest_lsb"] <= 1


@pytest.mark.parametrize(
    "options", [["--bits", "4"], ["--weights", "3"], ["--calibration", "minmax"]]
)
def test_nothing_is_left_to_choose(folder, options):
    result = run("build", folder / "quantised.pt2", *options)
    assert (result.exit_code, result.stderr) == (
        2,
        "error: the network is already quantised, so bits and calibration would change nothing; "
        "leave them out, or give the float network\n",
    )


def test_there_is_nothing_to_sweep(folder):
    for options in ((), ("--calibrate", folder / "data.npz")):
        result = run("sweep", folder / "quantised.pt2", "--out", folder / "sweep", *options)
        assert (result.exit_code, result.stderr) == (
            2,
            "error: quantised is already quantised, so there are no bits to choose; "
            "build it as it is, or give the float network\n",
        )
