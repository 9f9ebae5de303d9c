"""The bench that the user owns: plain cocotb and NumPy, written into ``BUILD/bench/``."""

import io
from math import prod
from pathlib import Path

import jinja2
import numpy as np

from hwgen.manifest import Manifest
from hwgen.network import Frames, Network

__all__ = ["write_bench"]

#: Frames that go into the bench: Python in every cycle is slow, and these follow one another.
FRAMES = 3

TEMPLATES = Path(__file__).parent / "bench"


def write_bench(folder: Path, manifest: Manifest, network: Network, frames: Frames) -> None:
    """Write ``folder/bench/``, with the first few ``frames``, (N, *shape) of each input, and their
    golden outputs. The same bytes for the same arguments.
    """
    some = {name: array[:FRAMES] for name, array in network.given(frames).items()}
    golden = network.results(some)
    bench = folder / "bench"
    bench.mkdir(exist_ok=True)
    values = {
        "design": manifest.design,
        "top": manifest.top,
        "sources": manifest.sources,
        "inputs": manifest.inputs,
        "outputs": manifest.outputs,
        "frames": len(next(iter(some.values()))),
        "patience": 10_000 + 2 * _operations(network),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Python and Markdown, no HTML
    )
    for template in sorted(environment.list_templates(extensions=["jinja"])):
        text = environment.get_template(template).render(values)
        (bench / template.removesuffix(".jinja")).write_text(text)
    data = io.BytesIO()
    arrays = {port.name: _narrow(some[port.carries]) for port in manifest.inputs}
    arrays |= {port.name: _narrow(golden[port.carries]) for port in manifest.outputs}
    np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
    (bench / "frames.npz").write_bytes(data.getvalue())


def _operations(network: Network) -> int:
    return sum(
        max(getattr(node.op, "operations", getattr(node.op, "macs", 0)), prod(node.type.shape))
        for node in network
    )


def _narrow(integers: np.ndarray) -> np.ndarray:
    """The narrowest integer type that holds all of them, little-endian."""
    lo, hi = (int(integers.min()), int(integers.max())) if integers.size else (0, 0)
    for kind in ("u1", "i1", "<u2", "<i2", "<i4"):
        if np.iinfo(kind).min <= lo and hi <= np.iinfo(kind).max:
            return integers.astype(kind)
    return integers.astype("<i8")
