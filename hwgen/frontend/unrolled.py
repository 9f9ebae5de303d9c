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


@dataclass(frozen=True)
class _Is:
    """What a node of the trace is.

    ``kind`` is "frame" (the input), "train" (of all steps, before the first layer), "input" (of
    step ``at``), "sum" (of layer ``name``'s weights), "spikes" or "membrane" (of neurons ``name``
    in step ``at``), "both", "state" (at the start), or, over steps 0 to ``at``, "trains",
    "membranes", "count", "largest".
    """

    kind: str
    name: str = ""
    at: int = 0


class _Tracer(fx.Tracer):
    """Calls of neurons stay calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, nn.Sequential | nn.ModuleList) and (
            hasattr(m, "beta") or super().is_leaf_module(m, module_qualified_name)
        )


REMEDY = "let its forward run Linear and Leaky alone, a fixed number of steps"


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
        self.is_: dict[fx.Node, _Is] = {}
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
                self.is_[node] = _Is("state")
            elif node.op == "call_module":
                self._call(node, parts[str(node.target)])
            elif node.op in ("call_function", "call_method"):
                self._function(node)
            elif node.op == "output":
                return self._result(node.args[0])
        raise AssertionError("every trace has an output")

    def _refuse(self, name: str | None, reason: str, remedy: str = REMEDY) -> UserError:
        return UserError(Problem(name, reason, remedy))

    def _placeholder(self, node: fx.Node) -> None:
        if not self.is_:
            self.is_[node] = _Is("input", "", 0) if self.single else _Is("frame")
        elif node.args:  # a default
            self.is_[node] = _Is("state")
        else:
            raise self._refuse(str(node.target), "is a second input", "take one tensor")

    def _call(self, node: fx.Node, part: nn.Module) -> None:
        name, given = str(node.target), self._given(node)
        if isinstance(part, nn.Linear):
            if given.kind not in ("frame", "input", "spikes"):
                raise self._refuse(name, f"takes {_text(given)}")
            before = given.name if given.kind == "spikes" else ""
            if given.kind == "frame":
                self.coding = "direct"
            if self.source.setdefault(name, before) != before:
                raise self._refuse(name, f"takes {before or 'the input'} and then another layer")
            self.is_[node] = _Is("sum", name, -1 if given.kind == "frame" else given.at)
        elif hasattr(part, "beta"):
            self._neurons(node, name, given, part)
        else:
            self.is_[node] = given  # Flatten, Dropout, Identity

    def _neurons(self, node: fx.Node, name: str, given: _Is, part: nn.Module) -> None:
        if given.kind != "sum":
            raise self._refuse(name, f"takes {_text(given)}", "put a Linear layer before it")
        if self.fed_by.setdefault(name, given.name) != given.name:
            raise self._refuse(name, f"is fed by {self.fed_by[name]} and by {given.name}")
        if list(self.fed_by.values()).count(given.name) > 1:
            raise self._refuse(given.name, "feeds several neurons", "give each a Linear of its own")
        at = self.calls.get(name, 0)
        self.calls[name] = at + 1
        if given.at not in (-1, at):
            before = self.source[given.name] or "the input"
            raise self._refuse(
                name,
                f"takes step {given.at} of {before} in its own step {at}: a loop across layers",
                _FORWARD,
            )
        state = [*node.args[1:], *node.kwargs.values()]
        if state and isinstance(state[0], fx.Node):
            memory = self.is_[state[0]]
            fits = memory.kind == "state" if at == 0 else memory == _Is("membrane", name, at - 1)
            if not fits:
                raise self._refuse(name, f"starts step {at} from {_text(memory)}")
        elif at and not getattr(part, "init_hidden", False):
            raise self._refuse(name, f"starts step {at} without its membrane", "pass it on")
        hidden = getattr(part, "init_hidden", False) and not getattr(part, "output", False)
        self.is_[node] = _Is("spikes" if hidden else "both", name, at)

    def _given(self, node: fx.Node, place: int = 0) -> _Is:
        given = node.args[place] if len(node.args) > place else None
        if not isinstance(given, fx.Node):
            raise self._refuse(str(node), f"takes {given!r}")
        return self.is_[given]

    def _function(self, node: fx.Node) -> None:
        name = node.target if isinstance(node.target, str) else node.target.__name__
        handler: Callable[[fx.Node], _Is] | None = {
            "getitem": self._item,
            "rate_code": self._rate,
            "stack": self._stack,
            "sum": self._over_steps,
            "amax": self._over_steps,
            "max": self._over_steps,
            "add": self._add,
            "iadd": self._add,
            "maximum": self._maximum,
            "getattr": self._attribute,
            **dict.fromkeys(("flatten", "view", "reshape", "squeeze"), self._given),
            **dict.fromkeys(("size", "zeros", "zeros_like", "dim"), lambda node: _Is("state")),
        }.get(name)
        if handler is None:
            raise self._refuse(str(node), f"{name} is not supported in a spiking network")
        self.is_[node] = handler(node)

    def _item(self, node: fx.Node) -> _Is:
        given, index = self._given(node), node.args[1]
        if given.kind == "both" and index in (0, 1):
            return replace(given, kind="membrane" if index else "spikes")
        if given.kind == "largest" and index == 0:  # the values of max; its indices have no use
            return given
        if given.kind in ("frame", "train") and isinstance(index, int):
            if given.kind == "frame":
                self.coding = "spikes"
            return _Is("input", "", index)
        raise self._refuse(str(node), f"takes item {index!r} of {_text(given)}")

    def _attribute(self, node: fx.Node) -> _Is:
        given = self._given(node)
        if given.kind == "largest" and node.args[1] == "values":
            return given
        return _Is("state")

    def _rate(self, node: fx.Node) -> _Is:
        if self._given(node).kind != "frame":
            raise self._refuse(str(node), "codes what is not the input")
        self.coding, self.given_steps = "rate", int(node.args[1])  # type: ignore[arg-type]
        self.bits = int(node.args[2])  # type: ignore[arg-type]
        return _Is("train")

    def _stack(self, node: fx.Node) -> _Is:
        parts: Any = node.args[0]
        values = [self.is_[part] for part in parts if isinstance(part, fx.Node)]
        first = values[0]
        wanted = [replace(first, at=at) for at in range(len(values))]
        if first.kind not in ("spikes", "membrane") or values != wanted or _axis(node, 1):
            raise self._refuse(str(node), "stacks something else than one layer's steps in order")
        return _Is("trains" if first.kind == "spikes" else "membranes", first.name, values[-1].at)

    def _over_steps(self, node: fx.Node) -> _Is:
        given, wanted = self._given(node), str(getattr(node.target, "__name__", node.target))
        made = {"sum": ("trains", "count")}.get(wanted, ("membranes", "largest"))
        if given.kind != made[0] or _axis(node, 1):
            raise self._refuse(str(node), f"takes {wanted} of {_text(given)}", _READ)
        return replace(given, kind=made[1])

    def _add(self, node: fx.Node) -> _Is:
        a, b = (self.is_[x] if isinstance(x, fx.Node) else x for x in node.args)
        if not isinstance(a, _Is):
            a, b = b, a
        start = b == 0 or (isinstance(b, _Is) and b.kind == "state")
        if isinstance(a, _Is) and a.kind == "state":
            a, start = b, True  # type: ignore[assignment]
        if start and isinstance(a, _Is) and a.kind == "spikes" and a.at == 0:
            return replace(a, kind="count")
        for count, spikes in ((a, b), (b, a)):
            if isinstance(count, _Is) and isinstance(spikes, _Is):
                first = count.kind == "spikes" and count.at == 0
                if (count.kind == "count" or first) and spikes == _Is(
                    "spikes", count.name, count.at + 1
                ):
                    return replace(spikes, kind="count")
        sums = [x.name for x in (a, b) if isinstance(x, _Is) and x.kind == "sum"]
        if len(sums) == 2:
            reason = f"adds the sums of {sums[1]} to those of {sums[0]}: a branch or a loop"
            raise self._refuse(sums[1], f"{reason} across layers", _FORWARD)
        raise self._refuse(str(node), "adds something else than one layer's spikes step by step")

    def _maximum(self, node: fx.Node) -> _Is:
        a, b = self._given(node), self._given(node, 1)
        for most, memory in ((a, b), (b, a)):
            first = most.kind == "membrane" and most.at == 0
            if (most.kind == "largest" or first) and memory == _Is(
                "membrane", most.name, most.at + 1
            ):
                return replace(memory, kind="largest")
        raise self._refuse(str(node), "takes the largest of something else than one membrane")

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
            raise self._refuse(first.name, "runs a single step: T is missing", remedy)
        if readout is None:
            raise self._refuse(None, f"the network returns {_text(first)}", _READ)
        layers: list[tuple[str, str]] = []
        neurons = first.name
        while neurons:
            layers.insert(0, (self.fed_by[neurons], neurons))
            neurons = self.source[layers[0][0]]
        steps = self.calls[first.name]
        for _, name in layers:
            if self.calls[name] != steps:
                raise self._refuse(name, f"runs {self.calls[name]} steps where others run {steps}")
        if first.at != steps - 1 or self.given_steps not in (None, steps):
            raise self._refuse(first.name, f"not all of its {steps} steps are read", _READ)
        return Unrolled(tuple(layers), steps, self.coding, readout, self.bits)  # type: ignore


_FORWARD = "let spikes go forward alone, from layer to layer, within a step"

_READ = "return stacked spikes, their sum over the steps, or the largest membranes"


def _axis(node: fx.Node, place: int) -> int:
    """The axis that a call is given; 0 is that of the steps."""
    given = node.args[place] if len(node.args) > place else node.kwargs.get("dim", 0)
    return given if isinstance(given, int) else -1


def _text(value: _Is) -> str:
    what = {
        "frame": "the whole input",
        "input": f"step {value.at} of the input",
        "train": "all steps of the input",
        "sum": f"the weighted sums of {value.name}",
        "spikes": f"step {value.at} of the spikes of {value.name}",
        "membrane": f"step {value.at} of the membranes of {value.name}",
        "both": f"spikes and membranes of {value.name} together",
        "state": "a constant",
    }
    return what.get(value.kind, f"{value.kind} of {value.name}")
