"""Plans: what they promise is what the token game plays, and what was asked for."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

import hwgen.plan.depths
from hwgen.beats import Beats
from hwgen.board import board_names, load_board
from hwgen.cost import features
from hwgen.errors import UserError
from hwgen.network import Conv2d, Input, MaxPool2d, Network, Node, Requantise, TensorType
from hwgen.network import Linear as Dense
from hwgen.plan import PlanError, limits, plan, plan_from_json, plan_to_json
from hwgen.plan.depths import needed_depths, reason
from hwgen.plan.pipeline import WORLD, Stage, with_fifos
from hwgen.plan.rate import play_stages, timing
from hwgen.primitives import Memory, memory_style
from hwgen.rtl_templates import ConvSpec, FifoSpec
from hwgen.schedule import Process, Put, Schedule, Take

ULX3S = load_board("ulx3s")


def network() -> Network:
    """Convolution, rounding, pooling and a dense layer over 8 x 8 pixels."""
    rng = np.random.default_rng(1)
    nodes: list[Node] = []

    def add(name, op):
        nodes.append(Node(name, op, (nodes[-1].name,) if nodes else (), op.output))
        return op.output

    x = add("input", Input(TensorType((8, 8, 2), 6, False)))
    weights = rng.integers(-7, 8, (4, 3, 3, 2))
    x = add("conv", Conv2d(x, weights, rng.integers(-9, 9, 4), 4, padding=(1, 1, 1, 1)))
    x = add("conv.requantise", _rounding(x))
    x = add("pool", MaxPool2d(x, (2, 2), (2, 2)))
    add("fc", Dense(x, rng.integers(-7, 8, (5, *x.shape)), rng.integers(-9, 9, 5), 4))
    return Network(tuple(nodes), ("fc",))


def _rounding(x: TensorType) -> Requantise:
    return Requantise(x, np.full(x.shape[-1], 13), 8, 5, False, 0, 0, 31)


NETWORK = network()


@pytest.fixture(scope="module")
def fastest():
    return plan(NETWORK, ULX3S)


def test_cycles_are_those_of_the_token_game(fastest):
    for made in (fastest, plan(NETWORK, ULX3S, 20_000)):
        ends = play_stages(made.stages, 12).ends
        assert ends[0] == made.latency
        assert set(np.diff(ends[4:])) == {made.interval}
        assert made.interval >= max(stage.interval for stage in made.stages)


def test_engines_and_the_whole_fit(fastest):
    assert not fastest.area.excess(ULX3S)
    tight = replace(ULX3S, dsp=6, lut=3000)
    made = plan(NETWORK, tight)
    assert not made.area.excess(tight)
    assert made.interval > fastest.interval


def test_a_target_gives_the_cheapest_that_reaches_it(fastest):
    rate = fastest.frames_per_second / 8
    made = plan(NETWORK, ULX3S, rate)
    assert made.frames_per_second >= rate
    assert made.area.lut < fastest.area.lut and made.area.ff < fastest.area.ff
    assert made.area.dsp < fastest.area.dsp


def test_a_target_out_of_reach_names_the_best_in_reach(fastest):
    with pytest.raises(UserError, match="out of reach on ulx3s; the best in reach is ") as error:
        plan(NETWORK, ULX3S, 1e8)
    best = float(error.value.problems[0].remedy.split("--fps ")[1].split()[0])
    assert plan(NETWORK, ULX3S, best).frames_per_second >= best


def test_a_layer_without_an_engine_says_why(monkeypatch):
    monkeypatch.setattr(ConvSpec, "foldings", staticmethod(lambda op, family: iter(())))
    with pytest.raises(UserError) as error:
        plan(NETWORK, ULX3S, engines={"conv": "direct"})
    conv, fc = error.value.problems
    assert conv.layer == "conv" and "the engine that is asked for has no folding" in conv.reason
    assert fc.layer == "fc" and "no engine has a folding for Linear" in fc.reason


def test_what_does_not_fit_says_by_how_much():
    with pytest.raises(UserError) as error:
        plan(NETWORK, replace(ULX3S, lut=100, dsp=0))
    text = str(error.value)
    assert "the network does not fit ulx3s: its smallest plan needs " in text
    assert " LUT where 85 may be used" in text


def test_memories_that_cannot_be_filled_hold_no_weights():
    poor = replace(ULX3S, initialised=("distributed",))
    made = plan(NETWORK, poor)
    roms = [
        part
        for stage in made.stages
        for part in stage.spec.primitives()
        if isinstance(part, Memory) and part.kind == "rom"
    ]
    assert roms and all(memory_style(part, "ecp5") == "distributed" for part in roms)
    with pytest.raises(UserError) as error:
        plan(NETWORK, replace(ULX3S, initialised=()))
    layers = [problem.layer for problem in error.value.problems]
    assert layers == ["conv", "fc"]
    assert "of which a configuration of ulx3s fills neither" in str(error.value)


@pytest.mark.parametrize("board", board_names())
def test_a_small_network_fits_every_board(board):
    made = plan(NETWORK, load_board(board))
    assert made.area.fits(made.board)


def test_blocks_are_spent_while_there_are_some():
    rng = np.random.default_rng(2)
    x = TensorType((16, 16, 16), 8, False)
    conv = Conv2d(x, rng.integers(-127, 128, (16, 3, 3, 16)), np.zeros(16, int), 8)
    nodes = Node("input", Input(x), (), x), Node("conv", conv, ("input",), conv.output)
    net = Network(nodes, ("conv",))
    made = plan(net, ULX3S, 10_000, engines="direct")
    poor = plan(net, replace(ULX3S, dsp=0), 10_000, engines="direct")
    assert made.area.dsp and made.area.lut < 0.7 * poor.area.lut
    assert 0 < made.area.share(ULX3S)["dsp"] <= 1 and poor.area.dsp == 0


def test_cells_of_memory_in_luts_are_fewer_than_luts():
    rng = np.random.default_rng(2)
    x = TensorType((64,), 4, False)
    dense = Dense(x, rng.integers(-7, 8, (32, 64)), np.zeros(32, int), 4)
    nodes = Node("input", Input(x), (), x), Node("fc", dense, ("input",), dense.output)
    net, found = Network(nodes, ("fc",)), {}
    for there in (None, 60):
        made = plan(net, replace(load_board("tang_nano_9k"), lutram=there))
        parts = [part for stage in made.stages for part in stage.spec.primitives()]
        found[there] = features(parts, "gowin")["cell"], made.interval
    assert found[None][0] > 30 >= found[60][0], "half of them may be used"
    assert found[None][1] < found[60][1]


def test_too_few_cells_of_memory_in_luts_are_named(monkeypatch):
    """And by the same rule, no board is recommended that has too few of them as well."""
    tang = load_board("tang_nano_9k")
    texts = []
    for there in (tang.lutram, 3):
        boards = {name: load_board(name) for name in board_names()}
        boards["tang_nano_9k"] = replace(tang, lutram=there)
        monkeypatch.setattr(limits, "load_board", boards.__getitem__)
        with pytest.raises(UserError) as error:
            plan(NETWORK, replace(tang, name="mine", lutram=2))
        texts.append(str(error.value))
    for text in texts:
        assert re.search(r"needs \d+ cells of LUT memory where 1 may be used; ", text)
        assert " LUT where" not in text
    assert "tang_nano_9k" in texts[0] and "tang_nano_9k" not in texts[1]
    assert "ulx3s" in texts[0] and "ulx3s" in texts[1], "which has no such limit"


def test_utilisation():
    fastest = plan(NETWORK, ULX3S, engines="direct")
    conv, fc = NETWORK["conv"].op, NETWORK["fc"].op
    assert conv.macs == 8 * 8 * 4 * 9 * 2, "those on padding count"
    assert fc.macs == 5 * 4 * 4 * 4
    assert fastest.multiply_adds == conv.macs + fc.macs
    built = {s.node: s.spec.multipliers for s in fastest.stages if hasattr(s.spec, "multipliers")}
    assert fastest.multipliers("mac") == built["conv"] + built["fc"]
    assert fastest.multipliers("requantise") == built["conv.requantise"]
    able = (built["conv"] + built["fc"]) * fastest.interval
    engines = [s.spec for s in fastest.stages if s.node in ("conv", "fc")]
    needed = sum(getattr(spec, "multiplications", spec.ops[0].macs) for spec in engines)
    assert fastest.utilisation == needed / able <= 1


def test_reasons_are_given(fastest):
    assert all(stage.reason for stage in fastest.stages)


def test_json_round_trip(fastest):
    text = plan_to_json(fastest)
    again = plan_from_json(text, NETWORK)
    assert plan_to_json(again) == text
    assert (again.interval, again.latency, again.fifos) == (
        fastest.interval,
        fastest.latency,
        fastest.fifos,
    )
    assert [type(s.spec) for s in again.stages] == [type(s.spec) for s in fastest.stages]
    with pytest.raises(PlanError):
        plan_from_json(text.replace('"conv"', '"cnov"'), NETWORK)


BEATS = Beats(TensorType((8,), 4, False), 1)


@dataclass(frozen=True)
class Engine:
    """Takes and puts the eight beats of a frame at steps of its choice."""

    process: Process
    inputs: tuple[Beats, ...] = (BEATS,)
    outputs: tuple[Beats, ...] = (BEATS,)

    def schedule(self) -> Schedule:
        return Schedule({"all": self.process})


#: One beat in every other cycle.
EVEN = Engine(Process((8, 2), (Take("i", {1: [0]}),), (Put("o", 1, 2, {1: [0]}),)))
#: Eight beats in eight cycles, and then eight cycles of something else.
BURST = Engine(Process((2, 8), (Take("i", {0: [0]}),), (Put("o", 1, 2, {0: [1]}),)))


def row(*engines: Engine) -> list[Stage]:
    sources = [(WORLD,), *(((f"s{n}", "o"),) for n in range(len(engines) - 1))]
    return [
        Stage(f"s{n}", engine, f"s{n}", f"s{n}", "", source)
        for n, (engine, source) in enumerate(zip(engines, sources, strict=True))
    ]


FRAMES = 16


@pytest.mark.parametrize(
    "engines", [(EVEN, BURST), (BURST, EVEN), (EVEN, BURST, EVEN), (BURST, BURST, EVEN, BURST)]
)
def test_no_fifo_can_lose_a_beat(engines):
    stages = row(*engines)
    depths = needed_depths(stages)
    assert depths, "engines that take turns need one"
    assert play_stages(stages, FRAMES).interval > 16
    assert play_stages(with_fifos(stages, depths), FRAMES).interval == 16
    for place in depths:
        shorter = play_stages(with_fifos(stages, depths | {place: depths[place] - 1}), FRAMES)
        assert shorter.deadlock or shorter.interval > 16
        longer = play_stages(with_fifos(stages, depths | {place: depths[place] + 1}), FRAMES)
        assert longer.interval == 16


def test_a_rate_that_comes_and_goes_is_not_taken_for_steady():
    """Beats that fall behind an even source never repeat; two frames may still end 16 apart."""
    first = Process(
        (15,),
        (Take("i", {0: [3, 4, 5, 6, 8, 10, 12, 14]}),),
        (Put("o", 1, 2, {0: [3, 4, 5, 9, 11, 12, 13, 14]}),),
    )
    second = Process(
        (10,),
        (Take("i", {0: [0, 1, 2, 3, 4, 5, 6, 8]}),),
        (Put("o", 3, 2, {0: [0, 1, 2, 3, 4, 5, 6, 9]}),),
    )
    stages = row(Engine(first), Engine(second))
    depths = needed_depths(stages)
    assert depths == {("s1", 0): 2}
    played = play_stages(with_fifos(stages, depths), 400)
    assert played.ends[-1] - played.ends[199] == 200 * 16
    assert timing(with_fifos(stages, depths)) == (played.latency, 16)


def test_long_games_size_fifos_once(monkeypatch):
    """Then they are what a run at the best rate needs, and say so."""
    stages = row(EVEN, BURST, EVEN)
    least = needed_depths(stages)
    monkeypatch.setattr(hwgen.plan.depths, "MOST_WORK", 0)
    depths = needed_depths(stages)
    assert all(depths[place] >= depth for place, depth in least.items()) and depths != least
    assert play_stages(with_fifos(stages, depths), FRAMES).interval == 16
    assert "where they come evenly, a frame in 16 cycles" in reason(stages, 16)


def test_beats_of_the_input_may_come_evenly():
    stages = row(EVEN, BURST)
    for every in (24, 33):
        played = play_stages(stages, FRAMES, until_steady=True, every=every)
        assert played.period and played.interval == every
    assert play_stages(stages, FRAMES, every=8).interval == play_stages(stages, FRAMES).interval


@pytest.mark.parametrize("engines", [(EVEN,), (EVEN, BURST), (BURST, EVEN, BURST)])
@pytest.mark.parametrize("filled", [False, True])
def test_timing_is_that_of_a_source_that_always_offers(engines, filled):
    """With FIFOs they keep up with the slowest engine; without, they do not."""
    stages = row(*engines)
    stages = with_fifos(stages, needed_depths(stages)) if filled else stages
    played = play_stages(stages, 4 * FRAMES)
    assert timing(stages) == (played.latency, played.interval)


@pytest.mark.parametrize("engines", [(EVEN, EVEN), (BURST,), (EVEN, EVEN, EVEN)])
def test_a_chain_without_need_gets_none(engines):
    assert needed_depths(row(*engines)) == {}


def test_fifos_are_named_with_their_depth():
    stages = row(EVEN, BURST)
    depths = needed_depths(stages)
    made = plan(NETWORK, ULX3S)
    whole = replace(made, stages=tuple(with_fifos(stages, depths, reason(stages, 16))))
    assert whole.fifos == {"s1_fifo": depths["s1", 0]}
    (fifo,) = (stage for stage in whole.stages if isinstance(stage.spec, FifoSpec))
    assert "one beat less lengthens the interval of 16 cycles" in fifo.reason
