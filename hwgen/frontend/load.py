"""Where networks come from: a module, an exported program, or a ``.pt2`` file."""

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.utils._pytree import TreeSpec, treespec_dumps

import hwgen.nn.quantize
import hwgen.nn.winograd  # noqa: F401  both register the ops that programs may hold
from hwgen.errors import Problem, UserError
from hwgen.frontend.archive import read_archive
from hwgen.frontend.decomposed import is_decomposed, is_dequantize, is_quantize
from hwgen.frontend.export import export
from hwgen.frontend.finish import finish
from hwgen.frontend.images import Images, frames_of
from hwgen.frontend.program import is_layer, is_program, output_keys, training_mode

__all__ = ["Source", "load"]

Source = nn.Module | ExportedProgram | str | Path


def load(source: Source, images: Images | None = None) -> fx.GraphModule:
    """``source`` as a program; UserError if it cannot be had.

    A module is exported by ``torch.export``, in eval mode, with ``images`` (N, ...) as its example:
    of several inputs, by the names of ``forward``'s arguments. A ``.pt2`` file is read without
    executing anything in it.
    """
    if isinstance(source, str | Path):
        return read_archive(Path(source))
    if is_program(source):
        return source  # type: ignore[return-value]
    if isinstance(source, ExportedProgram):
        return _flat(source)
    if isinstance(source, fx.GraphModule) and is_decomposed(source.graph):
        return _converted(source)
    if images is None:
        raise UserError(Problem(None, "a module is exported with example frames", "give some"))
    return _flat(export(source, frames_of(_arguments(source, images), images)))


def _arguments(module: nn.Module, images: Images) -> list[str]:
    """The arguments of ``forward`` that inputs are given for; ``input`` if there is but one."""
    module = getattr(module, "_orig_mod", module)  # torch.compile wraps what it compiles
    module = module.module if isinstance(module, nn.DataParallel) else module
    if isinstance(module, torch.jit.ScriptModule):
        return ["input"]
    named = [
        parameter
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    given = images if isinstance(images, Mapping) else {}
    names = []
    for number, parameter in enumerate(named):
        # One with a default is left out, and so is what comes after it, unless it is given.
        later = (other.name for other in named[number:])
        if parameter.default is not parameter.empty and given.keys().isdisjoint(later):
            break
        names.append(parameter.name)
    return names if len(names) > 1 else ["input"]


def _flat(exported: ExportedProgram) -> fx.GraphModule:
    """Weights become ``get_attr`` nodes; what ``torch.export`` noted on each node is kept."""
    signature = exported.graph_signature
    if signature.buffers_to_mutate:
        owners = {name.rpartition(".")[0] for name in signature.buffers_to_mutate.values()}
        raise UserError(*(training_mode(owner) for owner in sorted(owners)))
    lifted = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    keys = _keys(exported.call_spec.out_spec)
    graph = fx.Graph()
    new: dict[fx.Node, fx.Node] = {}
    for node in exported.graph.nodes:
        if node.name in lifted:
            made = graph.create_node("get_attr", lifted[node.name], name=node.name)
        else:
            made = graph.node_copy(node, lambda old: new[old])
        made.meta = _meta(node)
        if made.op == "placeholder":
            made.meta["argument"] = node.name
        elif made.op == "output":
            made.meta["keys"] = keys
        new[node] = made
    return finish({**exported.state_dict, **exported.constants}, graph)


def _converted(module: fx.GraphModule) -> fx.GraphModule:
    """What ``convert_pt2e`` returns, which is flat already, but for torch's checks of its input."""
    graph = fx.Graph()
    new: dict[fx.Node, fx.Node] = {}
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for node in module.graph.nodes:
        if node.op == "call_module":  # torch's guards of the input's shape, which return nothing
            continue
        made = new[node] = graph.node_copy(node, lambda old: new[old])
        made.meta = _meta(node)
        if "shape" not in made.meta and (is_quantize(node) or is_dequantize(node)):
            made.meta |= {"shape": new[node.args[0]].meta.get("shape"), "dtype": torch.float32}
        if made.op == "get_attr":
            made.meta["shape"] = tuple(tensors[str(made.target)].shape)
        elif made.op == "placeholder":
            made.meta["argument"] = str(node.target)
        elif made.op == "output":
            made.meta["keys"] = _keys(module.graph._codegen.pytree_info.out_spec)  # type: ignore[attr-defined]
    return finish(tensors, graph)


def _keys(returned: TreeSpec) -> tuple[str, ...]:
    """Names of what a network returns."""
    try:
        return output_keys(treespec_dumps(returned))
    except (ValueError, NotImplementedError) as error:
        raise UserError(
            Problem(None, str(error), "return a tensor, tuple, list or dict")
        ) from error


def _meta(node: fx.Node) -> dict[str, Any]:
    """What the program keeps of what torch.export noted on a node."""
    value = node.meta.get("val")
    kept: dict[str, Any] = {"path": _path(node.meta.get("nn_module_stack"))}
    if "nn_module_stack" in node.meta:
        kept["nn_module_stack"] = copy.copy(node.meta["nn_module_stack"])
    if isinstance(value, torch.Tensor):
        sizes = tuple(size if isinstance(size, int) else None for size in value.shape)
        kept |= {"shape": sizes, "dtype": value.dtype}
    return kept


def _path(stack: Mapping[str, tuple[str, Any]] | None) -> tuple[str, bool]:
    """Path of the innermost module, and whether that is a layer of torch's own."""
    if not stack:
        return "", False
    path, kind = list(stack.values())[-1]
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return path, is_layer(kind)
