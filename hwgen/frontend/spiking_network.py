"""A quantised spiking model to the integer network that computes the same.

Every weight, bias and threshold of a layer is a whole number of steps of ``2**-fraction``, and so
is every membrane; weights take few values, which are the layer's codebook. Nothing is rounded here:
what does not lie on such a grid is refused.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.grids import narrow
from hwgen.frontend.spiking import SpikingLayer, SpikingModel
from hwgen.network import (
    FirstSpike,
    Input,
    Leaky,
    Linear,
    Network,
    Node,
    RateCode,
    SpikeCount,
    SpikingLinear,
    TensorType,
    spike_train,
)
from hwgen.network.spiking import WIDEST
from hwgen.network.types import signed_bits

__all__ = ["MOST_ENTRIES", "MOST_SHIFT", "decay_of", "fraction_of", "to_network"]

#: Finest grid: more bits after the binary point would not fit a membrane.
MOST_FRACTION = 24

#: Finest leak: a product with 16 bits.
MOST_SHIFT = 16

#: Entries of the largest codebook.
MOST_ENTRIES = 256


def fraction_of(values: np.ndarray, most: int) -> int | None:
    """Bits after the binary point that hold ``values`` exactly; None if ``most`` do not."""
    for bits in range(most + 1):
        scaled = values * 2.0**bits
        if np.array_equal(scaled, np.rint(scaled)):
            return bits
    return None


def decay_of(beta: np.ndarray) -> tuple[np.ndarray, int] | None:
    """``(decay, shift)`` with ``beta = 1 - decay / 2**shift``; None if there is none."""
    shift = fraction_of(1 - beta, MOST_SHIFT)
    return None if shift is None else (narrow(np.rint((1 - beta) * 2**shift).astype(int)), shift)


def to_network(model: SpikingModel) -> Network:
    """The integer network of a model whose numbers lie on grids; UserError if they do not."""
    refuse(problem for layer in model.layers for problem in _problems(layer))
    nodes = list(_entry(model))
    for number, layer in enumerate(model.layers):
        last = number == len(model.layers) - 1
        direct = model.coding == "direct" and number == 0
        readout = "membrane" if last and model.readout == "membrane" else "spikes"
        if direct and readout == "membrane":
            reason = "a single layer with direct coding has no largest membrane"
            raise UserError(Problem(layer.neurons, reason, "read its spikes"))
        try:
            made = (
                _direct(model, layer, nodes[-1]) if direct else [_layer(layer, nodes[-1], readout)]
            )
        except ValueError as error:
            reason = f"its membranes would wrap: {error}"
            remedy = "use smaller weights, fewer inputs, or fewer bits after the binary point"
            raise UserError(Problem(layer.neurons, reason, remedy)) from error
        nodes += made
    kinds = {"count": SpikeCount, "first": FirstSpike}
    if model.readout in kinds:
        nodes.append(_node("readout", kinds[model.readout](nodes[-1].type), nodes))
    return Network(tuple(nodes), (nodes[-1].name,), (*_notes(model), *model.notes))


def _problems(layer: SpikingLayer) -> Iterator[Problem]:
    quantise = "quantise it first"
    for name in ("weight", "bias"):
        if fraction_of(getattr(layer, name), MOST_FRACTION) is None:
            yield Problem(layer.name, f"its {name} is not quantised", quantise)
    entries = len(np.unique(layer.weight))
    if entries > MOST_ENTRIES:
        yield Problem(layer.name, f"its weights take {entries} values", quantise)
    approximate = "or round it, and see what that does, with --approximate"
    if fraction_of(layer.threshold, MOST_FRACTION) is None:
        first = layer.threshold[0]
        reason = f"the threshold {first:g} is no multiple of 2^-{MOST_FRACTION}"
        yield Problem(layer.neurons, reason, f"use {np.rint(first * 256) / 256:g}, {approximate}")
    if decay_of(layer.beta) is None:
        first = layer.beta[0]
        reason = f"the leak beta={first:g} is no multiple of 2^-{MOST_SHIFT}"
        yield Problem(layer.neurons, reason, f"use {np.rint(first * 64) / 64:g}, {approximate}")


def _entry(model: SpikingModel) -> Iterator[Node]:
    """The input, and what codes it."""
    if model.coding == "spikes":
        kind = spike_train(model.steps, model.inputs)
    elif model.coding == "direct":
        step = 2.0**-model.input_fraction
        kind = TensorType((model.inputs,), model.bits, model.input_signed, scale=step)
    else:
        kind = TensorType((model.inputs,), model.bits, False, scale=1 / ((1 << model.bits) - 1))
    yield Node("input", Input(kind), (), kind)  # type: ignore[arg-type]
    if model.coding == "rate":
        coded = RateCode(kind.integers, model.steps)
        yield Node("rate", coded, ("input",), coded.output)  # type: ignore[arg-type]


def _integers(values: np.ndarray, fraction: int) -> np.ndarray:
    return narrow(np.rint(values * 2.0**fraction).astype(np.int64))


def _neurons(layer: SpikingLayer, fraction: int) -> dict:
    found = decay_of(layer.beta)
    assert found is not None, "the check has seen to it"
    return {
        "bias": _integers(layer.bias, fraction),
        "decay": found[0],
        "decay_shift": found[1],
        "threshold": _integers(layer.threshold, fraction),
        "reset": layer.reset,
    }


def _grid(layer: SpikingLayer) -> int:
    """Bits after the binary point that hold all that is added to a membrane, and compared."""
    numbers = np.concatenate([layer.weight.ravel(), layer.bias, layer.threshold])
    fraction = fraction_of(numbers, MOST_FRACTION)
    assert fraction is not None, "the check has seen to it"
    return max(fraction, layer.fraction)


def _width(op, layer: SpikingLayer, given: dict) -> dict:
    """``given`` with the width of the membranes."""
    bits = layer.membrane_bits
    if bits is None:
        bits = signed_bits(*op(**given, membrane_bits=WIDEST).range)
        # A threshold that no membrane reaches takes room too.
        bits = max(bits, signed_bits(0, int(given["threshold"].max())))
    return given | {"membrane_bits": bits}


def _layer(layer: SpikingLayer, source: Node, readout: str) -> Node:
    """Synapses and neurons in one op."""
    fraction = _grid(layer)
    values, indices = np.unique(layer.weight, return_inverse=True)
    size = max(2, 1 << (len(values) - 1).bit_length())
    codebook = np.zeros(size)
    codebook[: len(values)] = values
    given = _neurons(layer, fraction) | {
        "input": source.type.integers,
        "indices": indices.reshape(layer.weight.shape).astype(np.uint8),
        "codebook": _integers(codebook, fraction),
        "readout": readout,
        "activity": layer.activity,
    }
    op = SpikingLinear(**_width(SpikingLinear, layer, given))
    scale = 2.0**-fraction if readout == "membrane" else 1.0
    return _node(layer.neurons, op, [source], scale)


def _direct(model: SpikingModel, layer: SpikingLayer, source: Node) -> list[Node]:
    """Weighted sums once a frame, and the neurons that get them in every step."""
    fine = fraction_of(layer.weight, MOST_FRACTION)
    assert fine is not None, "the check has seen to it"
    fraction = max(_grid(layer), fine + model.input_fraction)
    weights = _integers(layer.weight, fraction - model.input_fraction)
    bits = max(2, signed_bits(int(weights.min()), int(weights.max())))
    if bits > 16:
        reason = f"its weights need {bits} bits, where at most 16 are built"
        raise UserError(Problem(layer.name, reason, "use fewer bits after the binary point"))
    linear = Linear(source.type.integers, weights, _integers(layer.bias, fraction), bits)
    node = _node(layer.name, linear, [source], 2.0**-fraction)
    neurons = _neurons(layer, fraction) | {
        "bias": np.zeros(len(layer.bias), np.int32),
        "input": linear.output,
        "steps": model.steps,
    }
    return [node, _node(layer.neurons, Leaky(**_width(Leaky, layer, neurons)), [node])]


def _node(name: str, op, sources: list[Node], scale: float = 1.0) -> Node:
    taken = {node.name for node in sources}
    while name in taken:
        name += "_"
    return Node(name, op, (sources[-1].name,), replace(op.output, scale=scale))


def _notes(model: SpikingModel) -> Iterator[tuple[str, str]]:
    told = {
        "rate": f"rates of {model.bits} bits by x^16 + x^14 + x^13 + x^11 + 1",
        "direct": f"direct current of {model.bits} bits, steps of 2^-{model.input_fraction}",
        "spikes": "spikes as they come",
    }
    yield "coding", f"{told[model.coding]}, {model.steps} steps"
