"""Plans for random networks, and frames: engines by pure chance, or as the planner chooses them."""

from dataclasses import replace
from random import Random

import numpy as np

from hwgen.beats import Beats
from hwgen.board import Board, board_names, load_board
from hwgen.cost import area
from hwgen.errors import UserError
from hwgen.manifest import identifier
from hwgen.network import Input, Network
from hwgen.plan import Plan, plan
from hwgen.plan.choose import converter
from hwgen.plan.depths import needed_depths
from hwgen.plan.engines import NAMES
from hwgen.plan.pipeline import Stage, assemble, outputs_of, with_fifos
from hwgen.plan.rate import timing
from hwgen.rtl_templates import ENGINES

#: Multipliers of one engine: with more of the same, a network only takes longer to simulate.
MANY = 40


def random_engines(network: Network, family: str, chance: Random) -> dict[str, Stage] | None:
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
            for spec in kind.foldings(node.op, family)
            if all(
                name not in beats or converter(beats[name], wanted, family) is not None
                for name, wanted in zip(node.inputs, spec.inputs, strict=True)
            )
        ]
        if not choices:
            return None
        # Engines with many foldings, and styles with many, are no likelier than others.
        kinds = [(type(spec), getattr(spec, "style", None)) for spec in choices]
        wanted = chance.choice(list(dict.fromkeys(kinds)))
        some = [spec for spec, kind in zip(choices, kinds, strict=True) if kind == wanted]
        small = [spec for spec in some if getattr(spec, "multipliers", 0) <= MANY]
        spec = chance.choice(small or [min(some, key=lambda spec: spec.multipliers)])
        engines[node.name] = Stage(identifier(node.name), spec, node.name, node.name, "by chance")
        beats[node.name] = spec.outputs[0]
        for name, wanted in zip(node.inputs, spec.inputs, strict=True):
            beats.setdefault(name, wanted)  # the input comes as its first reader takes it
    return engines


def plan_by_chance(network: Network, board: Board, chance: Random) -> Plan:
    """Random engines; FIFOs as they are needed."""
    engines = None
    while engines is None:
        engines = random_engines(network, board.family, chance)
    bare = assemble(network, engines)
    stages = with_fifos(bare, needed_depths(bare))
    stages = [replace(s, area=area(s.spec.primitives(), board.family)) for s in stages]
    latency, interval = timing(stages)
    macs = sum(getattr(node.op, "macs", 0) for node in network)
    outputs = outputs_of(network, stages) if len(network.outputs) > 1 else ()
    return Plan(board, None, tuple(stages), latency, interval, macs, outputs)


def plan_as_asked(network: Network, board: Board, chance: Random) -> Plan:
    """The planner's own, with a random target, random engines and ports of random width; for the
    largest board, as fast as can be, if that is out of reach."""
    edge = [*(node.name for node in network.inputs), *network.outputs]
    least = max(-(-network[name].type.bits // 8) * 8 for name in edge)
    options = {
        "engines": chance.choice(NAMES),
        "max_port_width": chance.choice([None, least, chance.randint(least, 4 * least)]),
    }
    fps = board.clock_mhz * 1e6 / 2 ** chance.uniform(5, 14)
    for attempt in ((board, fps), (board, None), (load_board("alveo_u250"), None)):
        try:
            return plan(network, *attempt, **options)
        except UserError as error:
            if not any(told in str(error) for told in ("does not fit", "out of reach")):
                raise
    raise AssertionError("the largest board is large enough")


def random_plan(network: Network, chance: Random) -> Plan:
    """For any board, either way."""
    board = load_board(chance.choice(board_names()))
    return chance.choice([plan_by_chance, plan_as_asked])(network, board, chance)


def random_frames(network: Network, chance: Random, count: int) -> dict[str, np.ndarray]:
    """Frames of random integers for each input, the first two all at the ends of the range."""
    rng = np.random.default_rng(chance.getrandbits(32))
    made = {}
    for node in network.inputs:
        kind = node.type
        frames = rng.integers(kind.lo, kind.hi + 1, (count, *kind.shape))
        frames[0], frames[1] = kind.hi, kind.lo
        if kind.encoding == "bipolar":
            frames = np.where(frames < 0, -1, 1)
        made[node.name] = frames
    return made
