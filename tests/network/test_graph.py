"""Networks: what is a graph, and what comes back from disk."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hwgen.network import (
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    Requantise,
    StoreError,
    TensorType,
    load_network,
    save_network,
)
from hwgen.network.store import from_bytes, to_bytes


def small() -> Network:
    rng = np.random.default_rng(0)
    source = TensorType((6, 5, 2), 4, False, "int", 0.25, 3)
    nodes = [Node("input", Input(source), (), source)]

    def add(name, op, **extra):
        nodes.append(Node(name, op, (nodes[-1].name,), replace(op.output, **extra)))

    weights = rng.integers(-4, 4, (3, 3, 3, 2), dtype=np.int32)
    conv = Conv2d(source.integers, weights, np.arange(3), 3, (1, 1), (1, 1, 1, 0))
    add("a.conv", conv, scale=(0.5, 0.25, 0.125))
    rounding = Requantise(conv.output, np.full(3, 500), 14, 5, False, 1, 1, 31)
    add("a.conv.requantise", rounding, scale=0.1)
    add("pool", MaxPool2d(nodes[-1].type, (2, 2), (2, 2)))
    weights = rng.integers(-1, 2, (4, *nodes[-1].type.shape), dtype=np.int32)
    add("fc", Linear(nodes[-1].type.integers, weights, np.full(4, 1 << 40), 2))
    return Network(tuple(nodes), ("fc",), (("input", "as it comes"),))


def test_a_network_is_looked_up_and_walked():
    network = small()
    assert [node.name for node in network] == [
        "input", "a.conv", "a.conv.requantise", "pool", "fc",
    ]  # fmt: skip
    assert len(network) == 5
    assert network.input.name == "input" and network.output.name == "fc"
    with pytest.raises(KeyError, match="conv9"):
        network["conv9"]


def test_computing_in_batches_changes_nothing():
    network = small()
    frames = np.random.default_rng(1).integers(0, 16, (7, 6, 5, 2), dtype=np.int32)
    whole = network.trace(frames)["fc"]
    np.testing.assert_array_equal(network.compute(frames, batch=3), whole)
    assert network.compute(frames[:0]).shape == (0, 4)


def broken(**changes) -> Network:
    network = small()
    fields = {"nodes": network.nodes, "outputs": network.outputs} | changes
    return Network(**fields)


def test_malformed_graphs_are_refused():
    nodes = small().nodes
    with pytest.raises(ValueError) as error:
        broken(nodes=(nodes[1], nodes[0]), outputs=())
    assert str(error.value) == (
        "this is no network: a.conv reads input, which no earlier node makes; it has no output"
    )
    with pytest.raises(ValueError) as error:
        broken(nodes=nodes[1:], outputs=("fc", "gone"))
    assert str(error.value) == (
        "this is no network: a.conv reads input, which no earlier node makes; it has no input; "
        "its output 'gone' is no node"
    )
    with pytest.raises(ValueError) as error:
        broken(nodes=(*nodes, nodes[4]))
    assert str(error.value) == "this is no network: two nodes are called 'fc'"
    with pytest.raises(ValueError) as error:
        broken(nodes=(*nodes[:4], replace(nodes[4], inputs=("a.conv",))))
    assert str(error.value) == ("this is no network: fc was made for other inputs than it is given")
    wrong = replace(nodes[4], type=TensorType((4,), 8, False))
    with pytest.raises(ValueError) as error:
        broken(nodes=(*nodes[:4], wrong))
    assert str(error.value) == ("this is no network: fc is declared 4 u8, but its op makes 4 u41")


def test_a_stored_network_equals_itself(tmp_path):
    network = small()
    save_network(network, tmp_path)
    again = load_network(tmp_path)
    assert again == network
    assert to_bytes(again) == to_bytes(network)
    frames = np.random.default_rng(2).integers(0, 16, (3, 6, 5, 2), dtype=np.int32)
    np.testing.assert_array_equal(again.compute(frames), network.compute(frames))


def test_damaged_files_are_refused(tmp_path):
    text, arrays = to_bytes(small())
    tree = json.loads(text)
    for damage in (
        lambda: (text[:-10], arrays),
        lambda: (text, arrays[:-10]),
        lambda: (b"[]", arrays),
        lambda: (b"{}", arrays),
        lambda: (text.replace(b'"fc.weights"', b'"fc.gone"'), arrays),
        lambda: (text.replace(b'"weight_bits": 2', b'"weight_bits": 1'), arrays),
        lambda: (text.replace(b'"shift"', b'"shiver"'), arrays),
    ):
        with pytest.raises(StoreError, match=r"^not a stored network: "):
            from_bytes(*damage())
    with pytest.raises(StoreError, match=r"^network format 3 is not 2$"):
        from_bytes(json.dumps(tree | {"format": 3}).encode(), arrays)
    with pytest.raises(StoreError, match=r"^unknown op 'conv9d'$"):
        from_bytes(text.replace(b'"conv2d"', b'"conv9d"'), arrays)
    with pytest.raises(StoreError, match=r"^cannot read .*network\.json: No such file"):
        load_network(tmp_path)
