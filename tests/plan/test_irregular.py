"""Channel counts that no number of lanes divides cost little: the planner's folds are uneven."""

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.network import Conv2d, Input, Network, Node, Requantise, TensorType
from hwgen.plan import plan


def pruned(channels) -> Network:
    """Convolutions in a line, as pruning their channels leaves them."""
    rng = np.random.default_rng(0)
    kind = TensorType((8, 8, 3), 8, False)
    nodes = [Node("input", Input(kind), (), kind)]
    for number, count in enumerate(channels):
        weights = rng.integers(-127, 128, (count, 3, 3, kind.channels))
        conv = Conv2d(kind, weights, np.zeros(count, int), 8, padding=(1, 1, 1, 1))
        scales = rng.integers(1 << 14, 1 << 15, count)
        op = Requantise(conv.output, scales, 24, 8, False, 0, 0, 255)
        nodes.append(Node(f"conv{number}", conv, (nodes[-1].name,), conv.output))
        nodes.append(Node(f"conv{number}.requantise", op, (f"conv{number}",), op.output))
        kind = op.output
    return Network(tuple(nodes), (nodes[-1].name,))


@pytest.mark.parametrize("channels", [(13, 27), (11, 29)])
def test_multipliers_stay_busy(channels):
    made = plan(pruned(channels), load_board("icebreaker"))
    assert made.utilisation > 0.8
