"""Concatenation, slices, padding and upsampling, against torch; and their ranges."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hwgen.network import Concat, Input, Network, Node, Pad2d, Slice, TensorType, Upsample2d
from hwgen.network.store import from_bytes, to_bytes

sys.path.insert(0, str(Path(__file__).parent))
from arrays import draw, draw_type, first


def draw_map(seed: int) -> tuple[np.random.Generator, TensorType, np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = draw_type(rng, tuple(int(n) for n in rng.integers((2, 2, 2), (8, 8, 6))))
    return rng, kind, draw(rng, kind)


def equal(op, x: np.ndarray, expected: torch.Tensor) -> None:
    y = op.compute(x)
    assert y.shape[1:] == op.output.shape
    np.testing.assert_array_equal(first(y).numpy(), expected.numpy())


@pytest.mark.parametrize("seed", range(20))
def test_slices_pads_and_upsampling_are_torchs(seed):
    rng, kind, x = draw_map(seed)
    start = tuple(int(n) for n in rng.integers(0, kind.shape))
    stop = tuple(int(rng.integers(a, size)) + 1 for a, size in zip(start, kind.shape, strict=True))
    rows, columns, channels = (slice(*ends) for ends in zip(start, stop, strict=True))
    equal(Slice(kind, start, stop), x, first(x)[:, channels, rows, columns])
    top, bottom, left, right = padding = tuple(int(n) for n in rng.integers(0, 4, 4))
    value = int(rng.integers(kind.lo, kind.hi + 1))
    padded = F.pad(first(x), (left, right, top, bottom), value=value)
    equal(Pad2d(kind, padding, value), x, padded)
    factor = tuple(int(n) for n in rng.integers(1, 4, 2))
    larger = F.interpolate(first(x), scale_factor=tuple(map(float, factor)))
    equal(Upsample2d(kind, factor), x, larger)


@pytest.mark.parametrize("shape", [(), (3, 4)])
@pytest.mark.parametrize("seed", range(10))
def test_concat_is_torchs_and_not_a_bit_too_wide(shape, seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 5))
    kinds = tuple(draw_type(rng, (*shape, int(rng.integers(1, 5)))) for _ in range(count))
    shifts, zero = tuple(int(n) for n in rng.integers(0, 5, count)), int(rng.integers(-5, 5))
    op, x = Concat(kinds, shifts, zero), [draw(rng, kind) for kind in kinds]
    y = op.compute(*x)
    expected = torch.cat(
        [
            (first(part) - kind.zero_point) * 2.0**shift + zero
            for part, kind, shift in zip(x, kinds, shifts, strict=True)
        ],
        1,
    )
    assert y.shape[1:] == op.output.shape
    np.testing.assert_array_equal(first(y).numpy(), expected.numpy())
    lo, hi = op.output.lo, op.output.hi
    assert lo <= y.min() and y.max() <= hi
    if op.output.bits > 1:
        narrower = TensorType(op.output.shape, op.output.bits - 1, op.output.signed)
        assert y.min() < narrower.lo or y.max() > narrower.hi


def test_vectors_are_sliced_and_join_maps_of_one_pixel():
    vector, pixel = TensorType((5,), 4, False), TensorType((1, 1, 3), 4, False)
    part = Slice(vector, (0, 0, 1), (1, 1, 3))
    assert part.output.shape == (2,)
    np.testing.assert_array_equal(part.compute(np.arange(5)[None]), [[1, 2]])
    for kinds, shape in (((vector, pixel), (8,)), ((pixel, vector), (1, 1, 8))):
        op = Concat(kinds, (0, 0))
        assert op.output.shape == shape and op.is_plain
        assert op.compute(*(np.ones((2, *kind.shape), int) for kind in kinds)).shape == (2, *shape)


def test_they_are_stored():
    x = TensorType((4, 4, 2), 8, False, zero_point=3)
    nodes = [Node("input", Input(x), (), x)]
    for op in (Slice(x, (0, 0, 1), (4, 4, 2)), Pad2d(x, (0, 0, 1, 0), 3), Upsample2d(x, (2, 1))):
        nodes.append(Node(op.kind, op, ("input",), op.output))
    concat = Concat((nodes[1].type, x, x), (1, 0, 0), 3)
    nodes.append(Node("cat", concat, ("slice", "input", "input"), concat.output))
    network = Network(tuple(nodes), ("cat", "pad2d", "upsample2d"))
    assert from_bytes(*to_bytes(network)) == network


MAP = TensorType((4, 5, 4), 8, False)
NONSENSE = {
    "cannot put [(4, 5, 4)] side by side": lambda: Concat((MAP,), (0,)),
    "cannot put [(4, 5, 4), (4,)] side by side":
        lambda: Concat((MAP, TensorType((4,), 8, False)), (0, 0)),
    "shifts must be one of 0 to 24 for each tensor, not (0,)": lambda: Concat((MAP, MAP), (0,)),
    "shifts must be one of 0 to 24 for each tensor, not (0, -1)":
        lambda: Concat((MAP, MAP), (0, -1)),
    "(0, 0, 2) to (4, 5, 2) is no part of (4, 5, 4)": lambda: Slice(MAP, (0, 0, 2), (4, 5, 2)),
    "(0, 0, 0) to (4, 6, 4) is no part of (4, 5, 4)": lambda: Slice(MAP, (0, 0, 0), (4, 6, 4)),
    "cannot pad (4, 5, 4) by (0, 0, -1, 0)": lambda: Pad2d(MAP, (0, 0, -1, 0), 0),
    "value must be 0 to 255, not 256": lambda: Pad2d(MAP, (0, 0, 1, 0), 256),
    "cannot repeat (4, 5, 4) by (0, 1)": lambda: Upsample2d(MAP, (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError) as error:
        NONSENSE[text]()
    assert str(error.value) == text


def test_bipolar_maps_are_neither_padded_nor_put_side_by_side():
    """Streams carry them as 0 and 1, and what pads or aligns them would take those for numbers."""
    signs = TensorType((2, 2, 3), 1, False, "bipolar")
    for value in (-1, 1):
        with pytest.raises(ValueError, match="no zero to pad with"):
            Pad2d(signs, (1, 0, 0, 0), value)
    with pytest.raises(ValueError, match="bipolar inputs cannot be put side by side"):
        Concat((signs, TensorType((2, 2, 3), 1, False)), (0, 0))
