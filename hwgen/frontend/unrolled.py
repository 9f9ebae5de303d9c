"""From the trace of a forward that runs T steps to the layers and the T that it has.

Every node of the trace becomes a value: what it is in the network, and in which step. A layer is a
``Linear`` and the ``Leaky`` that it feeds; the step of a call is how often its neurons were called
before. What goes from one layer to another within a step, and nothing else, is a chain.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import fx, nn

from hwgen.errors import Problem, UserError
from hwgen.frontend.over_steps import (
    FORWARD,
    READ,
    REMEDY,
    Value,
    added,
    largest,
    reduced,
    refusal,
    stacked,
    text,
)
from hwgen.nn.spiking import Steps

__all__ = ["Unrolled", "unroll"]


@dataclass(frozen=True)
class Unrolled:
    """Names of ``(linear, neurons)`` in order, and how they are run."""

    layers: tuple[tuple[str, str], ...]
    steps: int
    coding: Literal["rate", "direct", "spikes"]
    readout: Literal["count", "first", "membrane", "train"]
    bits: int = 8


class _Tracer(fx.Tracer):
    """Calls of neurons stay calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, nn.Sequential | nn.ModuleList) and (
            hasattr(m, "beta") or super().is_leaf_module(m, module_qualified_name)
        )


def unroll(module: nn.Module) -> Unrolled:
    """What ``module`` runs; UserError if it is no chain of layers run step by step."""
    if isinstance(module, Steps):
        found = _Walk(module.module, single=True).run()
        return replace(
            found,
            steps=module.steps,
            coding=module.coding,
            readout=module.readout,
            bits=module.bits if module.coding == "rate" else found.bits,
        )
    return _Walk(module).run()


