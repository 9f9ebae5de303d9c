"""Estimates against Yosys, on our own engines: how good the constants of ``cost`` are.

python -m hwgen.synth.calibrate          # synthesise the corpus, write docs/benchmarks/area.json
python -m hwgen.synth.calibrate --fit    # and say which constants would fit best
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from amaranth.back import verilog
from scipy.optimize import nnls

from hwgen.beats import Beats
from hwgen.cost import Area, area, features
from hwgen.cost.families import FAMILIES
from hwgen.network import Conv2d, Linear, MaxPool2d, Requantise, TensorType
from hwgen.rtl_templates import (
    ChannelwiseSpec,
    ConvertSpec,
    ConvSpec,
    FifoSpec,
    RequantiseSpec,
    Spec,
    VerilogTarget,
)
from hwgen.synth.yosys import synthesise

__all__ = ["compare", "corpus", "fit", "measure", "stored", "summarise", "write_rtl"]

RESULT = Path("docs/benchmarks/area.json")
RESOURCES = ("lut", "ff", "dsp", "bram")

#: Constants that follow from the device or from what a flip-flop is; the fit leaves them alone.
FIXED = ("cell", "register", "read")

#: So many LUTs or flip-flops too many or too few hardly matter: the small specs weigh less.
SLIGHT = 200

#: A constant that only a few LUTs of the corpus depend on stays near its present value.
PULL = 0.02


def corpus() -> Iterator[tuple[str, Spec]]:
    """Named specs: layers of small networks, from 1 to 8 bits, at several foldings."""
    rng = np.random.default_rng(1)
    same = (1, 1, 1, 1)
    for bits in (8, 4, 2, 1):
        small = _conv(rng, (14, 14, 16), 32, bits, same)
        for ins, outs in ((1, 4), (4, 8), (8, 8)):
            yield f"conv {bits} bit, {ins} x {outs}", ConvSpec((small,), ins, outs)
    first = _conv(rng, (28, 28, 1), 16, 8, same)
    yield "conv first, 1 x 16", ConvSpec((first,), 1, 16)
    yield "conv first, 1 x 8, 4 pixels", ConvSpec((first,), 1, 8, 4)
    deep = _conv(rng, (8, 8, 64), 64, 4, same)
    yield "conv deep, 8 x 4", ConvSpec((deep,), 8, 4)
    dense = _linear(rng, (7, 7, 32), 64, 8)
    for ins, outs in ((1, 1), (4, 4), (8, 2)):
        yield f"linear 8 bit, {ins} x {outs}", ConvSpec((dense,), ins, outs)
    yield "linear 2 bit, 8 x 10", ConvSpec((_linear(rng, (256,), 10, 2),), 8, 10)
    for lanes in (1, 4, 16):
        yield f"requantise, {lanes}", RequantiseSpec((_requantise(rng, 16, 18, 8),), lanes)
        shift = _requantise(rng, 16, 18, 4, shift_only=True)
        yield f"requantise by shift, {lanes}", RequantiseSpec((shift,), lanes)
    pool = MaxPool2d(TensorType((28, 28, 16), 8, False), (2, 2), (2, 2))
    for lanes, pixels in ((1, 1), (8, 1), (16, 1), (4, 2)):
        yield f"max pool, {lanes}, {pixels} pixels", ChannelwiseSpec((pool,), lanes, pixels)
    tensor = TensorType((14, 14, 16), 8, False)
    for given, wanted in ((1, 16), (16, 4), (3, 8)):
        spec = ConvertSpec(Beats(tensor, given), Beats(tensor, wanted))
        yield f"convert {given} to {wanted}", spec
    wide = TensorType((7, 7, 64), 8, False)
    for given, wanted in ((64, 3), (32, 1)):
        yield f"convert {given} to {wanted}", ConvertSpec(Beats(wide, given), Beats(wide, wanted))
    for lanes, depth in ((4, 2), (16, 16), (8, 100)):
        yield f"fifo {lanes}, {depth} deep", FifoSpec(Beats(tensor, lanes), depth)


def _conv(rng, shape, channels, bits, padding) -> Conv2d:
    weights = _weights(rng, (channels, 3, 3, shape[2]), bits)
    source = TensorType(shape, bits, False)
    return Conv2d(source, weights, rng.integers(-99, 99, channels), bits, padding=padding)


def _linear(rng, shape, channels, bits) -> Linear:
    weights = _weights(rng, (channels, *shape), bits)
    return Linear(TensorType(shape, bits, False), weights, rng.integers(-99, 99, channels), bits)


def _weights(rng, shape, bits):
    if bits == 1:
        return rng.choice([-1, 1], shape)
    half = (1 << (bits - 1)) - 1
    return rng.integers(-half, half + 1, shape)


def _requantise(rng, channels, wide, bits, shift_only=False) -> Requantise:
    # Odd: a scale with zeros at its end is a smaller multiplier in disguise.
    odd = 2 * rng.integers(150, 1 << 9, channels) + 1
    scale = np.ones(channels, np.int64) if shift_only else odd
    source = TensorType((14, 14, channels), wide, True)
    return Requantise(source, scale, 12, bits, False, 0, 0, (1 << bits) - 1)


def write_rtl(spec: Spec, folder: Path, family: str) -> None:
    """Emit one spec alone, as module ``top``, with its memories."""
    target = VerilogTarget(family)
    text = verilog.convert(spec.create(), name="top", platform=target, strip_internal_attrs=True)
    for name, content in {"top.v": text, **target.files}.items():
        (folder / name).write_text(content)


def measure(spec: Spec, family: str) -> Area:
    """Area of one spec by Yosys."""
    with tempfile.TemporaryDirectory(prefix="hwgen-") as name:
        write_rtl(spec, Path(name), family)
        return synthesise(Path(name), "top", family)


def fit(specs: list[Spec], measured: list[Area], family: str, resource: str) -> dict[str, float]:
    """Constants that fit best: least squares of nearly relative errors, none negative."""
    present = getattr(FAMILIES[family], resource)
    names = list(present)
    table = np.array([[features(s.primitives(), family)[n] for n in names] for s in specs])
    truth = np.array([max(1, getattr(a, resource)) for a in measured], float)
    truth, table = truth / (truth + SLIGHT), table / (truth + SLIGHT)[:, None]
    old = np.array([present[n] for n in names])
    # Rows that pull each constant towards its present value, or hold it there.
    size = np.sqrt((table**2).sum(axis=0)) + 1e-6
    pull = np.diag(size * [1e3 if name in FIXED else PULL for name in names])
    found, _ = nnls(np.vstack([table, pull]), np.concatenate([truth, pull @ old]))
    return {name: round(float(value), 3) for name, value in zip(names, found, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Estimated area against Yosys")
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    parser.add_argument("--fit", action="store_true", help="say which constants would fit best")
    parser.add_argument("--stored", action="store_true", help="do not synthesise: use the file's")
    parser.add_argument("--file", type=Path, default=RESULT)
    options = parser.parse_args()
    known = stored(options.file)
    specs = dict(corpus())
    for family in options.family or list(FAMILIES):
        for name, spec in specs.items():
            if not options.stored:
                known[family, name] = measure(spec, family)
                print(family, name, area(spec.primitives(), family), known[family, name])
                write(compare(known), options.file)  # an interrupted run keeps what it has
        if options.fit:
            measured = [known[family, name] for name in specs]
            for resource in ("lut", "ff"):
                print(family, resource, fit(list(specs.values()), measured, family, resource))
    rows = compare(known)
    write(rows, options.file)
    print(json.dumps(summarise(rows), indent=1))


def stored(file: Path = RESULT) -> dict[tuple[str, str], Area]:
    """What Yosys made of each spec on each family, as the file has it; nothing without a file."""
    if not file.exists():
        return {}
    rows = json.loads(file.read_text())["rows"]
    return {
        (row["family"], row["spec"]): Area(*(row[resource][1] for resource in RESOURCES))
        for row in rows
    }


def compare(measured: dict[tuple[str, str], Area]) -> list[dict]:
    """One row for each spec and family: estimated and synthesised LUT, FF, DSP and BRAM."""
    specs = dict(corpus())
    rows = []
    for (family, name), found in measured.items():
        if name in specs:
            estimate = area(specs[name].primitives(), family)
            pairs = {r: [getattr(estimate, r), getattr(found, r)] for r in RESOURCES}
            rows.append({"family": family, "spec": name, **pairs})
    return rows


def write(rows: list[dict], file: Path) -> None:
    """The file, one row a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {"columns": "[estimated, synthesised]", "errors": summarise(rows), "rows": rows}
    file.write_text(json.dumps(head).replace('{"family"', '\n{"family"') + "\n")


def summarise(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Median and worst relative error of LUT and FF, and how many DSP and BRAM counts differ."""
    summary = {}
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        errors: dict[str, float] = {"specs": len(mine)}
        for resource in ("lut", "ff"):
            off = [abs(row[resource][0] / max(1, row[resource][1]) - 1) for row in mine]
            errors[f"{resource}_median"] = round(median(off), 3)
            errors[f"{resource}_worst"] = round(max(off), 3)
        for resource in ("dsp", "bram"):
            errors[f"{resource}_wrong"] = sum(row[resource][0] != row[resource][1] for row in mine)
        summary[family] = errors
    return summary


if __name__ == "__main__":
    main()
