"""Networks that PT2E has quantised: every grid kept, and every layer within one step of PT2E's."""

import warnings

import numpy as np
import pytest
import torch
from quantised import Bits, quantised
from torch import fx

from hwgen.compress import compare
from hwgen.frontend import accuracy, quantise_input, read
from hwgen.frontend.load import load
from hwgen.frontend.pt2e import adopt
from hwgen.network import Network

MIXED = {"stem.0": (8, 4), "depth": (5, 4), "wide": (4, 6), "head": (3, 8)}
WAYS = {
    "int8": (Bits(), {}),
    "uint8": (Bits(signed=False, per_channel=False), {}),
    "mixed 4 and 8 bits": (Bits(4, 8, special=MIXED), {}),
    "unsigned 4 bits": (Bits(6, 4, signed=False), {"fold": False}),
    "int32 bias": (Bits(6, 8, integer_bias=True), {}),
    "int32 bias, one scale": (Bits(6, 8, per_channel=False, integer_bias=True), {"fold": False}),
    "weights with a zero point": (Bits(symmetric=False), {}),
    "pools and outputs in float": (Bits(only_layers=True), {}),
    "a range of its own": (Bits(narrow=True), {}),
    "trained": (Bits(4, 6), {"qat": True}),
}


@pytest.fixture(scope="module", params=WAYS)
def converted(request, trained):
    model, calibration, _, _ = trained
    quantizer, options = WAYS[request.param]
    return quantised(model, calibration, quantizer, **options)


#: Ops whose results the network has no node of their own for.
UNNAMED = (
    *("relu", "relu_", "hardtanh", "hardtanh_", "flatten"),
    *("quantize_per_tensor", "dequantize_per_tensor"),
)


def made_by(node: fx.Node) -> tuple[str, bool]:
    """The name of the layer whose result a ``quantize`` op rounds, and whether one has before."""
    again = False
    while node.op == "call_function" and node.target._schema.name.split("::")[1] in UNNAMED:
        again |= "dequantize" in node.target._schema.name
        node = node.args[0]
    if node.op == "placeholder":
        return "input", again
    path, kind = list(node.meta["nn_module_stack"].values())[-1]
    return path if "torch.nn.modules" in str(kind) else node.name, again


class Beside(fx.Interpreter):
    """PT2E's own network, in float32, whose tensors are replaced by the golden model's."""

    def __init__(self, module: fx.GraphModule, network: Network, frames: torch.Tensor):
        super().__init__(module)
        self.golden = network.trace(quantise_input(network, frames))
        self.distances: dict[str, np.ndarray] = {}

    def run_node(self, n: fx.Node):
        result = super().run_node(n)
        if n.op != "call_function" or "::quantize_per_tensor" not in n.target._schema.name:
            return result
        if n.args[0].op == "get_attr":
            return result
        name, again = made_by(n.args[0])
        stages = [f"{name}.requantise", name, f"{name}.rescale"]
        # From one grid to another there is a node of its own, unless both are the same.
        found = [stage for stage in stages if stage in self.golden]
        golden = self.golden[found[-1 if again else 0]]
        if golden.ndim == 4:
            golden = golden.transpose(0, 3, 1, 2)
        if golden.size == result.numel():  # else it is rounded before a pool: see the test below
            golden = golden.reshape(result.shape)
            self.distances[name] = np.abs(result.numpy().astype(int) - golden)
            return torch.from_numpy(golden.astype(result.numpy().dtype))
        return result


def test_every_layer_is_within_one_step_of_pt2e(converted, trained):
    network, frames = read(converted), trained[2][:100]
    beside = Beside(converted, network, frames)
    with torch.no_grad():
        beside.run(frames)
    assert {"input", "point", "add", "wide"} <= beside.distances.keys()
    for name, distance in beside.distances.items():
        assert distance.max() <= 1, name
        assert (distance > 0).mean() < 0.02, name


def test_the_comparison_that_users_see(converted, trained):
    differences = compare(adopt(load(converted)), read(converted), trained[2][:100])
    assert max(d.largest for d in differences.values()) <= 1
    assert "head.requantise" in differences and differences.keys() & {"input", "input.rescale"}


def test_accuracy_is_that_of_pt2e(converted, trained):
    _, _, images, labels = trained
    with torch.no_grad():
        chosen = converted(images).argmax(1)
    theirs = 100 * float((chosen == labels).float().mean())
    network = read(converted)
    assert theirs > 40
    assert abs(theirs - accuracy(network, images, labels.numpy())) <= 1.0


def grids(module: fx.GraphModule) -> set[tuple[float, int]]:
    """Scale and zero point of every activation, as PT2E's ops say."""
    rounded = (
        node
        for node in module.graph.nodes
        if "quantized_decomposed.quantize_per_tensor" in str(node.target)
        and not str(node.args[0].target).endswith(("weight", "bias"))
    )
    return {node.args[1:3] for node in rounded}


def test_grids_are_kept_exactly(converted):
    network = read(converted)
    ours = {
        (node.type.scale, node.type.zero_point)
        for node in network
        if node.op.kind in ("input", "requantise")
    }
    assert grids(converted) <= ours


def test_integers_are_those_that_are_stored(trained):
    module = quantised(*trained[:2], Bits(6, 8, integer_bias=True))
    network, stored = read(module), dict(module.named_buffers())
    frozen = [stored[name].numpy() for name in sorted(stored) if name.startswith("_frozen")]
    layers = [node for node in network if node.op.kind in ("conv2d", "linear")]
    for node in layers:
        weights, kind = node.op.weights, node.op.input
        weights = weights.transpose(0, 3, 1, 2) if node.op.kind == "conv2d" else weights
        assert any(
            np.array_equal(weights.reshape(w.shape), w) for w in frozen if w.size == weights.size
        )
        bias = node.op.bias + kind.zero_point * weights.reshape(len(weights), -1).sum(1)
        assert any(np.array_equal(bias, b) for b in frozen if b.dtype == np.int32)
        assert node.op.weight_bits == 6


def test_a_file_and_an_exported_program_give_the_same(trained, tmp_path):
    model, calibration, _, _ = trained
    module = quantised(model, calibration, Bits(4, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = ({0: torch.export.Dim.AUTO},)
        exported = torch.export.export(module, (calibration[:4],), dynamic_shapes=batch)
    torch.export.save(exported, tmp_path / "q.pt2")
    network = read(module)
    assert network.nodes == read(exported).nodes == read(tmp_path / "q.pt2").nodes
    assert dict(network.notes)["quantised by"] == "PT2E, whose scales and bits are kept"
