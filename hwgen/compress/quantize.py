"""Quantisation after training: a float network in, the same network on grids of integers out."""

import copy
import warnings
from itertools import chain

import numpy as np
import torch
from torch import fx

from hwgen.compress.bias import channel_means, correct_bias
from hwgen.compress.observers import Grid, choose, observe
from hwgen.compress.passes import PASSES, set_bias
from hwgen.compress.settings import Settings
from hwgen.compress.weights import initial_scales, settle_scales
from hwgen.errors import refuse
from hwgen.frontend.check import calls, constant, layer_of, op_of, problems
from hwgen.frontend.images import Images, check_frames, frames_of
from hwgen.frontend.load import Source, load
from hwgen.frontend.program import arguments, build, put, tensor_of

__all__ = ["quantize"]

ops = torch.ops.hwgen

# Frames held in memory at once, with the maps that they become, to correct the biases.
CORRECTED = 64


def quantize(
    model: Source, calibration: Images, settings: Settings | None = None
) -> fx.GraphModule:
    """The fake-quantised network: floats that are all on the grids of ``frontend.read``.

    ``model`` is a module, an exported program or the path of a ``.pt2`` file; it is not changed.
    ``calibration`` is float (N, C, H, W) or (N, F), real inputs as the network takes them; a few
    hundred will do. The result takes the same inputs, and can be trained further.

    Raises UserError, naming everything that is wrong with the network, the data or the settings.
    """
    with warnings.catch_warnings():
        # Even kernels under "same" padding are slow in torch, not wrong.
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
        return _quantize(model, frames_of(calibration), settings or Settings())


def _quantize(model: Source, frames: torch.Tensor, settings: Settings) -> fx.GraphModule:
    program = load(model, frames)
    layers = [layer_of(node) for node in _weighted(program)]
    refuse(chain(check_frames(program, frames), problems(program), settings.problems(layers)))

    program = copy.deepcopy(program)
    for rewrite in PASSES:
        rewrite(program)
    weighted = _weighted(program)
    (entry,) = (node for node in program.graph.nodes if node.op == "placeholder")
    exits = {node: _after_relu(node) for node in weighted}
    few = frames[:CORRECTED]
    means = channel_means(program, few, weighted)
    scales = {node: _quantise_weights(program, node, settings) for node in weighted}
    correct_bias(program, few, means)
    # Ranges are those that the layer has with its weights already rounded.
    seen = observe(program, frames, [entry, *exits.values()])

    # The input's values are given, not computed: clipping any of them helps nothing.
    grid = choose(seen[entry], settings.activation_bits("input"), "minmax")
    _quantise_activation(program, entry, "input", grid)
    for node in weighted:
        layer, last = layer_of(node), node is weighted[-1]
        bits = settings.activation_bits(layer, last)
        method = "minmax" if last else settings.calibration
        source = grid
        # An output much finer than the sums tells nothing more apart, and its roundings would
        # often be ties, which floats and integers break in different ways.
        least = source.scale * float(scales[node].max()) / 16
        grid = choose(seen[exits[node]], bits, method, least)
        _settle(program, node, settings.weight_bits(layer), scales[node], source, grid)
        _quantise_activation(program, exits[node], layer, grid)
    program = build(
        {**dict(program.named_parameters()), **dict(program.named_buffers())}, program.graph
    )
    program.meta["hwgen_notes"] = _notes(program, settings, layers, len(frames))
    return program


def _weighted(program: fx.GraphModule) -> list[fx.Node]:
    return [node for node in calls(program) if op_of(node) in ("conv2d", "linear")]


def _after_relu(node: fx.Node) -> fx.Node:
    (user,) = node.users
    return user if user.op == "call_function" and op_of(user) == "relu" else node


def _quantise_weights(program: fx.GraphModule, node: fx.Node, settings: Settings) -> torch.Tensor:
    """Put a layer's weights on their grid, and return its scales, one an output channel."""
    bits = settings.weight_bits(layer_of(node))
    source = constant(node.args[1])
    assert source is not None, "the support check has seen to it"
    weights = tensor_of(program, source)
    put(program, str(source.target), weights.clone(), train=True)
    scales = torch.from_numpy(initial_scales(weights.double().numpy(), bits))
    name = f"{source.target}_scale"
    put(program, name, scales)
    if bits == 1:
        made = _call(program, node, ops.binarize.default, source, [name], (0,))
    else:
        put(program, f"{source.target}_zero_point", torch.zeros(len(scales), dtype=torch.int64))
        top = (1 << (bits - 1)) - 1
        made = _call(
            program,
            node,
            ops.fake_quantize.default,
            source,
            [name, f"{source.target}_zero_point"],
            (-top, top, 0),
        )
    node.update_arg(1, made)
    return scales


def _settle(
    program: fx.GraphModule, node: fx.Node, bits: int, scales: torch.Tensor, source: Grid, to: Grid
) -> None:
    """Final scales of a layer's weights and bias, now that both sides' grids are known."""
    bias_node = constant(arguments(node)["bias"])
    bias = np.zeros(len(scales))
    if bias_node is not None:
        bias = tensor_of(program, bias_node).double().numpy()
    weight = constant(node.args[1])
    assert weight is not None, "the support check has seen to it"
    window = tensor_of(program, weight)[0].numel()
    settled, limit = settle_scales(scales.numpy(), bias, source, to, bits, window)
    put(program, f"{weight.target}_scale", torch.from_numpy(settled))
    if bias_node is None:
        return
    bias_node = set_bias(program, node, torch.from_numpy(bias))
    names = [f"{bias_node.target}_scale", f"{bias_node.target}_zero_point"]
    put(program, names[0], torch.from_numpy(settled * source.scale))
    put(program, names[1], torch.zeros(len(settled), dtype=torch.int64))
    made = _call(program, node, ops.fake_quantize.default, bias_node, names, (-limit, limit, 0))
    node.update_arg(2, made)


def _quantise_activation(program: fx.GraphModule, node: fx.Node, layer: str, grid: Grid) -> None:
    names = [f"{layer}.activation_scale", f"{layer}.activation_zero_point"]
    put(program, names[0], torch.tensor(grid.scale, dtype=torch.float64))
    put(program, names[1], torch.tensor(grid.zero_point, dtype=torch.int64))
    following = node.next
    made = _call(program, following, ops.fake_quantize.default, node, names, (0, grid.hi, -1))
    node.replace_all_uses_with(made, delete_user_cb=lambda user: user is not made)


def _call(
    program: fx.GraphModule,
    before: fx.Node,
    target: torch._ops.OpOverload,
    x: fx.Node,
    parameters: list[str],
    rest: tuple[int, ...],
) -> fx.Node:
    with program.graph.inserting_before(before):
        stored = [program.graph.get_attr(name) for name in parameters]
        made = program.graph.call_function(target, (x, *stored, *rest))
    made.meta = dict(x.meta)
    return made


def _notes(
    program: fx.GraphModule, settings: Settings, layers: list[str], frames: int
) -> tuple[tuple[str, str], ...]:
    """What the user should know of how the integers came about."""
    weights = ", ".join(f"{layer} {settings.weight_bits(layer)}" for layer in layers)
    activations = ", ".join(
        f"{layer} {settings.activation_bits(layer, layer == layers[-1])}" for layer in layers
    )
    return (
        ("weight bits", weights),
        ("activation bits", f"input {settings.activation_bits('input')}, {activations}"),
        ("calibration", f"{settings.calibration}, {frames} frames"),
    )