class _Walk:
    """Walks a trace once, in order."""

    def __init__(self, module: nn.Module, single: bool = False):
        self.module, self.single = module, single
        self.is_: dict[fx.Node, Value] = {}
        self.calls: dict[str, int] = {}  # of neurons
        self.fed_by: dict[str, str] = {}  # neurons: linear
        self.source: dict[str, str] = {}  # linear: neurons before, or "" for the input
        self.coding: str = "direct"
        self.bits = 8
        self.given_steps: int | None = None

    def run(self) -> Unrolled:
        modes = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        try:
            graph = _Tracer().trace(self.module)
        except UserError:
            raise
        except Exception as error:
            # Whatever a model's own forward raises ends here, so no narrower class will do.
            first = (str(error).strip() or "no message").splitlines()[0]
            reason = f"the forward cannot be followed: {type(error).__name__}: {first}"
            raise UserError(Problem(None, reason, REMEDY)) from error
        finally:
            for part, training in modes:
                part.training = training
        parts = dict(self.module.named_modules())
        for node in graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "get_attr":
                self.is_[node] = Value("state")
            elif node.op == "call_module":
                self._call(node, parts[str(node.target)])
            elif node.op in ("call_function", "call_method"):
                self._function(node)
            elif node.op == "output":
                return self._result(node.args[0])
        raise AssertionError("every trace has an output")

    def _placeholder(self, node: fx.Node) -> None:
        if not self.is_:
            self.is_[node] = Value("input", "", 0) if self.single else Value("frame")
        elif node.args:  # a default
            self.is_[node] = Value("state")
        else:
            raise refusal(str(node.target), "is a second input", "take one tensor")

    def _call(self, node: fx.Node, part: nn.Module) -> None:
        name, given = str(node.target), self._given(node)
        if isinstance(part, nn.Linear):
            if given.kind not in ("frame", "input", "spikes"):
                raise refusal(name, f"takes {text(given)}")
            before = given.name if given.kind == "spikes" else ""
            if given.kind == "frame":
                self.coding = "direct"
            if self.source.setdefault(name, before) != before:
                raise refusal(name, f"takes {before or 'the input'} and then another layer")
            self.is_[node] = Value("sum", name, -1 if given.kind == "frame" else given.at)
        elif hasattr(part, "beta"):
            self._neurons(node, name, given, part)
        else:
            self.is_[node] = given  # Flatten, Dropout, Identity

    def _neurons(self, node: fx.Node, name: str, given: Value, part: nn.Module) -> None:
        if given.kind != "sum":
            raise refusal(name, f"takes {text(given)}", "put a Linear layer before it")
        if self.fed_by.setdefault(name, given.name) != given.name:
            raise refusal(name, f"is fed by {self.fed_by[name]} and by {given.name}")
        if list(self.fed_by.values()).count(given.name) > 1:
            raise refusal(given.name, "feeds several neurons", "give each a Linear of its own")
        at = self.calls.get(name, 0)
        self.calls[name] = at + 1
        if given.at not in (-1, at):
            before = self.source[given.name] or "the input"
            raise refusal(
                name,
                f"takes step {given.at} of {before} in its own step {at}: a loop across layers",
                FORWARD,
            )
        state = [*node.args[1:], *node.kwargs.values()]
        if state and isinstance(state[0], fx.Node):
            memory = self.is_[state[0]]
            fits = memory.kind == "state" if at == 0 else memory == Value("membrane", name, at - 1)
            if not fits:
                raise refusal(name, f"starts step {at} from {text(memory)}")
        elif at and not getattr(part, "init_hidden", False):
            raise refusal(name, f"starts step {at} without its membrane", "pass it on")
        hidden = getattr(part, "init_hidden", False) and not getattr(part, "output", False)
        self.is_[node] = Value("spikes" if hidden else "both", name, at)

    def _given(self, node: fx.Node, place: int = 0) -> Value:
        given = node.args[place] if len(node.args) > place else None
        if not isinstance(given, fx.Node):
            raise refusal(str(node), f"takes {given!r}")
        return self.is_[given]

    def _function(self, node: fx.Node) -> None:
        name = node.target if isinstance(node.target, str) else node.target.__name__
        handler: Callable[[fx.Node], Value] | None = {
            "getitem": self._item,
            "rate_code": self._rate,
            "stack": self._stack,
            "sum": self._reduce,
            "amax": self._reduce,
            "max": self._reduce,
            "add": self._add,
            "iadd": self._add,
            "maximum": self._maximum,
            "getattr": self._attribute,
            **dict.fromkeys(("flatten", "view", "reshape", "squeeze"), self._given),
            **dict.fromkeys(("size", "zeros", "zeros_like", "dim"), lambda node: Value("state")),
        }.get(name)
        if handler is None:
            raise refusal(str(node), f"{name} is not supported in a spiking network")
        self.is_[node] = handler(node)

    def _item(self, node: fx.Node) -> Value:
        given, index = self._given(node), node.args[1]
        if given.kind == "both" and index in (0, 1):
            return replace(given, kind="membrane" if index else "spikes")
        if given.kind == "largest" and index == 0:  # the values of max; its indices have no use
            return given
        if given.kind in ("frame", "train") and isinstance(index, int):
            if given.kind == "frame":
                self.coding = "spikes"
            return Value("input", "", index)
        raise refusal(str(node), f"takes item {index!r} of {text(given)}")

    def _attribute(self, node: fx.Node) -> Value:
        given = self._given(node)
        if given.kind == "largest" and node.args[1] == "values":
            return given
        return Value("state")

    def _rate(self, node: fx.Node) -> Value:
        if self._given(node).kind != "frame":
            raise refusal(str(node), "codes what is not the input")
        self.coding, self.given_steps = "rate", int(node.args[1])  # type: ignore[arg-type]
        self.bits = int(node.args[2])  # type: ignore[arg-type]
        return Value("train")

    def _stack(self, node: fx.Node) -> Value:
        parts: Any = node.args[0]
        values = [self.is_[part] for part in parts if isinstance(part, fx.Node)]
        return stacked(str(node), values, _axis(node, 1))

    def _reduce(self, node: fx.Node) -> Value:
        wanted = str(getattr(node.target, "__name__", node.target))
        return reduced(str(node), wanted, self._given(node), _axis(node, 1))

    def _add(self, node: fx.Node) -> Value:
        a, b = (self.is_[x] if isinstance(x, fx.Node) else x for x in node.args)
        return added(str(node), a, b)

    def _maximum(self, node: fx.Node) -> Value:
        return largest(str(node), self._given(node), self._given(node, 1))

    def _result(self, given: Any) -> Unrolled:
        values = given if isinstance(given, list | tuple) else [given]
        first = self.is_[values[0]]
        readout = {"trains": "train", "count": "count", "largest": "membrane"}.get(first.kind)
        if len(values) > 1 and readout == "train":
            readout = "count"  # (spikes, membranes) of all steps: the usual pair; counts classify
        if self.single and first.kind in ("spikes", "both"):
            readout = "train"
        if not self.single and max(self.calls.values(), default=0) == 1:
            remedy = "give the module of a step to hwgen.nn.spiking.Steps(module, steps=T)"
            raise refusal(first.name, "runs a single step: T is missing", remedy)
        if readout is None:
            raise refusal(None, f"the network returns {text(first)}", READ)
        layers: list[tuple[str, str]] = []
        neurons = first.name
        while neurons:
            layers.insert(0, (self.fed_by[neurons], neurons))
            neurons = self.source[layers[0][0]]
        steps = self.calls[first.name]
        for _, name in layers:
            if self.calls[name] != steps:
                raise refusal(name, f"runs {self.calls[name]} steps where others run {steps}")
        if first.at != steps - 1 or self.given_steps not in (None, steps):
            raise refusal(first.name, f"not all of its {steps} steps are read", READ)
        return Unrolled(tuple(layers), steps, self.coding, readout, self.bits)  # type: ignore


def _axis(node: fx.Node, place: int) -> int:
    """The axis that a call is given; 0 is that of the steps."""
    given = node.args[place] if len(node.args) > place else node.kwargs.get("dim", 0)
    return given if isinstance(given, int) else -1
