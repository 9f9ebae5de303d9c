"""``.pt2`` files, read without executing anything that a stranger may have put in them.

``torch.export.load`` unpickles freely and evaluates the text of shape expressions. Here the archive
is taken for what it is, a zip of JSON and raw arrays: calls are looked up among torch's and hwgen's
own ops, shape expressions are never parsed, and pickles (example inputs among them) never opened.
"""

import json
import operator
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.frontend.finish import finish, no_neurons
from hwgen.frontend.program import is_layer, output_keys, training_mode

__all__ = ["read_archive"]

# torch/_export/serde/schema.py: only the types that a network of ours, or one refused by name, has.
DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
OP = re.compile(r"torch\.ops\.(aten|hwgen|quantized_decomposed)\.([a-z_0-9]+)\.([A-Za-z_0-9]+)")
# torch.fx writes names into the Python that it generates: anything but a plain name is refused.
NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
TENSOR = re.compile(r"[A-Za-z_0-9]+(\.[A-Za-z_0-9]+)*")
PLAIN = {
    "as_int", "as_ints", "as_float", "as_floats", "as_string", "as_strings", "as_bool", "as_bools",
    "as_scalar_type", "as_memory_format", "as_layout",
}  # fmt: skip
SAVE_AGAIN = "save it with torch.export.save of torch 2.8 or later"


