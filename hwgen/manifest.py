"""What is in a build directory: ports, packing, probes, hashes and versions."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hwgen.beats import Beats
from hwgen.network.types import TensorType
from hwgen.registers import REGISTERS

__all__ = ["Manifest", "Port", "Probe", "identifier", "read_manifest"]

FORMAT = 2

#: What reading something else than a manifest can raise.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Port:
    """An AXI4-Stream port: ``{name}_tdata`` of ``8 * bytes`` bits carries one beat of ``beats``.

    ``carries`` is the network's input, or output, by its name.
    """

    name: str
    carries: str
    beats: Beats

    @property
    def bytes(self) -> int:
        """Bytes of ``tdata``: whole bytes, the spare high bits are zero."""
        return -(-self.beats.width // 8)


@dataclass(frozen=True)
class Probe:
    """Where a node's stream runs inside the top module: wires ``{signal}__payload``, ``__valid``
    and ``__ready``."""

    node: str
    signal: str
    beats: Beats


@dataclass(frozen=True)
class Manifest:
    """Contents of ``manifest.json``.

    ``sources`` are the Verilog files in ``rtl/``; ``hashes`` maps every file that hwgen wrote,
    by its path in the build directory, to its SHA-256. ``identity`` is the network's hash, 16 hex
    digits, that the register file tells; ``registers`` in the JSON is the map of that.
    """

    design: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    probes: tuple[Probe, ...]
    sources: tuple[str, ...]
    hashes: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    top: str = "accelerator"
    clock: str = "aclk"
    reset: str = "aresetn"

    @property
    def ports(self) -> tuple[Port, ...]:
        """Inputs, then outputs."""
        return self.inputs + self.outputs

    def to_json(self) -> str:
        """Text of ``manifest.json``."""
        tree = {"format": FORMAT, "registers": [asdict(at) for at in REGISTERS], **asdict(self)}
        return json.dumps(tree, indent=1, sort_keys=True) + "\n"

    def changed(self, folder: Path) -> list[str]:
        """Files of the build directory that are missing or no longer what hwgen wrote."""
        return [
            name
            for name, digest in self.hashes.items()
            if not (folder / name).is_file() or sha256(folder / name) != digest
        ]


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identifier(name: str) -> str:
    """A layer's name as a Verilog identifier."""
    plain = re.sub(r"\W", "_", name)
    return plain if plain[:1].isalpha() else f"n_{plain}"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a build directory; ValueError if it is missing or damaged."""
    try:
        tree = json.loads((folder / "manifest.json").read_bytes())
        if tree.pop("format") != FORMAT:
            raise ValueError("another format")
        del tree["registers"]
        for side in ("inputs", "outputs"):
            tree[side] = tuple(map(_port, tree[side]))
            if not tree[side]:
                raise ValueError(f"it has no {side}")
        tree["probes"] = tuple(
            Probe(p["node"], p["signal"], _beats(p["beats"])) for p in tree["probes"]
        )
        tree["sources"] = tuple(tree["sources"])
        tree["hashes"], tree["versions"] = dict(tree["hashes"]), dict(tree["versions"])
        manifest = Manifest(**tree)
    except OSError as error:
        raise ValueError(f"{folder} is no build directory: it has no manifest.json") from error
    except BROKEN as error:
        raise ValueError(f"{folder / 'manifest.json'} is damaged: {error}") from error
    texts = (
        manifest.design,
        manifest.identity,
        manifest.top,
        manifest.clock,
        manifest.reset,
        *manifest.sources,
    )
    texts += tuple(text for port in manifest.ports for text in (port.name, port.carries))
    texts += tuple(manifest.hashes.values())
    texts += tuple(text for probe in manifest.probes for text in (probe.node, probe.signal))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{folder / 'manifest.json'} is damaged: a name is no text")
    for name in (*manifest.hashes, *(f"rtl/{source}" for source in manifest.sources)):
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{folder / 'manifest.json'} names a file outside: {name}")
    return manifest


def _beats(tree: dict) -> Beats:
    kind = dict(tree["type"])
    kind["shape"] = tuple(kind["shape"])
    if isinstance(kind["scale"], list):
        kind["scale"] = tuple(kind["scale"])
    return Beats(TensorType(**kind), tree["lanes"], tree["pixels"])


def _port(tree: dict) -> Port:
    return Port(tree["name"], tree["carries"], _beats(tree["beats"]))
