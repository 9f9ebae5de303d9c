"""Networks on disk: ``network.json`` for the structure, ``network.safetensors`` for the arrays.

Loading executes nothing: JSON, and a format that holds arrays only.
"""

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hwgen.network.graph import Network, Node
from hwgen.network.table import OPS
from hwgen.network.types import TensorType

__all__ = ["StoreError", "from_bytes", "identity", "load_network", "save_network", "to_bytes"]

FORMAT = 2

#: What reading something else than a network can raise.
BROKEN = (
    SafetensorError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


class StoreError(ValueError):
    """The files are damaged, or not a network."""


def to_bytes(network: Network) -> tuple[bytes, bytes]:
    """``(json, safetensors)``: the same bytes for equal networks."""
    arrays: dict[str, np.ndarray] = {}
    nodes = []
    for node in network:
        op: dict = {"kind": node.op.kind}
        for field in fields(node.op):  # type: ignore[arg-type]
            value = getattr(node.op, field.name)
            if isinstance(value, np.ndarray):
                key = f"{node.name}.{field.name}"
                arrays[key] = np.ascontiguousarray(value)
                value = {"array": key}
            elif isinstance(value, TensorType):
                value = asdict(value)
            elif isinstance(value, tuple) and isinstance(value[0], TensorType):
                value = [asdict(kind) for kind in value]
            op[field.name] = value
        nodes.append(
            {"name": node.name, "inputs": node.inputs, "type": asdict(node.type), "op": op}
        )
    text = {
        "format": FORMAT,
        "outputs": network.outputs,
        "output_names": network.output_names,
        "notes": dict(network.notes),
        "nodes": nodes,
    }
    return (json.dumps(text, indent=1) + "\n").encode(), save(arrays)


def identity(network: Network) -> int:
    """64 bits that tell networks apart: the first of the SHA-256 of both files, one after the
    other."""
    return int.from_bytes(hashlib.sha256(b"".join(to_bytes(network))).digest()[:8], "big")


def from_bytes(text: bytes, arrays: bytes) -> Network:
    """The network that ``to_bytes`` wrote; StoreError if these bytes are none."""
    try:
        tree, tensors = json.loads(text), load(arrays)
        if tree["format"] != FORMAT:
            raise StoreError(f"network format {tree['format']} is not {FORMAT}")
        nodes = tuple(
            Node(
                node["name"],
                _op(node["op"], tensors),
                tuple(node["inputs"]),
                _type(node["type"]),
            )
            for node in tree["nodes"]
        )
        return Network(
            nodes,
            tuple(tree["outputs"]),
            tuple(tree["notes"].items()),
            tuple(tree["output_names"]),
        )
    except StoreError:
        raise
    except BROKEN as error:
        raise StoreError(f"not a stored network: {error}") from error


def save_network(network: Network, folder: Path) -> None:
    """Write both files into ``folder``."""
    text, arrays = to_bytes(network)
    (folder / "network.json").write_bytes(text)
    (folder / "network.safetensors").write_bytes(arrays)


def load_network(folder: Path) -> Network:
    """Read both files of ``folder``; StoreError if they are missing or damaged."""
    try:
        text = (folder / "network.json").read_bytes()
        arrays = (folder / "network.safetensors").read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}") from error
    return from_bytes(text, arrays)


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _type(tree: dict) -> TensorType:
    return TensorType(**{name: _tuples(value) for name, value in tree.items()})


def _op(tree: dict, tensors: dict[str, np.ndarray]):
    tree = dict(tree)
    kind = tree.pop("kind")
    if kind not in OPS:
        raise StoreError(f"unknown op {kind!r}")
    return OPS[kind](**{name: _field(value, tensors) for name, value in tree.items()})


def _field(value, tensors: dict[str, np.ndarray]):
    if isinstance(value, list):
        return tuple(_field(item, tensors) for item in value)
    if isinstance(value, dict):
        return tensors[value["array"]] if "array" in value else _type(value)
    return value
