"""A model as integers: quantised, read, and held against the float network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx, nn

from hwgen.compress import (
    Decisions,
    Settings,
    compare,
    decisions,
    distance,
    domain_loss,
    quantize,
    spiking_network,
)
from hwgen.errors import Problem, UserError
from hwgen.frontend import (
    Images,
    adopt,
    are_events,
    count_of,
    first_of,
    is_quantised,
    is_spiking,
    load,
    read,
    trains_of,
)
from hwgen.frontend.images import frames_of
from hwgen.frontend.program import ORIGIN, entries
from hwgen.frontend.spiking import SpikingModel, read_spiking
from hwgen.model import Model
from hwgen.network import Network
from hwgen.nn.spiking import Steps

__all__ = ["Integers", "Progress", "integers", "silent"]

Progress = Callable[[str], None]

#: Frames of noise for a network that came without any.
NOISE = 32

#: Points of accuracy whose loss is worth a warning.
COLLAPSE = 1.0

#: Frames on which each layer is compared with the float network.
COMPARED = 100


def silent(what: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Integers:
    """The integer network of a model, how far it is from the float one, and what both decide.

    ``frames`` are the real inputs that came with the model, or noise if none did.
    ``distance`` is the largest difference, in LSB, of any layer from the fake-quantised model, each
    fed the integer network's own input. ``quantised_by`` is None unless the model came quantised;
    its float network is then the one that its quantiser simulates.
    """

    network: Network
    frames: Images
    distance: int
    decisions: Decisions
    quantised_by: str | None = None
    rounded: str | None = None
    """What rounding constants did, where ``Settings.approximate`` let it happen."""
    warnings: tuple[str, ...] = ()
    """What was built as asked, and is hardly what is wanted."""

    @property
    def report(self) -> dict:
        """What a report says of it."""
        told = {"largest_lsb": self.distance, "quantised_by": self.quantised_by}
        told |= {"rounded": self.rounded} if self.rounded else {}
        return told | ({"warnings": list(self.warnings)} if self.warnings else {})


def integers(
    model: Model, settings: Settings | None = None, progress: Progress = silent
) -> Integers:
    """Quantise ``model``, unless it is already, and read it as integers.

    Accuracy is measured on its test set, or else on its calibration data if that has labels.
    """
    if isinstance(model.source, nn.Module) and is_spiking(model.source):
        return _spiking(model, model.source, settings or Settings(), progress)
    progress("reading the network")
    floats = load(model.source, model.calibration)
    if is_quantised(floats.graph):
        program = floats = _as_it_is(floats, settings)
    else:
        progress("quantising")
        assert model.calibration is not None, "which find has seen to"
        program = quantize(floats, model.calibration, settings)
    network = read(program)
    frames = _real_inputs(model, network, program)
    progress("comparing float and integers")
    differences = compare(program, network, first_of(frames, COMPARED))
    chosen = Decisions()
    warnings: tuple[str, ...] = ()
    if model.test or model.calibration is not None:
        images, labels = model.test or (frames, model.labels)
        progress(f"deciding on {count_of(images)} images")
        chosen = decisions(floats, network, images, labels)
        if chosen.images:
            warnings = _collapse(program, images, labels)
    largest = max(d.largest for d in differences.values())
    return Integers(network, frames, largest, chosen, program.meta.get(ORIGIN), warnings=warnings)


def _collapse(
    program: fx.GraphModule, images: Images, labels: np.ndarray | None
) -> tuple[str, ...]:
    """A warning where taps of F(4 x 4, 3 x 3) are of more sizes than their bits can hold."""
    layers, loss = domain_loss(program, 4, images, labels)
    if loss <= COLLAPSE:
        return ()
    what = "other choices" if labels is None else "accuracy"
    return (
        f"{', '.join(layers)}: rounding in the domain of F(4x4,3x3) costs {loss:.1f} points of "
        f"{what}; train further, give more weight_bits or transform_bits, or use tile=2",
    )


def _spiking(model: Model, module: nn.Module, settings: Settings, progress: Progress) -> Integers:
    """The same of a spiking network, whose constants may have been rounded."""
    progress("quantising")
    assert model.calibration is not None, "which find has seen to"
    frames = _spiking_inputs(model.calibration, module)
    network, changed = spiking_network(module, settings, frames)
    images, labels = model.test or (frames, model.labels)
    progress(f"deciding on {count_of(images)} images")
    exact = read_spiking(module)
    chosen = decisions(_Framed(module, exact), network, images, labels)
    rounded = None
    if changed is not None:
        what = "; ".join(f"{name} {told}" for name, told in network.notes if "rounded" in told)
        after = decisions(_Framed(changed, exact), network, images, labels)
        rounded = f"{what}; in float alone {_percent(chosen)} become {_percent(after)}"
    return Integers(network, frames, distance(network, frames[:COMPARED]), chosen, None, rounded)


class _Framed(nn.Module):
    """A spiking module whose frames come first, as everywhere else: as snnTorch has them, steps do
    in trains of spikes, and stacks of both spikes and membranes leave, of which spikes count."""

    def __init__(self, module: nn.Module, model: SpikingModel):
        super().__init__()
        self.module, self.model = module, model
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.module, Steps):
            return self.module(x)
        out = self.module(x.transpose(0, 1) if self.model.coding == "spikes" else x)
        if isinstance(out, tuple | list):
            return out[0].sum(0)
        return out.transpose(0, 1) if self.model.readout == "train" else out


def _spiking_inputs(given: Images, module: nn.Module) -> np.ndarray:
    """Real inputs of a spiking network, float; events become the trains that they stand for."""
    if not are_events(given):
        return frames_of(["input"], given)["input"].numpy()
    exact = read_spiking(module)
    if exact.coding != "spikes":
        reason = f"takes {exact.inputs} numbers a frame, and was given events"
        raise UserError(Problem("input", reason, "let its forward take the spikes of each step"))
    return trains_of(given, "input", exact.steps, exact.inputs)  # type: ignore[arg-type]


def _percent(chosen: Decisions) -> str:
    if chosen.float is None:
        return f"{chosen.agreement or 100:.2f} % equal to the integers"
    return f"{chosen.float:.2f} % right"


def _as_it_is(program: fx.GraphModule, settings: Settings | None) -> fx.GraphModule:
    """A network that came quantised, which leaves nothing to choose."""
    if settings is not None:
        reason = "the network is already quantised, so bits and calibration would change nothing"
        raise UserError(Problem(None, reason, "leave them out, or give the float network"))
    return adopt(program)


def _real_inputs(model: Model, network: Network, program: fx.GraphModule) -> Images:
    """Calibration data; a quantised network that came without gets noise over all of its range."""
    if model.calibration is not None:
        return model.calibration
    random, made = np.random.default_rng(0), {}
    for name, entry in entries(program).items():
        kind, shape = network[name].type, entry.meta["shape"][1:]
        noise = random.integers(kind.lo, kind.hi, (NOISE, *shape), endpoint=True)
        made[name] = ((noise - kind.zero_point) * np.asarray(kind.scale)).astype(np.float32)
    return made
