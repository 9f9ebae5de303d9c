"""Random integer networks of every layer kind, from one source of chance."""

import sys
from math import gcd
from pathlib import Path
from random import Random

import numpy as np

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
    Threshold,
    Upsample2d,
    WinogradConv2d,
)

sys.path.insert(0, str(Path(__file__).parent))
from random_spikes import coded, counted, synapses

#: Wider integers are rounded before the next layer; layers with weights take no wider ones.
WIDE = 16


class Growing:
    """A network that grows layer by layer; each method adds one block and returns its last node.

    Maps are small, so that the widths, edges and foldings are what there is to try.
    """

    def __init__(self, chance: Random):
        self.chance = chance
        self.rng = np.random.default_rng(chance.getrandbits(32))
        self.nodes: list[Node] = []
        height = chance.choice([1, *range(3, 9)])  # of one row: a line
        self.enter((height, chance.randint(3, 8), chance.choice([1, 2, 3, 4, 5, 6])), signs=True)

    def bits(self) -> int:
        """1 to 16, most often few: what is wide takes long to build and to simulate."""
        return self.chance.choice([*range(1, 9), *range(1, 9), self.chance.randint(9, WIDE)])

    def maybe(self, share: float) -> bool:
        return self.chance.random() < share

    def type_of(self, name: str) -> TensorType:
        return next(node.type for node in self.nodes if node.name == name)

    def is_bipolar(self, name: str) -> bool:
        return self.type_of(name).encoding == "bipolar"

    def add(self, op, *sources: str) -> str:
        name = f"{op.kind}{len(self.nodes)}"
        self.nodes.append(Node(name, op, sources, op.output))
        return name

    def enter(self, shape: tuple[int, ...], signs: bool = False) -> str:
        """One more input of the network; with ``signs``, perhaps a bipolar one."""
        bits, signed = self.bits(), self.maybe(0.3)
        kind = TensorType(shape, bits, signed)
        kind = TensorType(shape, bits, signed, zero_point=self.chance.randint(kind.lo, kind.hi))
        if signs and self.maybe(0.1):
            kind = TensorType(shape, 1, False, "bipolar")
        return self.add(Input(kind))

    def weights(self, shape: tuple[int, ...], bits: int) -> np.ndarray:
        if bits == 1:
            return self.rng.choice([-1, 1], shape)
        top = (1 << (bits - 1)) - 1
        weights = self.rng.integers(-top - self.maybe(0.3), top + 1, shape)
        return self.pruned(weights) if shape[-1] >= 4 and self.maybe(0.4) else weights

    def pruned(self, weights: np.ndarray) -> np.ndarray:
        """With few weights of every sub-row of input channels left."""
        length = self.chance.choice([n for n in (4, 8) if n <= weights.shape[-1]])
        kept = self.chance.randint(1, length - 1)
        for start in range(0, weights.shape[-1], length):
            part = weights[..., start : start + length]
            order = self.rng.random(part.shape).argsort(-1).argsort(-1)
            part[order >= kept] = 0
        return weights

    def bias(self, count: int) -> np.ndarray:
        return self.rng.integers(-50, 50, count)

    def rounded(self, source: str) -> str:
        """Fewer bits, or one that means -1 and +1."""
        kind = self.type_of(source)
        if self.maybe(0.15):
            # The ends of the range are as likely as what lies between them.
            ends = [kind.lo, kind.hi + 1]
            inside = self.rng.integers(kind.lo // 4, kind.hi // 4 + 1, kind.channels)
            some = np.where(self.rng.random(kind.channels) < 0.1, self.rng.choice(ends), inside)
            return self.add(Threshold(kind, some), source)
        return self.requantise(source)

    def requantise(self, source: str, intensities: bool = False) -> str:
        """``intensities``: unsigned, and without a zero point."""
        kind = self.type_of(source)
        bits, signed = self.bits(), self.maybe(0.3) and not intensities
        narrow = TensorType(kind.shape, bits, signed)
        shift = max(0, kind.bits - bits + self.chance.randint(0, 3))
        top = self.chance.choice([1, 1 << self.chance.randint(1, 15)])
        multiplier = self.rng.integers(max(1, top // 2), top + 1, kind.channels)
        if top > 1:
            shift += top.bit_length() - 1
        zero = 0 if intensities else self.chance.randint(narrow.lo, narrow.hi)
        lo = self.chance.choice([narrow.lo, zero])
        slopes = self.rng.integers(-top // 4, top + 1, kind.channels)
        negative = slopes if self.maybe(0.2) else None  # a leaky ReLU
        op = Requantise(kind, multiplier, shift, bits, signed, zero, lo, narrow.hi, negative)
        return self.add(op, source)

    def narrowed(self, source: str) -> str:
        """Rounded, if it is too wide for what follows."""
        return self.requantise(source) if self.type_of(source).bits > WIDE else source

    def conv(self, source: str, channels: int | None = None, same: bool = False) -> str:
        """``same``: the map keeps its size, and can be added to another."""
        chance, kind = self.chance, self.type_of(source)
        *sizes, inputs = kind.shape
        bare = self.is_bipolar(source)  # which cannot be padded
        divisors = [n for n in range(1, inputs + 1) if inputs % n == 0]
        groups = chance.choice([1, *divisors, *divisors[1:-1]])
        if same:
            outputs = channels or chance.randint(1, 4)
            kernel = chance.choice([1, 3]), chance.choice([1, 3, 5])
            stride, dilation = (1, 1), (chance.randint(1, 2), 1)
            reach = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True))
            padding = (reach[0], reach[0], reach[1], reach[1])
        else:
            outputs = groups * chance.randint(1, chance.choice([4, 8]) if groups == 1 else 2)
            kernel = tuple(chance.randint(1, min(3, size)) for size in sizes)
            if self.maybe(0.4) and min(sizes) >= 3:
                kernel = (3, 3)
            most = tuple(
                (s - 1) // (k - 1) if k > 1 else 3 for s, k in zip(sizes, kernel, strict=True)
            )
            dilation = tuple(chance.choice([1, 1, chance.randint(1, n)]) for n in most)
            stride = chance.choice([(1, 1), (chance.randint(1, 3), chance.randint(1, 3))])
            ends = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True) for _ in range(2)]
            # One more than a kernel reaches makes windows of padding alone.
            padding = tuple(0 if bare else chance.randint(0, end + 1) for end in ends)
        groups = gcd(groups, outputs)
        bits = self.bits()
        weights = self.weights((outputs, *kernel, inputs // groups), bits)
        op = Conv2d(kind, weights, self.bias(outputs), bits, stride, padding, dilation, groups)
        made = self.add(op, source)
        return self.requantise(made) if same else self.rounded(made)

    def winograd(self, source: str) -> str:
        """With weights in Winograd's domain."""
        chance, kind = self.chance, self.type_of(source)
        tile, bits, outputs = chance.choice([2, 4]), max(2, self.bits()), chance.randint(1, 8)
        t = tile + 2
        rounded = chance.choice([0, chance.randint(2, 10)])
        shifts = self.rng.integers(0, 4, (t, t)) if rounded else np.zeros((t, t), int)
        before = [max(0, 3 - kind.shape[0]), 0, max(0, 3 - kind.shape[1]), 0]
        padding = tuple(least + chance.randint(0, 1) for least in before)
        weights = self.weights((t, t, outputs, kind.channels), bits)
        align = self.rng.integers(0, 4, (t, t))
        op = WinogradConv2d(
            kind, weights, self.bias(outputs), bits, tile, align, shifts, rounded, padding
        )
        return self.rounded(self.add(op, source))

    def pool(self, source: str) -> str:
        kind, chance = self.type_of(source), self.chance
        sizes = kind.shape[:2]
        kernel = sizes if self.maybe(0.2) else tuple(chance.randint(1, min(3, s)) for s in sizes)
        stride = chance.randint(1, 3), chance.randint(1, 3)
        padding = tuple(chance.choice([0, k // 2]) for k in kernel for _ in range(2))
        if self.maybe(0.4) and not self.is_bipolar(source):
            return self.requantise(self.add(SumPool2d(kind, kernel, stride, padding), source))
        return self.add(MaxPool2d(kind, kernel, stride, padding), source)

    def factors(self) -> tuple[int, int]:
        some = [(1, 1), (1, 4), (2, 1), (self.chance.randint(1, 300), self.chance.randint(1, 300))]
        return self.chance.choice(some)

    def sum(self, one: str, other: str) -> str:
        kinds = self.type_of(one), self.type_of(other)
        return self.rounded(self.add(Add(*kinds, self.factors()), one, other))

    def residual(self, source: str) -> str:
        channels = self.type_of(source).channels
        if len(self.type_of(source).shape) == 1:
            return self.sum(self.linear(source, channels), source)
        return self.sum(self.conv(source, channels, same=True), source)

    def second(self, source: str) -> str:
        """Another input meets the source."""
        other = self.enter(self.type_of(source).shape)
        return self.sum(source, other) if self.maybe(0.5) else self.beside([source, other])

    def beside(self, made: list[str]) -> str:
        """Concatenated."""
        kinds = tuple(self.type_of(name) for name in made)
        shifts = tuple(self.chance.choice([0, 0, 2]) for _ in made)
        zero = self.chance.choice([0, kinds[0].zero_point, -3])
        return self.narrowed(self.add(Concat(kinds, shifts, zero), *made))

    def concat(self, source: str) -> str:
        """The source beside a branch of it, perhaps beside itself too."""
        if len(self.type_of(source).shape) == 1:
            branch = self.linear(source, self.chance.randint(1, 5))
        else:
            branch = self.conv(source, same=True)
        made = [branch, source, source][: self.chance.randint(2, 3)]
        self.chance.shuffle(made)
        return self.beside(made)

    def part(self, source: str) -> str:
        shape = self.type_of(source).map_shape
        start = tuple(self.chance.choice([0, self.chance.randrange(size)]) for size in shape)
        stop = tuple(
            self.chance.choice([size, self.chance.randint(low + 1, size)])
            for low, size in zip(start, shape, strict=True)
        )
        return self.add(Slice(self.type_of(source), start, stop), source)

    def pad(self, source: str) -> str:
        kind = self.type_of(source)
        padding = tuple(self.chance.randint(0, 2) for _ in range(4))
        value = self.chance.choice([kind.lo, kind.hi, kind.zero_point])
        return self.add(Pad2d(kind, padding, value), source)

    def upsample(self, source: str) -> str:
        kind = self.type_of(source)
        if kind.shape[0] * kind.shape[1] > 64:
            return self.pool(source)
        factor = self.chance.randint(1, 3), self.chance.randint(1, 2)
        return self.add(Upsample2d(kind, factor), source)

    def linear(self, source: str, outputs: int | None = None) -> str:
        kind, bits = self.type_of(source), self.bits()
        count = outputs or self.chance.randint(1, 10)
        weights = self.weights((count, *kind.shape), bits)
        made = self.add(Linear(kind, weights, self.bias(count), bits), source)
        if outputs:
            return self.requantise(made)
        return self.rounded(made) if self.maybe(0.7) else self.narrowed(made)

    def spikes(self, source: str) -> str:
        """Through layers of spiking neurons; a vector again."""
        chance, kind = self.chance, self.type_of(source)
        if len(kind.shape) == 3:
            return self.spikes(self.linear(source, chance.randint(1, 10)))
        source = self.requantise(source, intensities=self.maybe(0.6))
        last = self.add(coded(self.type_of(source), chance, self.rng), source)
        for _ in range(chance.randint(0, 2)):
            last = self.add(synapses(self.type_of(last), "spikes", chance, self.rng), last)
        if self.maybe(0.3):
            last = self.add(synapses(self.type_of(last), "membrane", chance, self.rng), last)
            return self.narrowed(last)
        return self.add(counted(self.type_of(last), chance), last)

    def block(self, source: str) -> str:
        """Any block that the source can have."""
        is_map, some = len(self.type_of(source).shape) == 3, [self.linear, self.part]
        if is_map:
            some = [self.conv, self.pool, self.chance.choice([*some, self.upsample])]
        if not self.is_bipolar(source):
            rare = [self.second, self.rounded, self.spikes, self.spikes]
            some += [self.residual, self.concat, self.chance.choice(rare)]
            some += [self.winograd, self.conv, self.pad] if is_map else []
        return self.chance.choice(some)(source)


def random_network(chance: Random) -> Network:
    """One to three blocks, perhaps a dense layer, and outputs anywhere."""
    growing = Growing(chance)
    last = growing.nodes[0].name
    for _ in range(chance.randint(1, 3)):
        last = growing.block(last)
    if chance.random() < 0.3 or last == growing.nodes[0].name:
        last = growing.linear(last)
    outputs = [last]
    if chance.random() < 0.25:
        nodes = [node.name for node in growing.nodes if not isinstance(node.op, Input)]
        outputs.append(chance.choice(nodes))
    return Network(tuple(growing.nodes), tuple(outputs))
