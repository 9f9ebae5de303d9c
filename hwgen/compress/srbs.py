"""Pruning in the pattern SRBS(S, n), sub-row-balanced sparsity (network/srbs.py says what it is).

T. Yang et al., "A Winograd-Based CNN Accelerator with a Fine-Grained Regular Sparsity Pattern", FPL
2020; scores and refit are derived.
"""

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, get_args

import numpy as np
import torch
from torch import fx

from hwgen.compress.affine import set_bias
from hwgen.compress.domain import known, movable, quantised, requantise_weights, to_winograd
from hwgen.compress.moments import moments, nearly_refit, refit
from hwgen.compress.quantize import quantize
from hwgen.compress.roundings import LAYERS, weight_of
from hwgen.compress.settings import Settings
from hwgen.compress.taps import Taps, taps_of
from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.calls import calls, constant, layer_of, op_of
from hwgen.frontend.decomposed import is_quantised
from hwgen.frontend.images import Images, check_frames, frames_of
from hwgen.frontend.load import Source, load
from hwgen.frontend.program import arguments, entries, put, tensor_of
from hwgen.network.srbs import LENGTHS, SubRows, check

__all__ = ["Domain", "masks_of", "prune_srbs"]

Domain = Literal["winograd", "direct"]


def prune_srbs(
    model: Source,
    calibration: Images,
    S: int = 16,
    n: int | Mapping[str, int] = 4,
    domain: Domain = "winograd",
    tile: int = 2,
    steps: int = 12,
    settings: Settings | None = None,
    masks: Mapping[str, np.ndarray] | None = None,
) -> fx.GraphModule:
    """A fake-quantised network that keeps ``n`` of every ``S`` (4, 8, 16 or 32) weights; a new one.

    ``model`` is the result of ``compress.quantize`` (or of ``compress.train``), or a float network,
    which is quantised with ``settings`` first. In domain ``winograd``, 3 x 3 convolutions of stride
    1 are moved into that of F(tile x tile, 3 x 3) and pruned there; whatever else has weights, and
    in domain ``direct`` everything, is pruned along its input channels, tap by tap. Layers with
    fewer than ``S`` input channels, with groups or with weights of one bit stay dense, as do those
    with ``n = S``; ``n`` may be a table by layer name, ``"default"`` for the others.

    Kept are the weights with the largest magnitude times the root mean square of what they multiply
    and add to the outputs, over the frames of ``calibration`` (N, ...); of equal ones, those of the
    lowest channels. The weights that are left are refitted by least squares, with the bias: from
    what they now read, to what the layer computed before. Both are done in ``steps``, each of which
    keeps fewer: what has taken over the work of others by then is worth more. ``masks`` (true is
    kept), in the shape of a layer's weights as they then are, replace the choice for the layers
    that they name.

    ``compress.train`` trains the result further and keeps its zeros. Raises UserError.
    """
    refuse(_nonsense(S, n, domain, steps))
    masks = masks or {}
    source = load(model, calibration)
    if not is_quantised(source.graph):
        source = quantize(source, calibration, settings)
    elif settings is not None:
        reason = "the network is already quantised"
        raise UserError(Problem(None, reason, "give settings with a float network alone"))
    program = quantised(source)
    frames = frames_of(list(entries(program)), calibration)
    refuse(check_frames(program, frames))
    names = [layer_of(node) for node in calls(program) if op_of(node) in LAYERS]
    table = n if isinstance(n, Mapping) else {"default": n}
    refuse(known(names, [*(name for name in table if name != "default"), *masks]))
    pattern_of = {name: SubRows(S, table.get(name, table.get("default", S))) for name in names}
    dense = [taps.node for taps in _chosen(program, pattern_of)]
    moved = [layer_of(node) for node in dense if domain == "winograd" and movable(node)]
    program = to_winograd(program, tile, moved)  # a copy, whatever is moved
    chosen = _chosen(program, pattern_of)
    named = [*(name for name in names if table.get(name, S) < S), *masks]
    refuse(_without_layers(program, pattern_of, named))
    whole = copy.deepcopy(program)
    for taps, pattern in chosen.items():
        products, crossed = moments(program, whole, frames, taps)
        given = masks.get(layer_of(taps.node))
        _prune(program, taps, pattern, products, crossed, steps, given)
    program.recompile()
    notes = ", ".join(f"{layer_of(taps.node)} {pattern}" for taps, pattern in chosen.items())
    program.meta["hwgen_notes"] = (*program.meta.get("hwgen_notes", ()), ("sparsity", notes))
    return program


def masks_of(program: fx.GraphModule) -> dict[str, np.ndarray]:
    """Where the weights of each layer of a quantised program are not zero, by tap: (rows of taps,
    columns of taps, K, C), as ``network.srbs.check`` takes them."""
    found = {}
    for node in calls(program):
        if op_of(node) in LAYERS:
            weights = weight_of(program, node)
            found[layer_of(node)] = taps_of(node, weights).of(weights != 0).numpy()
    return found


def _nonsense(S: int, n: int | Mapping[str, int], domain: str, steps: int) -> Iterator[Problem]:
    if steps < 1:
        yield Problem(None, f"steps = {steps!r}", "use 1 or more")
    if domain not in get_args(Domain):
        remedy = f"use one of {', '.join(get_args(Domain))}"
        yield Problem(None, f"domain {domain!r} is unknown", remedy)
    if S not in LENGTHS:
        lengths = ", ".join(map(str, LENGTHS))
        reason = f"S = {S!r}: hardware has no sub-rows of that length"
        yield Problem(None, reason, f"use one of {lengths}")
        return
    for layer, kept in n.items() if isinstance(n, Mapping) else [(None, n)]:
        try:
            SubRows(S, kept)
        except (TypeError, ValueError) as error:
            reason = f"S = {S!r}, n = {kept!r}: {error}"
            yield Problem(layer, reason, f"keep 1 to {S} of each")


