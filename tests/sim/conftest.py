"""A build directory made by hand around ``accelerator.v``, with faults to plant."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hwgen.beats import Beats
from hwgen.manifest import Manifest, Port, Probe
from hwgen.network import Input, MaxPool2d, Network, Node, Requantise, TensorType, save_network

VERILOG = Path(__file__).parent / "accelerator.v"

#: Faults of accelerator.v, by their numbers there.
FAULTS = ("none", "drop", "last_missing", "last_early", "stuck", "unheld", "retract", "repeat")
FAULTS += ("no_reset", "wrong", "assertion")


def small_network() -> Network:
    """What accelerator.v computes."""
    x = TensorType((3, 4, 5), 8, False)
    multiplier = np.array([40, 61, 23, 77, 52])
    scale = Requantise(x, multiplier, 8, 6, True, -20, -32, 31)
    pool = MaxPool2d(scale.output, (1, 2), (1, 2))
    ones = np.ones(5, np.int64)
    head = Requantise(pool.output, ones, 0, 8, True, 0, -128, 127)  # less its own -20
    return Network(
        (
            Node("x", Input(x), (), x),
            Node("features.0", scale, ("x",), scale.output),
            Node("features.1", pool, ("features.0",), pool.output),
            Node("head", head, ("features.1",), head.output),
        ),
        ("head",),
    )


@dataclass(frozen=True)
class Small:
    """The build directory, its network, and what to do to it."""

    folder: Path
    network: Network
    manifest: Manifest

    def frames(self, count: int, seed: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, (count, *self.network.input.type.shape))

    def plant(self, fault: str, strike: int = 0) -> None:
        """Put one fault in; ``strike`` is the beat that it hits, counted from power-up."""
        text = f"{FAULTS.index(fault):04x}\n{strike:04x}\n"
        (self.folder / "rtl" / "fault.hex").write_text(text)


@pytest.fixture
def small(tmp_path) -> Small:
    network = small_network()
    folder = tmp_path / "build"
    (folder / "rtl").mkdir(parents=True)
    shutil.copy(VERILOG, folder / "rtl" / "accelerator.v")
    m = [*network["features.0"].op.multiplier, 0]
    words = [f"{m[i + 1]:04x}{m[i]:04x}" for i in (0, 2, 4)]
    (folder / "rtl" / "scale.hex").write_text("\n".join(words) + "\n")
    save_network(network, folder)

    beats = {
        "x": Beats(network["x"].type, lanes=2),
        "features.0": Beats(network["features.0"].type, lanes=2),
        "features.1": Beats(network["features.1"].type, lanes=2),
        "head": Beats(network["head"].type, lanes=5, pixels=2),
    }
    manifest = Manifest(
        design="small",
        inputs=(Port("s_axis", "x", beats["x"]),),
        outputs=(Port("m_axis", "output", beats["head"]),),
        probes=tuple(Probe(name, name.replace(".", "_"), beats[name]) for name in beats),
        sources=("accelerator.v",),
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    made = Small(folder, network, manifest)
    made.plant("none")
    return made


@pytest.fixture(scope="session", autouse=True)
def binaries(tmp_path_factory):
    """Built binaries are shared by all tests of a run, and by nothing else."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWGEN_CACHE", str((base.parent if base.name[:2] == "po" else base) / "cache"))
        yield
