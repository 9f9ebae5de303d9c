"""Pruning by sub-rows: which weights are kept, what the others lose, and that it lasts."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwgen.compress import Recipe, Settings, masks_of, prune_srbs, quantize, to_winograd, train
from hwgen.compress.moments import moments, nearly_refit, refit
from hwgen.compress.roundings import LAYERS, weight_of
from hwgen.compress.taps import taps_of
from hwgen.errors import UserError
from hwgen.frontend import load
from hwgen.frontend.calls import calls, constant, layer_of, op_of
from hwgen.frontend.images import frames_of
from hwgen.frontend.program import arguments, tensor_of
from hwgen.network import Conv2d, WinogradConv2d
from hwgen.network.srbs import SubRows, check, tap_weights

sys.path.insert(0, str(Path(__file__).parent))
from branching import IMAGES
from branching import check as check_program

LABELS = np.arange(len(IMAGES)) % 5


class Wide(nn.Module):
    """Channels enough for sub-rows: one more than whole ones, a stride, and a flattened map."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 17, 3, padding=1)
        self.second = nn.Conv2d(17, 16, 3, padding=1)
        self.third = nn.Conv2d(16, 8, 3, stride=2)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(8 * 2 * 3, 5)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x))))
        x = self.pool(torch.relu(self.third(x)))
        return self.fc(torch.flatten(x, 1))


torch.manual_seed(0)
MODEL = Wide().eval()
DENSE = quantize(MODEL, IMAGES)
SHAPES = {"second": (17, 16), "third": (16, 8), "fc": (8, 5)}


def nodes(program):
    return {layer_of(node): node for node in calls(program) if op_of(node) in LAYERS}


def obeys(program, S, n, layers):
    """The integers, to the letter; and the network is what the program computes."""
    network = check_program(program)
    for name in layers:
        check(tap_weights(network[name].op), SubRows(S, n))
    return network


@pytest.mark.parametrize("domain, n", [("winograd", 3), ("winograd", 5), ("direct", 3)])
def test_the_pattern_lasts(domain, n):
    """Through quantisation and training, into the integers."""
    pruned = prune_srbs(DENSE, IMAGES, 8, n, domain)
    masks = masks_of(pruned)
    for name, (channels, _) in SHAPES.items():
        check(masks[name], SubRows(8, n))
        # As many as may be: the last sub-row of 17 channels has a single one.
        whole = min(n, channels % 8) + channels // 8 * n
        assert (masks[name].sum(3) == whole).all()
    assert masks["first"].all()
    network = obeys(pruned, 8, n, SHAPES)
    kinds = {name: type(network[name].op) for name in ("first", "second", "third")}
    moved = WinogradConv2d if domain == "winograd" else Conv2d
    assert kinds == {"first": Conv2d, "second": moved, "third": Conv2d}
    recipe = Recipe(epochs=3, batch=10, peak_lr=3e-3, step_lr=0.05)
    trained = train(pruned, IMAGES, LABELS, recipe, teacher=MODEL)
    after = masks_of(trained)
    assert all(np.array_equal(masks[name], after[name]) for name in masks)
    moved_weights = [
        (weight_of(a, nodes(a)[name]) - weight_of(b, nodes(b)[name])).abs().max()
        for a, b in [(pruned, trained)]
        for name in SHAPES
    ]
    assert min(moved_weights) > 1e-4
    obeys(trained, 8, n, SHAPES)


def test_the_pattern_survives_a_file(tmp_path):
    pruned = prune_srbs(DENSE, IMAGES, 8, 2)
    shape = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(pruned, (torch.from_numpy(IMAGES[:2]),), dynamic_shapes=shape)
    torch.export.save(exported, tmp_path / "pruned.pt2")
    again = load(tmp_path / "pruned.pt2")
    obeys(again, 8, 2, SHAPES)
    trained = train(again, IMAGES, LABELS, Recipe(epochs=1, batch=20))
    obeys(trained, 8, 2, SHAPES)
    masks = masks_of(pruned)
    assert all(np.array_equal(masks[name], mask) for name, mask in masks_of(trained).items())


