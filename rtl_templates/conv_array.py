"""The hardware of the convolution engine: multipliers, adder trees, accumulators."""

from itertools import product

from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring

from hwgen.rtl_templates.adders import counts, plus, tree
from hwgen.rtl_templates.memory import Rom, words_of
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.window_reader import reading

__all__ = ["Conv"]


class Conv(wiring.Component):
    """The engine of ``ConvSpec``: takes the map, puts sums.

    A beat leaves ``spec.latency`` cycles after the last step of its window; the steps of a frame
    follow one another without a gap, and so do frames, while input is there and output is taken.
    """

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, op = self.spec, self.spec.op
        sequencer, window, queue, putting = reading(m, self, spec.compute_process(), column=5)
        first = sequencer.begins(4)

        # Memories: what a step addresses is there one cycle later.
        words = words_of(spec.weight_words(), spec.weight_bits)
        m.submodules.weights = weights = Rom(
            words, spec.weight_bits * spec.in_lanes * spec.out_lanes, f"{self.name}_weights"
        )
        with m.If(sequencer.step):
            again = sequencer.moves[0] | sequencer.moves[1] | sequencer.moves[-1]
            m.d.sync += weights.address.eq(Mux(again, 0, weights.address + 1))

        stages = spec.latency - 1  # all but the queue
        went = delay(m, putting, stages, "last")
        began = delay(m, first, stages - 1, "first")
        stepped = delay(m, sequencer.step, stages - 1, "step")
        fold = sequencer.index[3]
        if spec.groups > 1:
            fold = fold + sequencer.index[2] * spec.out_folds
        fold = delay(m, fold, stages - 3, "fold", reset_less=True)

        # Operands, products, sums over the input lanes.
        pixels = split(window.data, spec.pixels * spec.in_lanes, op.input.bits, op.input.signed)
        taps = split(weights.data, spec.out_lanes * spec.in_lanes, spec.weight_bits, True)
        x = [register(m, value) for value in pixels]
        w = [register(m, value) for value in taps]
        lanes = spec.in_lanes
        made = [multiplied(m, spec.products, x[n::lanes], w[n::lanes]) for n in range(lanes)]
        sums = []
        for pixel, out in product(range(spec.pixels), range(spec.out_lanes)):
            terms = [group[pixel][out] for group in made]
            if spec.products.counted:
                terms = counts(m, [bit for bit, _ in terms])
            sums.append(tree(m, terms))

        # Sums over taps and folds; the first starts from the bias.
        biases = _bias(m, spec, fold, self.name)
        totals = []
        width = op.output.bits
        for number, (term, carry) in enumerate(sums):
            total = Signal(signed(width), reset_less=True, name=f"total{number}")
            if spec.products.counted:  # of n bits, each -1 or +1: twice the count, less n
                term = Cat(C(0, 1), term)
            before = Mux(began, biases[number % spec.out_lanes], total)
            with m.If(stepped):
                m.d.sync += total.eq(plus(before, term, carry))
            totals.append(total)
        m.d.comb += [queue.push.eq(went), queue.data.eq(join(totals, width))]
        return m


def _bias(m, spec, fold, name):
    """Bias of each output lane, in the cycle in which the first product is added."""
    words, bits = spec.bias_words(), spec.bias_bits
    if not words.any():
        return [0] * spec.out_lanes
    if len(words) == 1:
        return [int(bias) for bias in words[0]]
    m.submodules.biases = biases = Rom(
        words_of(words, bits), bits * spec.out_lanes, f"{name}_biases"
    )
    m.d.comb += biases.address.eq(fold)
    return [register(m, bias) for bias in split(biases.data, spec.out_lanes, bits, True)]
