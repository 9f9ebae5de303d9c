"""Networks with several inputs and outputs, from torch to Verilog and back."""

import subprocess
import sys
from itertools import product
from random import Random

import numpy as np
import pytest
import torch
from amaranth.sim import Simulator
from torch import nn

from hwgen import flow
from hwgen.board import load_board
from hwgen.compress import Settings
from hwgen.emit.top import Accelerator
from hwgen.errors import UserError
from hwgen.frontend import quantise_input, read
from hwgen.manifest import read_manifest
from hwgen.network import Add, Concat, Conv2d, Input, Network, Node, Requantise, TensorType
from hwgen.plan import Plan, plan, plan_from_json, plan_to_json
from hwgen.plan.rate import play_stages, steady

#: ``left`` goes through two layers before ``right`` meets it; ``scores`` is read inside, too.
SOURCE = """
import torch
from torch import nn

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.near = nn.Conv2d(2, 3, 3, padding=1)
        self.far = nn.Conv2d(3, 3, 3, padding=1)
        self.other = nn.Conv2d(1, 3, 1)
        self.head = nn.Linear(3 * 4 * 4, 4)

    def forward(self, left, right):
        x = torch.relu(self.far(torch.relu(self.near(left)))) + self.other(right)
        maps = torch.relu(x)
        scores = self.head(torch.flatten(maps, 1))
        return {"maps": maps, "scores": scores, "again": scores}

def made():
    torch.manual_seed(5)
    return Pair(), {"left": torch.rand(12, 2, 4, 4), "right": torch.rand(12, 1, 4, 4) - 0.3}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The network as a file, as a ``.pt2`` file, and both built."""
    place = tmp_path_factory.mktemp("pair")
    (place / "pair.py").write_text(SOURCE)
    space: dict = {}
    exec(SOURCE, space)
    model, given = space["made"]()
    batch = ({0: torch.export.Dim.AUTO},) * 2
    exported = torch.export.export(model.eval(), tuple(given.values()), dynamic_shapes=batch)
    torch.export.save(exported, place / "pair.pt2")
    np.savez(place / "data.npz", **{name: array.numpy() for name, array in given.items()})
    settings = Settings(weights=4, activations={"left": 6, "right": 5, "default": 5})
    options = {"settings": settings, "board": "ulx3s", "fps": 20_000}
    flow.build(f"{place}/pair.py:made", out=place / "a", **options)
    flow.build(place / "pair.pt2", calibrate=place / "data.npz", out=place / "b", **options)
    return place


def test_both_ways_in_give_the_same(folder):
    for file in ("network.json", "plan.json", "rtl/accelerator.v", "frames.npz"):
        assert (folder / "a" / file).read_bytes() == (folder / "b" / file).read_bytes()


def test_names_reach_the_ports(folder):
    manifest = read_manifest(folder / "a")
    assert {p.name: p.carries for p in manifest.inputs} == {
        "s_axis_left": "left",
        "s_axis_right": "right",
    }
    assert [port.name for port in manifest.outputs] == [
        "m_axis_maps",
        "m_axis_scores",
        "m_axis_again",
    ]
    assert [port.beats.type.bits for port in manifest.inputs] == [6, 5]


def test_it_is_bit_exact_and_on_time(folder):
    result = flow.simulate(folder / "a", stall=0.5, seed=3)
    assert result.free.bit_exact, str(result.free)
    assert result.stalled.bit_exact, str(result.stalled)
    assert result.cycles_exact
    cycles = result.report["cycles"]
    assert all(pair["simulated"] == pair["estimated"] for pair in cycles.values())
    network, planned = flow.load_build(folder / "a")
    assert plan_from_json(plan_to_json(planned), network) == planned
    with np.load(folder / "data.npz") as data:
        golden = network.results(quantise_input(network, dict(data)))
    assert golden.keys() == {"maps", "scores", "again"}
    for name, expected in golden.items():
        np.testing.assert_array_equal(result.free.outputs[name], expected)


