"""``plan.json``: a plan as text, and back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields

from hwgen.beats import Beats
from hwgen.board import Board
from hwgen.cost import Area
from hwgen.network import Network
from hwgen.network.srbs import SubRows
from hwgen.plan.pipeline import Stage
from hwgen.plan.value import OnData, Plan
from hwgen.rtl_templates import ENGINES, ConvertSpec, FifoSpec, ForkSpec, Spec, Style

__all__ = ["PLUMBING", "PlanError", "plan_from_json", "plan_to_json"]

FORMAT = 2

#: Components that compute nothing.
PLUMBING: dict[str, type] = {kind.__name__: kind for kind in (ConvertSpec, FifoSpec, ForkSpec)}

#: Fields of a folding that are values of several parts.
VALUES: dict[str, type] = {"style": Style, "pattern": SubRows}

#: What reading something else than a plan can raise.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class PlanError(ValueError):
    """The text is no plan for this network."""


def plan_to_json(plan: Plan) -> str:
    """Text of ``plan.json``: the same for equal plans."""
    tree = {
        "format": FORMAT,
        "board": asdict(plan.board),
        "fps_asked": plan.fps_asked,
        "stages": [_stage_tree(stage) for stage in plan.stages],
        "latency": plan.latency,
        "interval": plan.interval,
        "multiply_adds": plan.multiply_adds,
        "utilisation": round(plan.utilisation, 6),
        "multipliers": {role: plan.multipliers(role) for role in ("mac", "requantise")},
        "area": asdict(plan.area),
    }
    if plan.outputs:
        tree["outputs"] = plan.outputs
    if plan.max_port_width is not None:
        tree["max_port_width"] = plan.max_port_width
    if plan.data:
        tree["data"] = asdict(plan.data)
    return json.dumps(tree, indent=1) + "\n"


def _stage_tree(stage: Stage) -> dict:
    spec = stage.spec
    return {
        "name": stage.name,
        "node": stage.node,
        "tensor": stage.tensor,
        "sources": stage.sources,
        "engine": type(spec).__name__,
        "folding": _folding(spec),
        "inputs": [str(beats) for beats in spec.inputs],
        "outputs": [str(beats) for beats in spec.outputs],
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
        elif field.name in VALUES:
            tree[field.name] = asdict(value)
        elif field.name != "ops":
            tree[field.name] = value
    return tree


def _numbers(tree: Mapping, names: Iterable[str]) -> None:
    for name in names:
        if type(tree[name]) is not int:
            raise PlanError(f"{name} is {tree[name]!r}, no whole number")


def plan_from_json(text: str, network: Network) -> Plan:
    """The plan that ``plan_to_json`` wrote for ``network``; PlanError if it is none."""
    kinds = {kind.__name__: kind for some in ENGINES.values() for kind in some}
    try:
        tree = json.loads(text)
        if tree["format"] != FORMAT:
            raise PlanError(f"plan format {tree['format']} is not {FORMAT}")
        board = dict(tree["board"])
        for name in ("initialised", "left_out"):
            board[name] = tuple(board[name])
        board["sources"] = tuple(tuple(source) for source in board["sources"])
        _numbers(tree, ("latency", "interval", "multiply_adds"))
        stages: list[Stage] = []
        for item in tree["stages"]:
            folding: Mapping = item["folding"]
            _numbers(item["area"], item["area"])
            if not isinstance(item["name"], str) or not isinstance(item["reason"], str):
                raise PlanError(f"the stage {item['name']!r} is not named by a text")
            spec: Spec
            if item["node"] is not None:
                made = {
                    name: kind(**folding[name]) for name, kind in VALUES.items() if name in folding
                }
                op = network[item["node"]].op
                spec = kinds[item["engine"]]((op,), **{**folding, **made})
            else:
                tensor = network[item["tensor"]].op.output
                beats = {
                    name: Beats(tensor, **value) if isinstance(value, dict) else value
                    for name, value in folding.items()
                }
                spec = PLUMBING[item["engine"]](**beats)
            sources = tuple((name, port) for name, port in item["sources"])
            stages.append(
                Stage(
                    item["name"],
                    spec,
                    item["node"],
                    item["tensor"],
                    item["reason"],
                    sources,
                    Area(**item["area"]),
                )
            )
        return Plan(
            Board(**board),
            tree["fps_asked"],
            tuple(stages),
            tree["latency"],
            tree["interval"],
            tree["multiply_adds"],
            tuple((name, (stage, port)) for name, (stage, port) in tree.get("outputs", ())),
            tree.get("max_port_width"),
            OnData(**tree["data"]) if "data" in tree else None,
        )
    except PlanError:
        raise
    except BROKEN as error:
        raise PlanError(f"not a plan for this network: {error}") from error
