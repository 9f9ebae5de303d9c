"""The plan as a value: every decision, with its reason, and what follows from it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from hwgen.beats import Beats
from hwgen.board import Board
from hwgen.cost import Area, total
from hwgen.network import Network
from hwgen.plan.pipeline import Stage
from hwgen.rtl_templates import ENGINES, ConvertSpec, FifoSpec, Spec

__all__ = ["Plan", "PlanError", "plan_from_json"]

FORMAT = 1


class PlanError(ValueError):
    """The text is no plan for this network."""


@dataclass(frozen=True)
class Plan:
    """Engines and plumbing in the order of the stream, and what the token game says of them.

    ``latency`` and ``interval`` are cycles; ``fps_asked`` is None for the fastest that fits;
    ``multiply_adds`` are the useful ones of a frame, those on padded borders included.
    """

    board: Board
    fps_asked: float | None
    stages: tuple[Stage, ...]
    latency: int
    interval: int
    multiply_adds: int

    @property
    def area(self) -> Area:
        """Estimated area of everything."""
        return total(stage.area for stage in self.stages)

    @property
    def frames_per_second(self) -> float:
        """At the board's clock."""
        return self.board.clock_mhz * 1e6 / self.interval

    def multipliers(self, role: str) -> int:
        """Multipliers built for ``role``: "mac", or "requantise", which utilisation leaves out."""
        return sum(
            stage.spec.multipliers  # type: ignore[attr-defined]
            for stage in self.stages
            if _role(stage.spec) == role
        )

    @property
    def utilisation(self) -> float:
        """Useful multiply-adds over what the multipliers built for them could do, 0 to 1."""
        built = self.multipliers("mac")
        return self.multiply_adds / (built * self.interval) if built else 0.0

    @property
    def fifos(self) -> dict[str, int]:
        """Depth of each FIFO, by name."""
        return {s.name: s.spec.depth for s in self.stages if isinstance(s.spec, FifoSpec)}

    def to_json(self) -> str:
        """Text of ``plan.json``: the same for equal plans."""
        tree = {
            "format": FORMAT,
            "board": asdict(self.board),
            "fps_asked": self.fps_asked,
            "stages": [_stage_tree(stage) for stage in self.stages],
            "latency": self.latency,
            "interval": self.interval,
            "multiply_adds": self.multiply_adds,
            "utilisation": round(self.utilisation, 6),
            "multipliers": {role: self.multipliers(role) for role in ("mac", "requantise")},
            "area": asdict(self.area),
        }
        return json.dumps(tree, indent=1) + "\n"


def _role(spec: Spec) -> str | None:
    """What the multipliers of ``spec`` are for."""
    if not hasattr(spec, "multipliers"):
        return None
    return "mac" if hasattr(spec.ops[0], "macs") else "requantise"  # type: ignore[attr-defined]


def _stage_tree(stage: Stage) -> dict:
    spec = stage.spec
    return {
        "name": stage.name,
        "node": stage.node,
        "engine": type(spec).__name__,
        "folding": _folding(spec),
        "input": str(spec.inputs[0]),
        "output": str(spec.outputs[0]),
        "interval": stage.interval,
        "multipliers": getattr(spec, "multipliers", 0),
        "area": asdict(stage.area),
        "reason": stage.reason,
    }


def _folding(spec: Spec) -> dict:
    """Fields that, with the network, say all of ``spec``."""
    tree = {}
    for field in fields(spec):  # type: ignore[arg-type]
        value = getattr(spec, field.name)
        if isinstance(value, Beats):
            tree[field.name] = {"lanes": value.lanes, "pixels": value.pixels}
        elif field.name != "ops":
            tree[field.name] = value
    return tree


def plan_from_json(text: str, network: Network) -> Plan:
    """The plan that ``to_json`` wrote for ``network``; PlanError if it is none."""
    kinds = {kind.__name__: kind for some in ENGINES.values() for kind in some}
    try:
        tree = json.loads(text)
        if tree["format"] != FORMAT:
            raise PlanError(f"plan format {tree['format']} is not {FORMAT}")
        board = dict(tree["board"])
        board["initialised"] = tuple(board["initialised"])
        board["sources"] = tuple(tuple(source) for source in board["sources"])
        stages: list[Stage] = []
        tensor = network.input.type
        for item in tree["stages"]:
            folding: Mapping = item["folding"]
            spec: Spec
            if item["node"] is not None:
                spec = kinds[item["engine"]]((network[item["node"]].op,), **folding)
                tensor = network[item["node"]].op.output
            elif item["engine"] == "FifoSpec":
                spec = FifoSpec(Beats(tensor, **folding["beats"]), folding["depth"])
            else:
                spec = ConvertSpec(*(Beats(tensor, **folding[n]) for n in ("source", "target")))
            stages.append(
                Stage(item["name"], spec, item["node"], item["reason"], Area(**item["area"]))
            )
        return Plan(
            Board(**board),
            tree["fps_asked"],
            tuple(stages),
            tree["latency"],
            tree["interval"],
            tree["multiply_adds"],
        )
    except PlanError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError(f"not a plan for this network: {error}") from error
