"""Whole networks with Winograd forced on every layer that can have it, in Verilator.

python -m benchmarks.winograd_networks

The integer network is that of direct convolution, and the golden model computes it so; every
layer's stream is compared with it. Writes ``networks`` in ``docs/benchmarks/winograd.json``.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.winograd import keep
from hwgen import flow
from hwgen.errors import UserError
from hwgen.network import Conv2d
from hwgen.rtl_templates import WinogradSpec

BOARD = "zcu104"

#: Networks with 3x3 convolutions of stride 1, and the frames a second that are asked for.
NETWORKS = {"fashion_cnn": 4000.0, "cifar_resnet8": 2000.0}
ENGINES = "winograd-f2", "winograd-f4"

#: Test images simulated, back to back.
FRAMES = 8


def measure(name: str, engine: str) -> dict:
    """Build and simulate one network."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as parent:
        folder = Path(parent) / "build"
        flow.build(name, out=folder, board=BOARD, fps=NETWORKS[name], engine={"default": engine})
        network, planned = flow.load_build(folder)
        found = flow.simulate(folder, frames=FRAMES)
    return {
        "network": name,
        "engine": engine,
        "convolutions": sum(isinstance(node.op, Conv2d) for node in network.nodes),
        "by_winograd": sum(isinstance(stage.spec, WinogradSpec) for stage in planned.stages),
        "frames": FRAMES,
        "interval": found.free.interval,
        "bit_exact": found.bit_exact,
        "cycles_exact": found.cycles_exact,
    }


def main() -> None:
    rows = []
    for name in NETWORKS:
        for engine in ENGINES:
            rows.append(measure(name, engine))
            print(rows[-1], flush=True)
    keep(networks=rows)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
