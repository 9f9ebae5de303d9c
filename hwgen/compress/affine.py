"""Batch norm, and sums and products with constants, as weights: exactly, in float."""

import torch
from torch import fx

from hwgen.frontend.affine import affine_of, home_of, is_affine, source_of
from hwgen.frontend.calls import calls, constant, layer_of
from hwgen.frontend.neighbours import after
from hwgen.frontend.program import arguments, put, tensor_of

__all__ = ["fold_affine", "set_bias"]

aten = torch.ops.aten


def fold_affine(program: fx.GraphModule) -> None:
    """Into the layer before: ``w * gain`` and ``b * gain + shift``. Into those after: ``w * gain``
    and ``b + w . shift``. Where neither is there, a depthwise convolution of one tap."""
    affine = [node for node in calls(program) if is_affine(node)]
    homes = {node: home_of(node) for node in affine}
    # What goes into the layers after it, the last first; then the rest, the first first.
    backward = [node for node in reversed(affine) if homes[node] == "after"]
    for node in (*backward, *(node for node in affine if homes[node] != "after")):
        gain, shift = affine_of(program, node)
        home, source = homes[node], source_of(node)
        assert source is not None and home is not None, "the support check has seen to it"
        if home == "before":
            weights = _weights(program, source)
            _set_weights(program, source, _along(gain, weights, 0) * weights)
            set_bias(program, source, _bias(program, source) * gain + shift)
        elif home == "after":
            for layer in after(node):
                weights = _weights(program, layer)
                more = (weights * _along(shift, weights, 1)).sum(1)
                set_bias(program, layer, _bias(program, layer) + more)
                _set_weights(program, layer, _along(gain, weights, 1) * weights)
        else:
            _alone(program, node, source, gain, shift)
            continue
        node.replace_all_uses_with(source)
        node.graph.erase_node(node)


def _alone(program: fx.GraphModule, node: fx.Node, source: fx.Node, gain, shift) -> None:
    shape = node.meta["shape"]
    channels, taps = shape[1], (1,) * (len(shape) - 2)
    layer = layer_of(node)
    weight, bias = f"{layer}.weight", f"{layer}.bias"
    readers = [one for one in program.graph.nodes if one.op == "get_attr" and one.target == layer]
    if readers:  # the name of a parameter of the network itself, whose readers keep what it is
        weight, bias = layer, f"{layer}_bias"
        put(program, f"{layer}_given", tensor_of(program, readers[0]).clone())
    for reader in readers:
        reader.target = f"{layer}_given"
    put(program, weight, gain.expand(channels).reshape(-1, 1, *taps).float().clone(), train=True)
    put(program, bias, shift.expand(channels).float().clone(), train=True)
    target = aten.conv2d.default if len(taps) == 2 else aten.conv1d.default
    with program.graph.inserting_before(node):
        stored = [program.graph.get_attr(name) for name in (weight, bias)]
        zeros = [0] * len(taps)
        rest = ([1] * len(taps), zeros, [1] * len(taps), channels)
        made = program.graph.call_function(target, (source, *stored, *rest))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    node.graph.erase_node(node)


def set_bias(program: fx.GraphModule, layer: fx.Node, bias: torch.Tensor) -> fx.Node:
    """Give a convolution or linear layer this bias (float32 for torch), and return its node."""
    old = constant(arguments(layer)["bias"])
    weight = constant(layer.args[1])
    assert weight is not None, "the support check has seen to it"
    stem = str(weight.target)
    name = stem.removesuffix("weight") + "bias" if stem.endswith("weight") else stem + "_bias"
    target = str(old.target) if old is not None else name
    put(program, target, bias.float(), train=True)
    if old is not None:
        return old
    with program.graph.inserting_before(layer):
        node = program.graph.get_attr(target)
    layer.args = (*layer.args[:2], node, *layer.args[3:])
    return node


def _weights(program: fx.GraphModule, layer: fx.Node) -> torch.Tensor:
    weight = constant(layer.args[1])
    assert weight is not None, "the support check has seen to it"
    return tensor_of(program, weight).double()


def _set_weights(program: fx.GraphModule, layer: fx.Node, weights: torch.Tensor) -> None:
    weight = constant(layer.args[1])
    put(program, str(weight.target), weights.float(), train=True)  # type: ignore[union-attr]


def _bias(program: fx.GraphModule, layer: fx.Node) -> torch.Tensor:
    """The bias of a layer, one number a channel."""
    node = constant(arguments(layer)["bias"])
    channels = len(_weights(program, layer))
    return torch.zeros(channels).double() if node is None else tensor_of(program, node).double()


def _along(numbers: torch.Tensor, weights: torch.Tensor, axis: int) -> torch.Tensor:
    return numbers.reshape([-1 if n == axis else 1 for n in range(weights.dim())])