def read_archive(path: Path) -> fx.GraphModule:
    """The program in a ``.pt2`` file; UserError if there is none, or it holds what it must not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _program(path, archive)
    except OSError as error:
        raise UserError(
            Problem(None, f"{path} cannot be read: {error.strerror}", "check the path")
        ) from error
    except zipfile.BadZipFile as error:
        raise UserError(Problem(None, f"{path} is no .pt2 archive: {error}", SAVE_AGAIN)) from error
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        # What damaged files run into; nothing but their contents is at work here.
        raise UserError(
            Problem(None, f"{path} is damaged: {type(error).__name__}: {error}", SAVE_AGAIN)
        ) from error


def _program(path: Path, archive: zipfile.ZipFile) -> fx.GraphModule:
    members = {}
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            raise UserError(Problem(None, f"{path} is compressed, which no .pt2 is", SAVE_AGAIN))
        members[member.filename.partition("/")[2]] = member
    models = sorted(name for name in members if re.fullmatch(r"models/[^/]+\.json", name))
    if len(models) != 1:
        raise UserError(Problem(None, f"{path} holds {len(models)} networks", "export one network"))
    name = models[0].removeprefix("models/").removesuffix(".json")

    def content(member: str) -> bytes:
        return archive.read(members[member])

    if content("byteorder") == b"big":
        raise UserError(Problem(None, f"{path} is big-endian", "save it on another machine"))
    tree = json.loads(content(models[0]))
    tensors = {}
    for kind in ("weights", "constants"):
        config = json.loads(content(f"data/{kind}/{name}_{kind}_config.json"))["config"]
        for tensor, entry in config.items():
            if entry["use_pickle"] or not entry["tensor_meta"]:
                reason = f"{path} holds a pickle, which could execute anything"
                raise UserError(Problem(tensor, reason, "use plain tensors as weights"))
            data = content(f"data/{kind}/{entry['path_name']}")
            tensors[tensor] = _tensor(data, entry["tensor_meta"])
    no_neurons(tensors)
    return finish(tensors, _graph(tree["graph_module"]))


def _tensor(data: bytes, meta: dict) -> torch.Tensor:
    kind = DTYPES[meta["dtype"]]
    sizes = [size["as_int"] for size in meta["sizes"]]
    if not data:
        return torch.zeros(sizes, dtype=kind)
    strides = [stride["as_int"] for stride in meta["strides"]]
    flat = torch.frombuffer(bytearray(data), dtype=kind)
    # torch checks that sizes, strides and offset stay within the buffer.
    return torch.as_strided(flat, sizes, strides, meta["storage_offset"]["as_int"]).clone()


def _graph(module: dict) -> fx.Graph:
    tree, signature = module["graph"], module["signature"]
    graph, made = fx.Graph(), {}
    for spec in signature["input_specs"]:
        ((kind, content),) = spec.items()
        if kind == "user_input":
            name = _matching(NAME, content["arg"]["as_tensor"]["name"])
            made[name] = graph.placeholder(name)
        else:
            name = content["arg"]["name"]
            target = _matching(TENSOR, _target(kind, content))
            made[name] = graph.create_node("get_attr", target, name=name)
        made[name].meta = {"path": ("", False), **_meta(tree["tensor_values"], name)}
        if kind == "user_input":
            made[name].meta["argument"] = name
    for call in tree["nodes"]:
        _call(graph, call, made, tree["tensor_values"])
    leaving = []
    for spec in signature["output_specs"]:
        ((kind, content),) = spec.items()
        if kind != "user_output":
            owner = content.get("buffer_name", "the network").rpartition(".")[0]
            raise UserError(training_mode(owner))
        leaving.append(made[content["arg"]["as_tensor"]["name"]])
    keys = output_keys(module["module_call_graph"][0]["signature"]["out_spec"])
    graph.output(tuple(leaving)).meta["keys"] = keys
    return graph


def _matching(pattern: re.Pattern, text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} is no name")
    return text


def _target(kind: str, spec: dict) -> str:
    names = {
        "parameter": "parameter_name",
        "buffer": "buffer_name",
        "tensor_constant": "tensor_constant_name",
    }
    return spec[names[kind]]


def _meta(values: dict, name: str) -> dict:
    sizes = tuple(size.get("as_int") for size in values[name]["sizes"])
    return {"shape": sizes, "dtype": DTYPES.get(values[name]["dtype"])}


def _call(graph: fx.Graph, call: dict, made: dict[str, fx.Node], values: dict) -> None:
    metadata = call["metadata"]
    layers = metadata.get("nn_module_stack", "").split(";")[-1].split(",")
    path = (layers[1], is_layer(layers[2])) if len(layers) == 3 else ("", False)
    named = OP.fullmatch(call["target"])
    overload: Any = None
    if named:
        packet = getattr(getattr(torch.ops, named[1]), named[2], None)
        overload = getattr(packet, named[3], None)
    if not isinstance(overload, torch._ops.OpOverload):
        raise UserError(
            Problem(
                path[0] or call.get("name"),
                f"calls {call['target']!r}, which is not one of torch's operators",
                "use torch's own layers",
            )
        )
    args, kwargs = _arguments(overload._schema, call["inputs"], made)
    outputs = [output for output in call["outputs"] if "as_tensor" in output]
    name = call.get("name") or (outputs[0]["as_tensor"]["name"] if outputs else None)
    node = graph.create_node("call_function", overload, args, kwargs, name=name)
    node.meta = {"path": path}
    for output in call["outputs"]:
        ((kind, content),) = output.items()
        if kind == "as_tensor":
            made[content["name"]] = node
            node.meta |= _meta(values, content["name"])
        elif kind == "as_sym_int" and "as_name" in content:
            made[content["as_name"]] = node
        elif kind == "as_tensors":
            for number, part in enumerate(content):
                made[part["name"]] = one = graph.create_node(
                    "call_function", operator.getitem, (node, number), name=part["name"]
                )
                one.meta = {"path": path, **_meta(values, part["name"])}


def _arguments(
    schema: torch._C.FunctionSchema, inputs: list[dict], made: dict[str, fx.Node]
) -> tuple[tuple, dict[str, Any]]:
    """Positional arguments as far as they go, and the rest by name, as torch.export has them."""
    given = {_matching(NAME, one["name"]): _value(one["arg"], made) for one in inputs}
    for argument in schema.arguments:
        is_tensor = isinstance(argument.type, torch._C.TensorType)
        if is_tensor and not isinstance(given.get(argument.name), fx.Node):
            raise ValueError(f"{schema.name} is given no tensor for {argument.name!r}")
    args: list[Any] = []
    for argument in schema.arguments:
        if argument.kwarg_only or argument.name not in given:
            break
        args.append(given.pop(argument.name))
    known = {argument.name for argument in schema.arguments}
    required = {a.name for a in schema.arguments[len(args) :] if not a.has_default_value()}
    if not required <= set(given) <= known:
        raise ValueError(f"wrong arguments for {schema.name}")
    return tuple(args), given


def _value(argument: dict, made: dict[str, fx.Node]) -> Any:
    ((kind, value),) = argument.items()
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return made[value["name"]]
    if kind == "as_tensors":
        return [made[part["name"]] for part in value]
    if kind == "as_optional_tensor":
        return _value(value, made)
    if kind == "as_sym_int":
        return _size(value, made)
    if kind == "as_sym_ints":
        return [_size(part, made) for part in value]
    if kind == "as_float" and value in ("Infinity", "-Infinity"):
        return float(value)
    if kind == "as_device":
        return torch.device(_matching(NAME, value["type"]))
    parts = value if isinstance(value, list) else [value]
    if kind in PLAIN and all(isinstance(part, int | float | str) for part in parts):
        return value
    raise ValueError(f"an argument of kind {kind}")


def _size(size: dict, made: dict[str, fx.Node]) -> Any:
    return made[size["as_name"]] if "as_name" in size else size["as_int"]