def test_the_bench_passes(folder):
    command = [sys.executable, "run.py", "--sim", "icarus"]
    if subprocess.run("command -v iverilog", shell=True, capture_output=True).returncode:
        pytest.skip("needs Icarus Verilog")
    done = subprocess.run(command, cwd=folder / "b" / "bench", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 tests passed" in done.stdout


def test_the_quantised_program_is_near_the_float_one(folder):
    from hwgen.compress import compare, quantize

    space: dict = {}
    exec(SOURCE, space)
    model, given = space["made"]()
    program = quantize(model, given)
    network = read(program)
    assert max(d.largest for d in compare(program, network, given).values()) <= 1
    with torch.no_grad():
        expected = model(**given)
    golden = network.results(quantise_input(network, given))
    for name, node in zip(network.output_names, network.outputs, strict=True):
        kind = network[node].type
        real = (golden[name] - kind.zero_point) * kind.scale
        wanted = expected[name].numpy()
        wanted = wanted.transpose(0, 2, 3, 1) if wanted.ndim == 4 else wanted
        assert np.abs(real - wanted).max() < 0.1 * np.abs(wanted).max()


def test_wrong_inputs_are_named(folder, tmp_path):
    path = tmp_path / "wrong.npz"

    def text(**arrays) -> str:
        np.savez(path, **arrays)
        with pytest.raises(UserError) as error:
            flow.simulate(folder / "a", images=path)
        return str(error.value)

    left = np.ones((3, 2, 4, 4), np.float32)
    right = np.ones((3, 1, 4, 4), np.float32)
    save = "save them with numpy.savez(left=..., right=...)"
    assert text(left=left) == f"the network takes left, right, and was given one array; {save}"
    assert text(left=left, rihgt=right) == (
        f"right: there is no array of this name among left, rihgt; {save}"
    )
    assert text(left=left, right=left) == (
        "right: takes (N, 4, 4, 1) after the channels are moved last, and was given (3, 4, 4, 2); "
        "give inputs as the network takes them"
    )
    assert (
        text(left=left, right=right[:2]) == "there are 3 of left, 2 of right; give as many of each"
    )


def test_names_of_inputs_are_not_those_of_layers():
    class Clash(nn.Module):
        def __init__(self):
            super().__init__()
            self.left = nn.Conv2d(1, 1, 1)

        def forward(self, left, right):
            return self.left(left) + right

    given = {name: np.ones((2, 1, 4, 4), np.float32) for name in ("left", "right")}
    with pytest.raises(UserError, match="left: this name stands for an input of the network"):
        from hwgen.compress import quantize

        quantize(Clash(), given)


def meeting(size: int = 8) -> Network:
    """``a`` goes through two convolutions before ``b`` is added; all three leave."""
    rng = np.random.default_rng(2)
    a, b = TensorType((size, size, 3), 4, False), TensorType((size, size, 3), 5, True)
    nodes = [Node("a", Input(a), (), a), Node("b", Input(b), (), b)]
    source, kind = "a", a
    for name in ("c.1", "c_1"):
        weights = rng.integers(-7, 8, (3, 3, 3, 3))
        conv = Conv2d(kind, weights, rng.integers(-9, 9, 3), 4, padding=(1, 1, 1, 1))
        narrow = Requantise(conv.output, np.full(3, 13), 9, 5, False, 3, 0, 31)
        nodes.append(Node(name, conv, (source,), conv.output))
        nodes.append(Node(f"{name}.requantise", narrow, (name,), narrow.output))
        source, kind = f"{name}.requantise", narrow.output
    add = Add(kind, b)
    nodes.append(Node("add", add, (source, "b"), add.output))
    return Network(tuple(nodes), ("c.1.requantise", "add", "c_1.requantise"))


def test_inputs_that_meet_at_different_depths_do_not_deadlock():
    network = meeting()
    assert network.output_names == ("c.1", "add", "c_1")
    made = plan(network, load_board("ulx3s"))
    assert plan_from_json(plan_to_json(made), network) == made
    played = steady(made.stages)
    assert not played.deadlock and played.interval == made.interval
    assert [name for name, _ in made.outputs] == ["c.1", "add", "c_1"]
    assert made.entries.keys() == {"a", "b"}
    # A source that waits needs no FIFO behind it but one that lets every beat flow.
    first = [stage.name for stage in made.stages if not stage.sources[0][0]]
    assert [made.fifos[name] for name in first if name in made.fifos] == [2]


def joined(way: str) -> Plan:
    """``a`` and ``b``, which nothing has touched before, added or side by side."""
    a, b = TensorType((4, 4, 6), 4, False), TensorType((4, 4, 6), 5, True)
    op = Add(a, b) if way == "add" else Concat((a, b), (0, 0))
    nodes = Node("a", Input(a), (), a), Node("b", Input(b), (), b)
    network = Network((*nodes, Node("c", op, ("a", "b"), op.output)), ("c",))
    return plan(network, load_board("ulx3s"), 40_000 if way == "in turn" else None)


def play(top: Accelerator, bench) -> None:
    """Run ``bench(ctx, tick)``, which ends every cycle by ``tick``."""

    async def testbench(ctx):
        async def tick():
            for level in (1, 0):
                ctx.set(top.aclk, level)
                await ctx.delay(1e-8)

        ctx.set(top.aresetn, 1)
        await bench(ctx, tick)

    simulator = Simulator(top)
    simulator.add_testbench(testbench)
    simulator.run()


WAYS = pytest.mark.parametrize("way", ["add", "at once", "in turn"])


@WAYS
def test_no_ready_at_the_edge_hangs_on_a_valid(way):
    top, chance, seen = Accelerator(joined(way)), Random(1), set()
    others = (*(x.valid for x in top.inputs), *(x.ready for x in top.outputs))

    async def bench(ctx, tick):
        for _ in range(200):
            ready = []
            for levels in product((0, 1), repeat=3):
                for signal, level in zip(others, levels, strict=True):
                    ctx.set(signal, level)
                ready.append(tuple(ctx.get(x.ready) for x in top.inputs))
            assert len(set(ready)) == 1
            seen.add(ready[0])
            for signal in others:
                ctx.set(signal, chance.random() < 0.7)
            await tick()

    play(top, bench)
    assert len(seen) > 1, "otherwise nothing ever waited"


@WAYS
def test_frames_flow_through_what_stands_at_the_edge(way):
    made = joined(way)
    assert made.interval == max(stage.interval for stage in made.stages)
    top, began, ends = Accelerator(made), [], []

    async def bench(ctx, tick):
        for signal in (*(x.valid for x in top.inputs), *(x.ready for x in top.outputs)):
            ctx.set(signal, 1)
        (out,) = top.outputs
        for cycle in range(4 * made.interval + made.latency):
            if any(ctx.get(x.ready) for x in top.inputs):
                began.append(cycle)
            if ctx.get(out.valid) and ctx.get(out.last):
                ends.append(cycle)
            await tick()

    play(top, bench)
    assert [end - began[0] for end in ends[:3]] == list(play_stages(made.stages, 3).ends)


def test_every_frame_ends_when_its_last_output_has_left():
    network = meeting()
    made = plan(network, load_board("ulx3s"))
    ends = play_stages(made.stages, 6).ends
    assert ends[0] == made.latency and ends[-1] - ends[-2] == made.interval
    # The first layer's maps leave long before the sums do; alone, they are all that counts.
    early = [stage for stage in made.stages if stage.tensor.startswith("c.1")]
    assert {stage.tensor for stage in early} == {"c.1", "c.1.requantise"}
    assert play_stages(early, 6).ends[0] < made.latency - 16


@pytest.mark.parametrize("widest", [8, 16, 32, 64])
def test_ports_can_be_kept_narrow(widest):
    network = meeting()
    board = load_board("zcu104")
    free = plan(network, board)
    made = plan(network, board, max_port_width=widest)
    beats = [*made.entries.values(), *(beats for _, beats in made.exits.values())]
    assert all(-(-b.width // 8) * 8 <= widest for b in beats)
    assert made.max_port_width == widest
    assert plan_from_json(plan_to_json(made), network) == made
    assert made.interval >= max(free.interval, max(b.count for b in beats))
    widths = [b.width for b in free.entries.values()]
    assert max(widths) > 16, "otherwise nothing is asked of the plan"


def test_ports_narrower_than_a_value_are_refused():
    network = meeting()
    with pytest.raises(UserError) as error:
        plan(network, load_board("zcu104"), max_port_width=4)
    assert str(error.value) == (
        "ports of at most 4 bits are too narrow; give --max-port-width 8 or more"
    )
    wide = Network(network.nodes[:3], ("c.1",))
    with pytest.raises(UserError) as error:
        plan(wide, load_board("zcu104"), max_port_width=8)
    assert "nothing reads it" in str(error.value)
    assert "c.1: one value takes 12 bits, and a port may have 8; give --max-port-width 16" in str(
        error.value
    )
