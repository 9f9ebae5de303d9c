"""Event files, and what is wrong with some."""

import numpy as np
import pytest

from hwgen.errors import UserError
from hwgen.frontend import load_events, quantise_input
from hwgen.network import Input, Network, Node, SpikeCount, TensorType
from hwgen.network.spiking import spike_train

TRAIN = spike_train(4, 6)


def network(kind=TRAIN):
    count = SpikeCount(TRAIN)
    nodes = (Node("spikes", Input(kind), (), kind), Node("n", count, ("spikes",), count.output))
    return Network(nodes if kind == TRAIN else nodes[:1], ("n" if kind == TRAIN else "spikes",))


def test_events_are_their_trains(tmp_path):
    x = (np.random.default_rng(1).random((5, 4, 1, 6)) < 0.3).astype(np.int32)
    x[-1, -1, 0, -1] = 1
    frame, step, _, address = np.nonzero(x)
    np.savez(tmp_path / "e.npz", frame=frame, step=step, address=address)
    trains = load_events(tmp_path / "e.npz", network())
    assert np.array_equal(quantise_input(network(), trains)["spikes"], x)


def test_other_files_are_left_to_others(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3)))
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    for name in ("x.npz", "x.npy", "none.npz"):
        assert load_events(tmp_path / name, network()) is None


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([(0, 0, 6)], "spikes: event 0 is for number 6 of 6 inputs"),
        ([(0, 0, 1), (0, 4, 1), (0, 5, -1)], "spikes: event 1 is for number 4 of 4 steps"),
        ([(0, 1, 1), (0, 0, 1)], "spikes: event 1 does not come after"),
        ([(0, 1, 1), (0, 1, 1)], "spikes: event 1 does not come after"),
        ([(-1, 1, 1)], "spikes: frames have numbers from -1"),
        ([(1 << 40, 1, 1)], "spikes: frames have numbers from"),
        ([(0.5, 1, 1)], "spikes: the events are no integers"),
    ],
)
def test_wrong_events_name_the_input(tmp_path, events, told):
    frame, step, address = np.array(events).T
    np.savez(tmp_path / "e.npz", frame=frame, step=step, address=address)
    with pytest.raises(UserError) as raised:
        load_events(tmp_path / "e.npz", network())
    assert told in str(raised.value)


def test_all_problems_at_once(tmp_path):
    np.savez(tmp_path / "e.npz", frame=[0, 0], step=[9, 0], address=[1, 7])
    with pytest.raises(UserError) as raised:
        load_events(tmp_path / "e.npz", network())
    assert len(raised.value.problems) == 3
    np.savez(tmp_path / "e.npz", address=[1, 7])
    with pytest.raises(UserError, match="the events have no frame and no step"):
        load_events(tmp_path / "e.npz", network())
    with pytest.raises(UserError, match="takes 6 u8, and"):
        np.savez(tmp_path / "e.npz", frame=[0], step=[0], address=[1])
        load_events(tmp_path / "e.npz", network(TensorType((6,), 8, False)))
