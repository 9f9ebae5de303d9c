"""Whole networks with Winograd forced on every layer that can have it, in Verilator.

python -m benchmarks.winograd_networks                         # go on where it stopped
python -m benchmarks.winograd_networks --networks fashion_cnn  # measure some again

The integer network is that of direct convolution, and the golden model computes it so; every
layer's stream is compared with it. Writes ``networks`` in ``docs/benchmarks/winograd.json``.
"""

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path

from benchmarks.command import run, stamped
from benchmarks.layers import chosen
from benchmarks.winograd import RESULT, keep
from hwgen import flow
from hwgen.plan.engines import why_not
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
        "eligible": sum(why_not(node.op, engine) is None for node in network.nodes),
        "by_winograd": sum(isinstance(stage.spec, WinogradSpec) for stage in planned.stages),
        "frames": FRAMES,
        "interval": found.free.interval,
        "bit_exact": found.bit_exact,
        "cycles_exact": found.cycles_exact,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.winograd_networks", description="Networks with Winograd forced"
    )
    parser.add_argument("--networks", help="Measure these again: fashion_cnn,cifar_resnet8.")
    options = parser.parse_args()
    asked = chosen(options.networks, NETWORKS)
    written = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found = {(row["network"], row["engine"]): row for row in written.get("networks", ())}
    for way in product(asked, ENGINES):
        if options.networks is None and way in found:
            continue
        found[way] = stamped(RESULT, measure(*way))
        print(found[way], flush=True)
        keep(networks=[found[one] for one in product(NETWORKS, ENGINES) if one in found])


if __name__ == "__main__":
    run(main)
