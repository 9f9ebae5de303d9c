"""How long VGG16 takes to emit: 32x32 images, random 8-bit weights, for the generic ASIC.

`python -m benchmarks.vgg16` (`make bench-vgg16`) writes `docs/benchmarks/vgg16.json`.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.networks import plain
from hwgen.board import load_board
from hwgen.emit import write_build
from hwgen.network import Network
from hwgen.plan import plan
from hwgen.report import record

#: Channels of the convolutions; None is a pooling.
LAYERS = (64, 64, None, 128, 128, None, *(256,) * 3, None, *(512,) * 3, None, *(512,) * 3, None)

RESULT = Path(__file__).parent.parent / "docs" / "benchmarks" / "vgg16.json"


def vgg16(size: int = 32) -> Network:
    """VGG16 with one dense layer, as it is used on CIFAR-10; weights are random."""
    return plain((size, size, 3), LAYERS)


def main() -> None:
    """Plan, emit, and write down how long it took."""
    network = vgg16()
    began = time.perf_counter()
    planned = plan(network, load_board("asic"))
    decided = time.perf_counter()
    frames = np.random.default_rng(1).integers(0, 256, (2, *network.input.type.shape))
    with tempfile.TemporaryDirectory() as folder:
        report = record.fresh("vgg16", planned, {})
        write_build(Path(folder) / "vgg16", "vgg16", network, planned, frames, report)
    emitted = time.perf_counter()
    weights = sum(n.op.weights.size for n in network if hasattr(n.op, "weights"))
    result = {
        "command": "python -m benchmarks.vgg16",
        "machine": machine(),
        "versions": versions(),
        "weights": weights,
        "multiply_adds": planned.multiply_adds,
        "multipliers": planned.multipliers("mac"),
        "utilisation": round(planned.utilisation, 4),
        "cycles": {"interval": planned.interval, "latency": planned.latency},
        "fifos": planned.fifos,
        "seconds": {"plan": round(decided - began, 1), "emit": round(emitted - decided, 1)},
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
