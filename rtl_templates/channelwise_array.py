"""The hardware of windows reduced channel by channel: products, sums or a comparison."""

from amaranth import C, Module, Mux, Signal, signed
from amaranth.lib import wiring

from hwgen.network import MaxPool2d
from hwgen.rtl_templates.adders import Term, plus
from hwgen.rtl_templates.memory import Rom, words_of
from hwgen.rtl_templates.pipeline import delay, join, ports, register, split
from hwgen.rtl_templates.product_array import multiplied
from hwgen.rtl_templates.window_reader import reading

__all__ = ["Channelwise"]


class Channelwise(wiring.Component):
    """The engine of ``ChannelwiseSpec``: a beat leaves ``spec.latency`` cycles after a last tap."""

    def __init__(self, spec, name: str):
        self.spec, self.name = spec, name
        super().__init__(ports(spec))

    def elaborate(self, platform):
        m = Module()
        spec, source = self.spec, self.spec.op.input
        sequencer, window, queue, putting = reading(m, self, spec.compute_process(), column=4)
        m.d.comb += queue.push.eq(delay(m, putting, spec.latency - 1, "last"))
        began = delay(m, sequencer.begins(3), spec.latency - 2, "first")
        stepped = delay(m, sequencer.step, spec.latency - 2, "step")
        taps = split(window.data, spec.outputs[0].values, source.bits, source.signed)
        taps = [register(m, tap) for tap in taps]
        if isinstance(spec.op, MaxPool2d):
            results = [_best(m, tap, began, stepped) for tap in taps]
        else:
            fold = delay(m, sequencer.index[2], spec.latency - 4, "fold", reset_less=True)
            terms: list[Term] = [(tap, None) for tap in taps]
            if spec.multiplies:
                weights = self._weights(m, sequencer)
                made = [
                    multiplied(m, spec.products, taps[n :: spec.lanes], [weights[n]])
                    for n in range(spec.lanes)
                ]
                terms = [lane[pixel][0] for pixel in range(spec.pixels) for lane in made]
            results = self._sums(m, terms, fold, began, stepped)
        m.d.comb += queue.data.eq(join(results, spec.op.output.bits))
        return m

    def _weights(self, m, sequencer):
        """Weight of each lane, two cycles after the step."""
        spec = self.spec
        bits = spec.weight_bits
        rom = Rom(words_of(spec.weight_words(), bits), bits * spec.lanes, f"{self.name}_weights")
        m.submodules.weights = rom
        with m.If(sequencer.step):
            again = sequencer.moves[0] | sequencer.moves[1] | sequencer.moves[-1]
            m.d.sync += rom.address.eq(Mux(again, 0, rom.address + 1))
        return [register(m, weight) for weight in split(rom.data, spec.lanes, bits, True)]

    def _sums(self, m, terms, fold, began, stepped):
        """Sums over the taps, each from what it starts from."""
        spec = self.spec
        words, bits = spec.first_words(), spec.first_bits
        if not spec.stores_first:
            firsts = [C(int(first), signed(bits)) for first in words[0]]
        else:
            m.submodules.firsts = rom = Rom(
                words_of(words, bits), bits * spec.lanes, f"{self.name}_biases"
            )
            m.d.comb += rom.address.eq(fold)
            firsts = [register(m, first) for first in split(rom.data, spec.lanes, bits, True)]
        totals = []
        for n, (term, carry) in enumerate(terms):
            total = Signal(signed(spec.op.output.bits), reset_less=True, name=f"total{n}")
            with m.If(stepped):
                before = Mux(began, firsts[n % spec.lanes], total)
                m.d.sync += total.eq(plus(before, term, carry))
            totals.append(total)
        return totals


def _best(m, tap, began, stepped):
    """The largest tap so far."""
    best = Signal(tap.shape(), reset_less=True, name="best")
    with m.If(stepped & (began | (tap > best))):
        m.d.sync += best.eq(tap)
    return best
