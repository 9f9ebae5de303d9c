"""Quantisation after training: a float network in, the same network on grids of integers out."""

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import fx

from hwgen.compress.affine import set_bias
from hwgen.compress.bias import channel_means, correct_bias
from hwgen.compress.observers import Observed, UnsignedGrid, observe
from hwgen.compress.passes import PASSES
from hwgen.compress.places import find_places, is_activation, pads, roots
from hwgen.compress.settings import Settings
from hwgen.compress.ties import Place, choose_grids
from hwgen.compress.weights import initial_scales, settle_scales
from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.affine import home_of, is_affine
from hwgen.frontend.calls import (
    CONCATS,
    WEIGHTED,
    calls,
    constant,
    layer_of,
    op_of,
    rounds,
    will_round,
)
from hwgen.frontend.check import problems
from hwgen.frontend.decomposed import is_quantised
from hwgen.frontend.images import Images, check_frames, frames_of
from hwgen.frontend.load import Source, load
from hwgen.frontend.program import arguments, build, entries, put, set_argument, tensor_of

__all__ = ["quantize"]

ops = torch.ops.hwgen

# Frames held in memory at once, with the maps that they become, to correct the biases.
CORRECTED = 64


def quantize(
    model: Source, calibration: Images, settings: Settings | None = None
) -> fx.GraphModule:
    """The fake-quantised network: floats that are all on the grids of ``frontend.read``.

    ``model`` is a module, an exported program or the path of a ``.pt2`` file; it is not changed.
    ``calibration`` is float (N, C, H, W), (N, C, L) or (N, F), real inputs as the network takes
    them, of several inputs each by its name; a few hundred will do. The result takes the same
    inputs, in order, returns a tuple of several outputs, and can be trained further.

    Raises UserError, naming everything that is wrong with the network, the data or the settings.
    """
    with warnings.catch_warnings():
        # Even kernels under "same" padding are slow in torch, not wrong.
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
        return _quantize(model, calibration, settings or Settings())


def _quantize(model: Source, calibration: Images, settings: Settings) -> fx.GraphModule:
    program = load(model, calibration)
    if is_quantised(program.graph):
        reason = "the network is already quantised"
        raise UserError(Problem(None, reason, "build it as it is, or give the float network"))
    inputs = list(entries(program))
    frames = frames_of(inputs, calibration)
    refuse(
        chain(
            check_frames(program, frames),
            problems(program),
            settings.problems(
                _names(program, _will_have_weights), _names(program, _will_round), inputs
            ),
        )
    )
    program = copy.deepcopy(program)
    for rewrite in PASSES:
        rewrite(program)
    weighted = [node for node in calls(program) if _has_weights(node)]
    few = {name: given[:CORRECTED] for name, given in frames.items()}
    means = channel_means(program, few, weighted)
    scales = {node: _quantise_weights(program, node, settings) for node in weighted}
    correct_bias(program, few, means)

    places = find_places(program, settings, {n: float(s.max()) for n, s in scales.items()})
    # Ranges are those that the layer has with its weights already rounded.
    seen = observe(program, frames, [place.exit for place in places])
    refuse(_overflows(places, seen))
    for pad in pads(program):
        padding = float(arguments(pad)["value"])
        for root in roots(pad):
            seen[root] = replace(
                seen[root], lo=min(seen[root].lo, padding), hi=max(seen[root].hi, padding)
            )
    concats = [roots(node) for node in calls(program) if op_of(node) in CONCATS]
    grids = choose_grids(places, seen, concats)
    for place in places:
        if place.maker in scales:
            # Of several grids of the same sums, the finest: the others are multiples of it.
            to = min((grids[p] for p in places if p.maker is place.maker), key=lambda g: g.scale)
            layer_scales, bits = scales.pop(place.maker), settings.weight_bits(place.layer)
            source = min((grids[p] for p in place.sources), key=lambda g: g.scale)
            _settle(program, place.maker, bits, layer_scales, source, to)
    for pad in pads(program):
        held = (grids[place] for place in places if place.exit in roots(pad))
        _round_padding(pad, min(held, key=lambda grid: grid.scale))
    stored = {name for name, _ in (*program.named_parameters(), *program.named_buffers())}
    times: Counter[str] = Counter()
    for place in places:
        times[place.layer] += 1  # pools may be called again, and sums leave by several activations
        dot = "_" if place.layer in stored else "."  # the name of weights that belong to no layer
        number = "" if times[place.layer] == 1 else times[place.layer]
        name = f"{place.layer}{dot}activation{number}"
        _quantise_activation(program, place.exit, name, grids[place])
    program = build(
        {**dict(program.named_parameters()), **dict(program.named_buffers())}, program.graph
    )
    count = len(next(iter(frames.values())))
    program.meta["hwgen_notes"] = _notes(settings, weighted, places, count)
    return program


def _overflows(places: Sequence[Place], seen: Mapping[fx.Node, Observed]) -> Iterator[Problem]:
    """The first layer whose results are no numbers: those after it cannot be judged."""
    for place in places:
        if not np.isfinite([seen[place.exit].lo, seen[place.exit].hi]).all():
            reason = "its results are NaN or infinite for some of the inputs"
            yield Problem(place.layer, reason, "scale the inputs or the weights down")
            return


def _round_padding(pad: fx.Node, grid: UnsignedGrid) -> None:
    """Pad with the nearest number that the tensor can hold, as its own numbers are rounded."""
    value = float(arguments(pad)["value"])
    q = min(max(round(value / grid.scale), -grid.zero_point), grid.hi - grid.zero_point)
    set_argument(pad, "value", q * grid.scale)


def _names(program: fx.GraphModule, wanted: Callable[[fx.Node], bool]) -> list[str]:
    """Names of some layers, each once."""
    return list(dict.fromkeys(layer_of(node) for node in calls(program) if wanted(node)))


def _has_weights(node: fx.Node) -> bool:
    return op_of(node) in WEIGHTED


def _will_have_weights(node: fx.Node) -> bool:
    return _has_weights(node) or (is_affine(node) and home_of(node) == "alone")


def _will_round(node: fx.Node) -> bool:
    return _will_have_weights(node) or (will_round(node) and not is_affine(node))


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
    program: fx.GraphModule,
    node: fx.Node,
    bits: int,
    scales: torch.Tensor,
    source: UnsignedGrid,
    to: UnsignedGrid,
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


def _quantise_activation(
    program: fx.GraphModule, node: fx.Node, name: str, grid: UnsignedGrid
) -> None:
    """Whoever reads ``node`` is to read it rounded, except activations, which come first."""
    names = [f"{name}_scale", f"{name}_zero_point"]
    put(program, names[0], torch.tensor(grid.scale, dtype=torch.float64))
    put(program, names[1], torch.tensor(grid.zero_point, dtype=torch.int64))
    following = node.next
    made = _call(program, following, ops.fake_quantize.default, node, names, (0, grid.hi, -1))
    node.replace_all_uses_with(
        made,
        delete_user_cb=lambda user: user is not made and (not is_activation(user) or rounds(user)),
    )


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
    settings: Settings, weighted: list[fx.Node], places: list[Place], frames: int
) -> tuple[tuple[str, str], ...]:
    """What the user should know of how the integers came about."""
    layers = map(layer_of, weighted)
    activations = dict.fromkeys(f"{place.layer} {place.bits}" for place in places)
    return (
        ("weight bits", ", ".join(f"{layer} {settings.weight_bits(layer)}" for layer in layers)),
        ("activation bits", ", ".join(activations)),
        ("calibration", f"{settings.calibration}, {frames} frames"),
    )