def _chosen(program: fx.GraphModule, patterns: Mapping[str, SubRows]) -> dict[Taps, SubRows]:
    """The layers that have something to prune."""
    found = {}
    for node in calls(program):
        if op_of(node) in LAYERS:
            pattern = patterns[layer_of(node)]
            if _obstacle(program, node, pattern) is None:
                found[taps_of(node, weight_of(program, node))] = pattern
    return found


def _obstacle(program: fx.GraphModule, node: fx.Node, pattern: SubRows) -> tuple[str, str] | None:
    """Why a layer with weights has nothing to prune, and what to do; None if it has."""
    given, S = arguments(node), pattern.length
    if given.get("groups", 1) != 1:
        return f"it has {given['groups']} groups, not 1", "leave it dense"
    if op_of(given["weight"]) == "binarize":
        return (
            "its weights have one bit, and none can be zero",
            "leave it dense, or give it more bits",
        )
    channels = taps_of(node, weight_of(program, node)).channels
    if channels < S:
        return f"it has {channels} input channels", f"layers of {S} or more have sub-rows of {S}"
    if pattern.kept == S:
        return f"n = {S} keeps all of its weights", "use a smaller n"
    return None


def _without_layers(
    program: fx.GraphModule, patterns: Mapping[str, SubRows], named: Collection[str]
) -> Iterator[Problem]:
    """Layers that are asked for by name and have nothing to prune; all, if none has any."""
    found = {
        layer_of(node): _obstacle(program, node, patterns[layer_of(node)])
        for node in calls(program)
        if op_of(node) in LAYERS
    }
    for layer, why in found.items():
        if why and (layer in named or all(found.values())):
            yield Problem(layer, f"cannot be pruned: {why[0]}", why[1])
    if not found:
        yield Problem(None, "no layer has weights", "there is nothing to prune")


def _prune(
    program: fx.GraphModule,
    taps: Taps,
    pattern: SubRows,
    products: torch.Tensor,
    crossed: torch.Tensor,
    steps: int,
    given: np.ndarray | None,
) -> None:
    weights = weight_of(program, taps.node)
    by_tap = taps.of(weights).flatten(0, 1)  # (taps, K, C)
    bias = tensor_of(program, constant(arguments(taps.node)["bias"]))  # type: ignore[arg-type]
    whole = torch.cat([by_tap.permute(1, 0, 2).flatten(1), bias[:, None].to(weights.dtype)], 1)
    wanted = whole.double() @ crossed.T
    energy = products.diagonal()[:-1].clamp(min=0).sqrt().reshape(taps.count, 1, -1)
    made = whole.double()
    for now in _fewer(pattern, steps) if given is None else [pattern]:
        if given is None:
            kept = _largest(by_tap.abs().double() * energy, now)
        else:
            kept = _given(taps, pattern, given, weights)
        keep = torch.cat([kept.permute(1, 0, 2).flatten(1), torch.ones(len(bias), 1).bool()], 1)
        made = nearly_refit(whole, keep, products, wanted, made)
        by_tap = made[:, :-1].unflatten(1, (taps.count, -1)).permute(1, 0, 2)
    made = refit(whole, keep, products, wanted)
    by_tap = made[:, :-1].unflatten(1, (taps.count, -1)).permute(1, 0, 2)
    again = taps.back(by_tap.unflatten(0, (taps.rows, taps.columns)), weights).to(weights.dtype)
    put(program, str(constant(arguments(taps.node)["weight"]).target), again, train=True)  # type: ignore
    set_bias(program, taps.node, made[:, -1].to(bias.dtype).clone())
    requantise_weights(program, taps.node)


def _fewer(pattern: SubRows, steps: int) -> list[SubRows]:
    """``pattern`` last, and before it some that keep more."""
    between = np.linspace(pattern.length, pattern.kept, steps + 1)[1:]
    return [SubRows(pattern.length, kept) for kept in dict.fromkeys(map(round, between))]


def _largest(scores: torch.Tensor, pattern: SubRows) -> torch.Tensor:
    """Where the ``n`` largest of every sub-row of ``scores`` (taps, K, C) are."""
    channels = scores.shape[2]
    # Channels beyond the last have no weights: they come after all that do.
    padded = torch.nn.functional.pad(scores, (0, -channels % pattern.length), value=-1.0)
    parts = padded.unflatten(2, (-1, pattern.length))
    order = parts.argsort(dim=3, descending=True, stable=True)[..., : pattern.kept]
    kept = torch.zeros_like(parts, dtype=torch.bool).scatter_(3, order, True)
    return kept.flatten(2)[..., :channels]


def _given(taps: Taps, pattern: SubRows, given: np.ndarray, weights: torch.Tensor) -> torch.Tensor:
    """A mask of the user's, (taps, K, C); UserError if it has another shape or no balance."""
    layer = layer_of(taps.node)
    if given.shape != tuple(weights.shape):
        reason = f"its mask has the shape {given.shape}"
        raise UserError(Problem(layer, reason, f"its weights have {tuple(weights.shape)}"))
    mask = taps.of(torch.from_numpy(np.asarray(given, bool)))
    try:
        check(mask.numpy(), pattern)
    except ValueError as error:
        reason = f"its mask is not balanced: {error}"
        raise UserError(Problem(layer, reason, "keep as many in every sub-row")) from error
    return mask.flatten(0, 1)
