"""What the user asks of quantisation, checked before anything else happens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

from hwgen.errors import Problem, refuse

__all__ = ["Calibration", "Settings", "by_layer"]

Calibration = Literal["minmax", "percentile", "mse"]
Bits = int | Mapping[str, int]


@dataclass(frozen=True)
class Settings:
    """Bits for weights and activations, 1 to 16 each: one number, or a table by layer name.

    A table may hold ``"default"`` for layers that it does not name (8 otherwise), and that of
    activations ``"input"`` for the network's input, or the names of several. The activations of a
    layer are the integers that leave it. ``output_bits`` is for the network's outputs: logits are
    few, and ties among narrow ones cost accuracy. ``calibration`` says how ranges follow from what
    is observed. With ``approximate``, constants of spiking neurons that hardware cannot hold are
    rounded.

    Raises UserError.
    """

    weights: Bits = 8
    activations: Bits = 8
    output_bits: int = 16
    calibration: Calibration = "mse"
    approximate: bool = False

    def __post_init__(self):
        refuse(self._nonsense())

    def weight_bits(self, layer: str) -> int:
        """Bits of a layer's weights."""
        return _look_up(self.weights, layer)

    def activation_bits(self, layer: str, last: bool = False) -> int:
        """Bits of the integers that leave a layer, or, by its name, enter the network."""
        named = isinstance(self.activations, Mapping) and layer in self.activations
        return self.output_bits if last and not named else _look_up(self.activations, layer)

    def problems(
        self, weighted: Sequence[str], rounded: Sequence[str], inputs: Sequence[str] = ("input",)
    ) -> Iterator[Problem]:
        """Every name in the tables that is no layer with weights, or none that rounds its sums."""
        fields = (
            ("weights", weighted, "layer with weights"),
            ("activations", [*rounded, *inputs], "layer with weights, average or addition"),
        )
        # One table for both names what has weights, or activations.
        for field, known, kinds in fields[self.weights == self.activations :]:
            table = getattr(self, field)
            for name in table if isinstance(table, Mapping) else ():
                if name not in (*known, "default"):
                    nearest = get_close_matches(name, known) or list(known[-5:])
                    yield Problem(
                        None,
                        f"bits of {field} are given for {name!r}, which is no {kinds}",
                        f"nearest are {', '.join(nearest)}",
                    )

    def _nonsense(self) -> Iterator[Problem]:
        for field in ("weights", "activations", "output_bits"):
            value = getattr(self, field)
            table = value if isinstance(value, Mapping) else {None: value}
            for layer, bits in table.items():
                if type(bits) is not int or not 1 <= bits <= 16:
                    place = f"{field} of {layer}" if layer else field
                    yield Problem(None, f"{place}: {bits!r} bits", "use 1 to 16")
        if self.calibration not in get_args(Calibration):
            yield Problem(
                None,
                f"calibration {self.calibration!r} is unknown",
                f"use one of {', '.join(get_args(Calibration))}",
            )


def by_layer(text: str) -> int | dict[str, int]:
    """A number, or a table by layer, as people write them: ``8``, ``conv1=4,fc=8,default=6``.

    Raises ValueError.
    """
    try:
        if "=" not in text:
            return int(text)
        pairs = [entry.rsplit("=", 1) for entry in text.split(",")]
        table = {name.strip(): int(number) for name, number in pairs}
    except ValueError:
        reason = f"{text!r} is neither a number nor a table such as conv1=4,default=8"
        raise ValueError(reason) from None
    if len(table) < len(pairs):
        raise ValueError(f"{text!r} names a layer twice")
    return table


def _look_up(bits: Bits, layer: str) -> int:
    if isinstance(bits, Mapping):
        return bits.get(layer, bits.get("default", 8))
    return bits