def added(program, name):
    """What every weight of a layer would add to each of its outputs if it were one, and the bias:
    (outputs, taps * C + 1), float64; with the layer's taps, its weights, and its bias."""
    node = nodes(program)[name]
    weights = weight_of(program, node)
    taps = taps_of(node, weights)
    found = []

    class Reader(torch.fx.Interpreter):
        def run_node(self, n):
            if n is node:
                found.append(self.env[n.args[0]])
            return super().run_node(n)

    with torch.no_grad():
        Reader(program).run(torch.from_numpy(IMAGES))
    columns = []
    for tap, channel in product(range(taps.count), range(taps.channels)):
        one = torch.zeros_like(taps.of(weights))
        one[tap // taps.columns, tap % taps.columns, 0, channel] = 1
        given = [found[0], taps.back(one, weights), None, *node.args[3:]]
        columns.append(node.target(*given)[:, 0].flatten())
    columns.append(torch.ones_like(columns[0]))
    bias = tensor_of(program, constant(arguments(node)["bias"]))
    by_row = taps.of(weights).flatten(0, 1).permute(1, 0, 2).flatten(1)
    return torch.stack(columns, 1).double(), taps, torch.cat([by_row, bias[:, None]], 1).double()


@pytest.mark.parametrize(
    "domain, name",
    [("winograd", "second"), ("direct", "second"), ("direct", "third"), ("direct", "fc")],
)
def test_scores_and_refit(domain, name):
    """Against what each weight adds, one by one: of each sub-row the largest are kept, and nothing
    fits the outputs of all weights better."""
    n, length = 3, 8
    dense = to_winograd(DENSE, 2, ["second"]) if domain == "winograd" else DENSE
    rows, taps, whole = added(dense, name)
    for found in moments(dense, dense, frames_of(["input"], IMAGES), taps):
        torch.testing.assert_close(found, rows.T @ rows, rtol=1e-4, atol=1e-4 * float(found.max()))
    pruned = prune_srbs(DENSE, IMAGES, length, n, domain, steps=1)
    kept = masks_of(pruned)[name].reshape(taps.count, -1, taps.channels).transpose(1, 0, 2)
    # What the layer now reads is not what it read: those before it are pruned as well.
    now, _, fitted = added(pruned, name)
    scores = (whole.abs() * now.square().sum(0).sqrt())[:, :-1]
    scores = scores.unflatten(1, (taps.count, -1)).numpy()
    for start in range(0, taps.channels, length):
        some, of_kept = (x[..., start : start + length] for x in (scores, kept))
        least = np.where(of_kept, some, np.inf).min(2)
        most = np.where(of_kept, -np.inf, some).max(2)
        assert (least >= most * (1 - 1e-5)).all()
    for channel in range(len(fitted)):
        keep = np.append(kept[channel].reshape(-1), True)
        wanted = rows @ whole[channel]
        best = torch.linalg.lstsq(now[:, keep], wanted[:, None], driver="gelsd").solution[:, 0]
        least = (now[:, keep] @ best - wanted).square().mean()
        mine = (now @ fitted[channel] - wanted).square().mean()
        cut = (now[:, keep] @ whole[channel][keep] - wanted).square().mean()
        assert mine <= 1.02 * least + 1e-3 * wanted.var()
        assert mine < cut
    assert masks_of(DENSE)[name].all()


def test_more_steps_lose_less():
    """The choice in steps is better, and what it is made by is nearly the closed form."""
    dense = to_winograd(DENSE, 2, ["second"])
    rows, taps, whole = added(dense, "second")
    products = rows.T @ rows
    lost = {}
    for steps in (1, 4):
        pruned = prune_srbs(DENSE, IMAGES, 8, 2, steps=steps)
        kept = masks_of(pruned)["second"].reshape(taps.count, -1, taps.channels)
        keep = torch.from_numpy(kept.transpose(1, 0, 2).reshape(len(whole), -1))
        keep = torch.cat([keep, torch.ones(len(keep), 1).bool()], 1)
        best = refit(whole, keep, products, whole @ products)
        lost[steps] = ((whole - best) @ products * (whole - best)).sum()
        near = nearly_refit(whole, keep, products, whole @ products, whole)
        assert not near[~keep].any()
        more = ((whole - near) @ products * (whole - near)).sum()
        assert lost[steps] <= more * (1 + 1e-6) <= 1.05 * lost[steps]
    assert lost[4] < 0.97 * lost[1]


def test_ties_keep_the_lowest_channels():
    model = nn.Sequential(nn.Conv2d(2, 8, 1), nn.Conv2d(8, 3, 1)).eval()
    with torch.no_grad():
        for layer in model:
            layer.weight.fill_(0.25)
            layer.bias.fill_(0.5)
    mask = masks_of(prune_srbs(model, IMAGES, 4, 1, "direct"))["1"]
    assert mask.reshape(3, 8).tolist() == [[True, False, False, False] * 2] * 3


def test_n_by_layer():
    pruned = prune_srbs(DENSE, IMAGES, 8, {"default": 4, "fc": 8, "third": 2}, "direct")
    kept = {name: mask.sum(3).max() for name, mask in masks_of(pruned).items()}
    assert kept == {"first": 2, "second": 9, "third": 4, "fc": 8}
    assert dict(pruned.meta["hwgen_notes"])["sparsity"] == "second SRBS(8, 4), third SRBS(8, 2)"


def test_masks_of_ones_own():
    mask = np.zeros((16, 17, 3, 3), bool)
    mask[:, 1::4] = True  # two of eight
    pruned = prune_srbs(DENSE, IMAGES, 8, {"second": 2}, "direct", masks={"second": mask})
    assert np.array_equal(masks_of(pruned)["second"], mask.transpose(2, 3, 0, 1))
    mask[5, 8:11, 2, 1] = True
    with pytest.raises(UserError) as raised:
        prune_srbs(DENSE, IMAGES, 8, {"second": 2}, "direct", masks={"second": mask})
    assert str(raised.value) == (
        "second: its mask is not balanced: tap (2, 1), output channel 5, sub-row 1 (input channels "
        "8 to 15) has 4 weights that are not zero; SRBS(8, 2) allows 2 of 8; keep as many in every "
        "sub-row"
    )
    with pytest.raises(UserError, match=r"second: its mask has the shape \(16,\); .* \(16, 17, 3"):
        prune_srbs(DENSE, IMAGES, 8, 2, "direct", masks={"second": mask[:, 0, 0, 0]})


@pytest.mark.parametrize(
    "given, message",
    [
        ({"S": 2}, "S = 2: hardware has no sub-rows of that length; use one of 4, 8, 16, 32"),
        ({"S": 12}, "S = 12: hardware has no sub-rows of that length; use one of 4, 8, 16, 32"),
        ({"S": 64}, "S = 64: hardware has no sub-rows of that length; use one of 4, 8, 16, 32"),
        ({"n": 17}, "S = 16, n = 17: 17 weights cannot be kept of a sub-row of 16"),
        ({"n": {"third": 0}}, "third: S = 16, n = 0: 0 weights cannot be kept"),
        ({"domain": "fourier"}, "domain 'fourier' is unknown; use one of winograd, direct"),
        ({"n": {"thrid": 4}}, "no layer with weights named 'thrid'; nearest are third"),
        ({"n": {"first": 4}}, "first: cannot be pruned: it has 2 input channels; layers of 16 or"),
        ({"S": 32}, "second: cannot be pruned: it has 17 input channels; layers of 32 or more"),
        ({"n": 16}, "second: cannot be pruned: n = 16 keeps all of its weights; use a smaller n"),
        ({"settings": Settings(4)}, "already quantised; give settings with a float network"),
        ({"tile": 3}, "there is no tile 3"),
        ({"steps": 0}, "steps = 0; use 1 or more"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(UserError) as raised:
        prune_srbs(DENSE, IMAGES, **given)
    assert message in str(raised.value)


def test_why_a_layer_stays_dense():
    """However many channels it has."""
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 16, 3), nn.Conv2d(16, 16, 1, groups=2), nn.Conv2d(16, 8, 1)
    settings = Settings(weights={"2": 1, "default": 8})
    program = quantize(nn.Sequential(*layers, nn.Conv2d(8, 4, 1)), IMAGES, settings)
    with pytest.raises(UserError) as raised:
        prune_srbs(program, IMAGES, 8, {"1": 2, "2": 2, "3": 2})
    assert list(map(str, raised.value.problems)) == [
        "1: cannot be pruned: it has 2 groups, not 1; leave it dense",
        "2: cannot be pruned: its weights have one bit, and none can be zero; "
        "leave it dense, or give it more bits",
    ]


def test_float_networks_are_quantised_first():
    pruned = prune_srbs(MODEL, IMAGES, 8, 4, settings=Settings(6, 8))
    network = obeys(pruned, 8, 4, SHAPES)
    assert {network[name].op.weight_bits for name in SHAPES} == {6}


def test_linear_layers_in_a_row():
    """Only the first one reads a map: sub-rows of the others are of its outputs."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 12 * 14, 16), nn.ReLU(), nn.Linear(16, 4))
    pruned = prune_srbs(model.eval(), IMAGES, 8, 2)
    masks = masks_of(pruned)
    assert {name: mask.shape for name, mask in masks.items()} == {
        "1": (12, 14, 16, 2), "3": (1, 1, 4, 16),
    }  # fmt: skip
    assert [mask.mean() for mask in masks.values()] == [1, 0.25]
    obeys(pruned, 8, 2, ["3"])


def test_signs_and_groups_stay_dense():
    model = nn.Sequential(
        nn.Conv2d(2, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=2), nn.ReLU(),
        nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 4, 1),
    )  # fmt: skip
    pruned = prune_srbs(model.eval(), IMAGES, 8, 2, settings=Settings(weights={"4": 1}))
    assert [mask.mean() for mask in masks_of(pruned).values()] == [1, 1, 1, 0.25]
