"""Random integer networks of every layer kind, with random foldings, from one source of chance."""

from dataclasses import replace
from random import Random

import numpy as np

from hwgen.beats import Beats
from hwgen.board import load_board
from hwgen.cost import area
from hwgen.manifest import identifier
from hwgen.network import (
    Add,
    Concat,
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    Pad2d,
    Requantise,
    Slice,
    SumPool2d,
    TensorType,
    Upsample2d,
)
from hwgen.plan import Plan
from hwgen.plan.choose import converter
from hwgen.plan.depths import needed_depths
from hwgen.plan.pipeline import Stage, assemble, steady, with_fifos
from hwgen.rtl_templates import ENGINES

BOARD = load_board("zcu104")


class Growing:
    """A network that grows layer by layer."""

    def __init__(self, chance: Random):
        self.chance = chance
        self.rng = np.random.default_rng(chance.getrandbits(32))
        bits = chance.randint(1, 8)
        shape = (chance.randint(3, 8), chance.randint(3, 8), chance.randint(1, 5))
        kind = TensorType(shape, bits, False, zero_point=chance.randint(0, (1 << bits) - 1))
        self.nodes = [Node("input", Input(kind), (), kind)]

    def type_of(self, name: str) -> TensorType:
        return next(node.type for node in self.nodes if node.name == name)

    def add(self, op, *sources: str) -> str:
        name = f"{op.kind}{len(self.nodes)}"
        self.nodes.append(Node(name, op, sources, op.output))
        return name

    def weights(self, shape: tuple[int, ...], bits: int) -> np.ndarray:
        if bits == 1:
            return self.rng.choice([-1, 1], shape)
        top = (1 << (bits - 1)) - 1
        return self.rng.integers(-top, top + 1, shape)

    def requantise(self, source: str) -> str:
        kind = self.type_of(source)
        bits, signed = self.chance.randint(1, 9), self.chance.random() < 0.3
        narrow = TensorType(kind.shape, bits, signed)
        shift = max(0, kind.bits - bits + self.chance.randint(0, 3))
        top = self.chance.choice([1, 1 << self.chance.randint(1, 10)])
        multiplier = self.rng.integers(max(1, top // 2), top + 1, kind.channels)
        if top > 1:
            shift += top.bit_length() - 1
        zero = self.chance.randint(narrow.lo, narrow.hi)
        lo = self.chance.choice([narrow.lo, zero])
        slopes = self.rng.integers(-top // 4, top + 1, kind.channels)
        negative = slopes if self.chance.random() < 0.2 else None  # a leaky ReLU
        op = Requantise(kind, multiplier, shift, bits, signed, zero, lo, narrow.hi, negative)
        return self.add(op, source)

    def conv(self, source: str, channels: int | None = None, same: bool = False) -> str:
        chance, kind = self.chance, self.type_of(source)
        height, width, inputs = kind.shape
        groups = chance.choice([1, 1, inputs])
        outputs = channels or groups * chance.randint(1, 4 if groups == 1 else 2)
        if outputs % groups:
            groups = 1
        size = chance.choice([1, 3]) if same else chance.randint(1, min(3, height, width))
        padding = (size // 2,) * 4 if same else tuple(chance.randint(0, size - 1) for _ in range(4))
        stride = (1, 1) if same else (chance.randint(1, 2), chance.randint(1, 2))
        bits = chance.randint(1, 8)
        weights = self.weights((outputs, size, size, inputs // groups), bits)
        bias = self.rng.integers(-50, 50, outputs)
        op = Conv2d(kind, weights, bias, bits, stride, padding, (1, 1), groups)
        return self.requantise(self.add(op, source))

    def pool(self, source: str) -> str:
        kind = self.type_of(source)
        size = self.chance.randint(1, min(3, *kind.shape[:2]))
        stride = self.chance.randint(1, 2)
        sums = self.chance.random() < 0.4
        op = (SumPool2d if sums else MaxPool2d)(kind, (size, size), (stride, stride))
        made = self.add(op, source)
        return self.requantise(made) if sums else made

    def residual(self, source: str) -> str:
        branch = self.conv(source, self.type_of(source).channels, same=True)
        kinds = self.type_of(branch), self.type_of(source)
        factors = self.chance.choice([(1, 1), (1, 4), (2, 1), (93, 55)])
        return self.requantise(self.add(Add(*kinds, factors), branch, source))

    def concat(self, source: str) -> str:
        """The source beside a branch of it, perhaps beside itself too."""
        made = [self.conv(source, same=True), source, source][: self.chance.randint(2, 3)]
        self.chance.shuffle(made)
        kinds = tuple(self.type_of(name) for name in made)
        shifts = tuple(self.chance.choice([0, 0, 2]) for _ in made)
        zero = self.chance.choice([0, kinds[0].zero_point, -3])
        return self.narrowed(self.add(Concat(kinds, shifts, zero), *made))

    def narrowed(self, source: str) -> str:
        """Rounded, if it would make what follows too wide."""
        return self.requantise(source) if self.type_of(source).bits > 9 else source

    def part(self, source: str) -> str:
        shape = self.type_of(source).shape
        start = tuple(self.chance.choice([0, self.chance.randrange(size)]) for size in shape)
        stop = tuple(
            self.chance.choice([size, self.chance.randint(low + 1, size)])
            for low, size in zip(start, shape, strict=True)
        )
        return self.add(Slice(self.type_of(source), start, stop), source)

    def pad(self, source: str) -> str:
        kind = self.type_of(source)
        padding = tuple(self.chance.randint(0, 2) for _ in range(4))
        value = self.chance.choice([0, kind.lo, kind.hi, kind.zero_point])
        return self.add(Pad2d(kind, padding, min(max(value, kind.lo), kind.hi)), source)

    def upsample(self, source: str) -> str:
        kind = self.type_of(source)
        if kind.shape[0] * kind.shape[1] > 64:
            return self.pool(source)
        factor = self.chance.randint(1, 3), self.chance.randint(1, 2)
        return self.add(Upsample2d(kind, factor), source)

    def linear(self, source: str) -> str:
        kind, bits, outputs = self.type_of(source), self.chance.randint(1, 8), 3
        weights = self.weights((outputs, *kind.shape), bits)
        op = Linear(kind, weights, self.rng.integers(-50, 50, outputs), bits)
        return self.add(op, source)


def random_network(chance: Random) -> Network:
    """One to four blocks, and perhaps a dense layer."""
    growing = Growing(chance)
    last = "input"
    for _ in range(chance.randint(1, 4)):
        blocks = [growing.conv, growing.conv, growing.pool, growing.residual, growing.concat]
        others = [growing.part, growing.pad, growing.upsample]
        last = chance.choice([*blocks, chance.choice(others)])(last)
    if chance.random() < 0.5:
        last = growing.linear(last)
    return Network(tuple(growing.nodes), (last,))


def random_engines(network: Network, chance: Random) -> dict[str, Stage] | None:
    """Any engine for each op whose streams the neighbours can take; None in a dead end, where two
    branches order their values differently."""
    engines: dict[str, Stage] = {}
    beats: dict[str, Beats] = {}
    for node in network:
        if isinstance(node.op, Input):
            continue
        choices = [
            spec
            for kind in ENGINES[type(node.op)]
            for spec in kind.foldings(node.op, BOARD.family)
            if all(
                name not in beats or converter(beats[name], wanted, BOARD.family) is not None
                for name, wanted in zip(node.inputs, spec.inputs, strict=True)
            )
        ]
        if not choices:
            return None
        spec = chance.choice(choices)
        engines[node.name] = Stage(identifier(node.name), spec, node.name, node.name, "by chance")
        beats[node.name] = spec.outputs[0]
        for name, wanted in zip(node.inputs, spec.inputs, strict=True):
            beats.setdefault(name, wanted)  # the input comes as its first reader takes it
    return engines


def random_plan(network: Network, chance: Random) -> Plan:
    """Random engines; FIFOs as they are needed."""
    engines = None
    while engines is None:
        engines = random_engines(network, chance)
    bare = assemble(network, engines)
    stages = with_fifos(bare, needed_depths(bare))
    stages = [replace(s, area=area(s.spec.primitives(), BOARD.family)) for s in stages]
    played = steady(stages)
    assert not played.deadlock
    macs = sum(getattr(node.op, "macs", 0) for node in network)
    return Plan(BOARD, None, tuple(stages), played.latency, played.interval, macs)


def random_frames(network: Network, chance: Random, count: int) -> np.ndarray:
    """Frames of random integers, the first two all at the ends of the range."""
    kind = network.input.type
    rng = np.random.default_rng(chance.getrandbits(32))
    frames = rng.integers(kind.lo, kind.hi + 1, (count, *kind.shape))
    frames[0], frames[1] = kind.hi, kind.lo
    return frames
