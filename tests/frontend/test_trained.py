"""Networks that hwgen has quantised itself, as files: read, built and refused as others are."""

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import flow
from hwgen.compress import Settings, quantize
from hwgen.errors import UserError
from hwgen.frontend import adopt, is_quantised, load, quantise_input, read
from hwgen.model import find

IMAGES = np.random.default_rng(0).random((40, 2, 6, 6), dtype=np.float32)


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    return quantize(nn.Sequential(*layers).eval(), IMAGES, Settings(3, 4))


@pytest.fixture(scope="module")
def file(program, tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "w3a4.pt2"
    dynamic = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(program, (torch.from_numpy(IMAGES[:2]),), dynamic_shapes=dynamic)
    torch.export.save(exported, path)
    return path


def test_a_file_is_the_same_network(program, file):
    assert is_quantised(load(file).graph)
    wanted = read(program)
    q = quantise_input(wanted, IMAGES)
    for made in (read(load(file)), read(adopt(load(file)))):
        assert [node.name for node in made] == [node.name for node in wanted]
        assert [node.type for node in made] == [node.type for node in wanted]
        np.testing.assert_array_equal(made.compute(q), wanted.compute(q))


def test_a_file_is_built_as_it_is(program, file):
    made = flow.integers(find(file, IMAGES))
    assert made.quantised_by == "hwgen"
    assert made.distance <= 1
    assert made.network["0"].op.weight_bits == 3
    assert made.decisions.agreement >= 95
    assert flow.integers(find(file)).quantised_by == "hwgen", "without data too"


def test_bits_of_it_cannot_be_chosen_again(file):
    for again in (
        lambda: flow.integers(find(file, IMAGES), Settings(8, 8)),
        lambda: quantize(load(file), IMAGES),
    ):
        with pytest.raises(UserError, match="is already quantised"):
            again()
