"""What the float network and the integer one decide: the class of each image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx, nn

from hwgen.errors import Problem, UserError
from hwgen.frontend.domain import unrounded
from hwgen.frontend.images import Images, batches, count_of, frames_of, quantise_input
from hwgen.frontend.program import ORIGIN, entries
from hwgen.network import Network

__all__ = ["Decisions", "decisions", "domain_loss"]

BATCH = 250

Percent = float | None


@dataclass(frozen=True)
class Decisions:
    """Percent of ``images`` whose largest output is that of the label, in float and as integers,
    None without labels; and percent on which both chose the same, whether right or wrong.

    A network that returns maps, a single number or several tensors decides nothing: then all is
    None.
    """

    float: Percent = None
    integer: Percent = None
    agreement: Percent = None
    images: int | None = None


def decisions(
    program: nn.Module, network: Network, images: Images, labels: np.ndarray | None = None
) -> Decisions:
    """Run ``images`` through a float program and the ``network`` made of it.

    Of equal largest outputs the first counts. Raises UserError if a label names no output.
    """
    if len(network.outputs) > 1:
        return Decisions()
    *places, classes = network.output.type.map_shape
    if places != [1, 1] or classes < 2:
        return Decisions()
    if labels is not None and labels.max(initial=0) >= classes:
        reason = f"a label is {labels.max()}, and the network has {classes} outputs"
        raise UserError(Problem(None, reason, f"number the classes from 0 to {classes - 1}"))
    names = [*entries(program)] if isinstance(program, fx.GraphModule) else [network.input.name]
    frames = frames_of(names, images)
    count = count_of(frames)
    whole = network.compute(quantise_input(network, frames))
    chosen = whole.reshape(count, -1).argmax(1)
    floats = _all_choices(program, frames)
    agreement = 100 * float((chosen == floats).mean())
    if labels is None:
        return Decisions(agreement=agreement, images=count)
    right = [100 * float((one == labels).mean()) for one in (floats, chosen)]
    return Decisions(right[0], right[1], agreement, count)


def domain_loss(
    program: fx.GraphModule, tile: int, images: Images, labels: np.ndarray | None = None
) -> tuple[list[str], float]:
    """Layers with weights in the domain of F(tile x tile, 3 x 3), and the points of accuracy that
    rounding weights and transforms there costs; without labels, percent of other choices."""
    layers, exact = unrounded(program, tile)
    if not layers:
        return layers, 0.0
    frames = frames_of([*entries(program)], images)
    rounded, before = _all_choices(program, frames), _all_choices(exact, frames)
    wanted = before if labels is None else labels
    return layers, 100 * float((before == wanted).mean() - (rounded == wanted).mean())


def _all_choices(program: nn.Module, frames: Mapping[str, torch.Tensor]) -> np.ndarray:
    some = batches(frames, _batch(program) or BATCH)
    return np.concatenate([_choices(program, batch) for batch in some])[: count_of(frames)]


def _batch(program: nn.Module) -> int | None:
    """How many frames the program takes at once, if it was exported for a fixed number."""
    if not isinstance(program, fx.GraphModule) or ORIGIN in program.meta:
        return None  # rewritten since, or never exported
    entry = next(iter(entries(program).values()))
    return (entry.meta.get("shape") or (None,))[0]


def _choices(program: nn.Module, batch: tuple[torch.Tensor, ...]) -> np.ndarray:
    size, count = _batch(program), len(batch[0])
    if size is not None and count < size:
        batch = tuple(
            torch.cat([given, given[:1].expand(size - count, *given.shape[1:])]) for given in batch
        )
    with torch.no_grad():
        outputs = program(
            *(
                given.double() if ORIGIN in getattr(program, "meta", ()) else given
                for given in batch
            )
        )
    outputs = outputs[0] if isinstance(outputs, tuple | list) else outputs
    return outputs.reshape(len(batch[0]), -1).argmax(1).numpy()
