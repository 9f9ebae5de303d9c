"""Every fault is caught and found exactly; a sound design passes, however it is stalled."""

import numpy as np
import pytest

from hwgen.errors import UserError
from hwgen.sim import Mismatch, simulate

# With a stalled sink every stage is held at times; with both sides free, cycles are exact.
HELD = (0.0, 0.9)


@pytest.mark.parametrize("stall", [(0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4), (0.9, 0.9)], ids=str)
def test_sound_design_is_bit_exact(small, stall):
    frames = small.frames(40)
    result = simulate(small.folder, frames, stall=stall)
    assert result.bit_exact, result
    assert result.frames == 40 and result.culprit is None and result.trace is None
    assert np.array_equal(result.outputs["output"], small.network.compute(frames))


def test_cycles_without_stalls(small):
    result = simulate(small.folder, small.frames(20))
    # 36 input beats, one a cycle; three registers after the last one's
    assert result.latency == 35 + 3
    assert result.interval == 36
    steps = np.diff(result.last_output_cycles)
    assert set(steps.tolist()) == {36}
    assert result.last_output_cycles[0] - result.first_input_cycle == result.latency


def test_stalled_runs_measure_nothing_but_repeat(small):
    results = [simulate(small.folder, small.frames(9), stall=(0.3, 0.3), seed=5) for _ in range(2)]
    assert results[0].latency is results[0].interval is None
    assert results[0].last_output_cycles == results[1].last_output_cycles
    other = simulate(small.folder, small.frames(9), stall=(0.3, 0.3), seed=6)
    assert other.last_output_cycles != results[0].last_output_cycles


@pytest.mark.parametrize("after", [1, 17, 37, 40, 100])
def test_reset_in_mid_frame_restores_alignment(small, after):
    result = simulate(small.folder, small.frames(5), stall=(0.3, 0.3), reset_after=after)
    assert result.bit_exact, result
    assert result.frames == 5


def test_what_is_never_set_is_noise(small):
    file = small.folder / "rtl" / "accelerator.v"
    file.write_text(file.read_text().replace("reg [2:0] step = 0;", "reg [2:0] step;"))
    assert all(simulate(small.folder, small.frames(3), seed=seed).bit_exact for seed in range(4))
    small.plant("no_reset")  # right only if that register happens to start at zero
    results = [simulate(small.folder, small.frames(3), seed=n, trace=False) for n in range(4)]
    assert not all(result.bit_exact for result in results)


def test_chunks_of_frames_join_without_a_gap(small, monkeypatch):
    monkeypatch.setattr("hwgen.sim.golden.CHUNK_VALUES", 500)  # two frames a chunk
    whole = []
    result = simulate(small.folder, small.frames(31), progress=lambda *told: whole.append(told))
    assert result.bit_exact and result.interval == 36
    assert set(np.diff(result.last_output_cycles).tolist()) == {36}
    assert whole[-1] == (31, 31, result.cycles)


def test_wrong_weight_bit(small):
    memory = small.folder / "rtl" / "scale.hex"
    word = int(memory.read_text().split()[1], 16)
    memory.write_text(memory.read_text().replace(f"{word:08x}", f"{word ^ (8 << 16):08x}"))
    frames = small.frames(10)
    result = simulate(small.folder, frames)
    assert not result.bit_exact
    scale = small.network["features.0"].op
    m = scale.multiplier.copy()
    m[3] ^= 8  # second word, upper half: fold 1, lane 1
    got = np.clip(((frames * m + 128) >> 8) - 20, -32, 31)
    expected = scale.compute(frames)
    at = np.argwhere(got != expected)[0]
    first = result.mismatches[0]
    assert result.culprit == "features.0"
    assert (first.frame, first.row, first.column, first.channel) == tuple(at)
    assert (first.expected, first.got) == (expected[tuple(at)], got[tuple(at)])
    assert {mismatch.channel for mismatch in result.mismatches} == {3}
    # beat k of an unstalled input is taken in cycle first + k; the register shows it one later
    beat = (at[1] * 4 + at[2]) * 3 + 1
    assert at[0] == 0 and first.cycle == result.first_input_cycle + beat + 1


@pytest.mark.parametrize("stall", [(0, 0), (0.3, 0.3)], ids=str)
def test_one_wrong_value_deep_inside(small, stall):
    small.plant("wrong", 100)  # beat 100 of features.1: 18 a frame, 6 a row, 3 a pixel
    frames = small.frames(10)
    result = simulate(small.folder, frames, stall=stall, trace=False)
    tensors = small.network.trace(frames)
    value = int(tensors["features.1"][5, 1, 1, 2])
    first, second = result.mismatches
    wrong = (value & 63 ^ 4) - (64 if value < 0 else 0)
    assert first == Mismatch("features.1", 5, 1, 1, 2, value, wrong, first.cycle)
    # what follows from it is named after it, once, although the edge shows it again
    assert second == Mismatch("head", 5, 1, 1, 2, value + 20, wrong + 20, second.cycle)
    assert second.cycle > first.cycle
    assert result.frames == 10 and result.outputs["output"][5, 1, 1, 2] == wrong + 20


def test_dropped_beat(small):
    small.plant("drop", 100)  # frame 2 (36 a frame), row 2, column 1, fold 1
    frames = small.frames(10)
    result = simulate(small.folder, frames, trace=False)
    tensor = small.network.trace(frames)["features.0"]
    first = result.mismatches[0]
    assert result.culprit == "features.0"
    assert (first.frame, first.row, first.column, first.channel) == (2, 2, 1, 2)
    assert first.expected == tensor[2, 2, 1, 2]
    assert first.got == tensor[2, 2, 1, 4]  # the next beat
    assert first.kind == "value"


def test_dropped_last_beat_is_missed(small):
    small.plant("drop", 10 * 36 - 1)
    result = simulate(small.folder, small.frames(10), patience=500, trace=False)
    assert not result.bit_exact and not result.mismatches
    assert result.culprit == result.deadlock.layer == "features.0"
    assert result.frames == 9


@pytest.mark.parametrize(("fault", "strike", "row"), [("last_missing", 8, 2), ("last_early", 7, 1)])
@pytest.mark.parametrize("stall", [(0, 0), HELD], ids=str)
def test_tlast_is_right_and_only_right(small, fault, strike, row, stall):
    small.plant(fault, strike)
    result = simulate(small.folder, small.frames(10), stall=stall, trace=False)
    (wrong,) = result.mismatches
    early = fault == "last_early"
    place = ("head", 2, row, 0, 0, 1 - early, int(early))
    assert wrong == Mismatch(*place, wrong.cycle, "tlast")


def test_stuck_ready_is_a_deadlock(small):
    small.plant("stuck", 100)
    result = simulate(small.folder, small.frames(10), patience=500, trace=False)
    assert not result.bit_exact and not result.mismatches
    assert result.culprit == "features.0"
    beats = {stream.layer: stream.beats for stream in result.deadlock.streams}
    assert beats == {"x": 100, "features.0": 100, "features.1": 49, "head": 8}
    first = result.deadlock.streams[0]
    assert first.expected == 360 and first.valid and not first.ready
    assert result.first_input_cycle + 100 <= result.deadlock.cycle < result.cycles - 500


@pytest.mark.parametrize(("fault", "kind"), [("unheld", "unheld"), ("retract", "retracted")])
def test_beat_that_changes_before_it_is_taken(small, fault, kind):
    # the fifth beat of a row waits while the sink, with this seed, does not take the last row
    small.plant(fault, 100)
    frames = small.frames(10)
    result = simulate(small.folder, frames, stall=HELD, seed=4, patience=999, trace=False)
    first = result.mismatches[0]
    assert (first.layer, first.kind) == ("features.0", kind)
    assert (first.frame, first.row, first.column, first.channel) == (2, 2, 1, 2)
    assert first.expected == small.network.trace(frames)["features.0"][2, 2, 1, 2]
    if kind == "unheld":
        assert first.got == first.expected + 1
    else:
        assert first.got is None


@pytest.mark.parametrize("strike", [10, 29])
def test_beat_too_many(small, strike):
    small.plant("repeat", strike)
    result = simulate(small.folder, small.frames(10), trace=False)
    first = result.mismatches[0]
    assert (first.layer, first.frame, first.row) == ("head", *divmod(strike + 1, 3))
    assert first.kind == ("extra" if strike == 29 else "value")


def test_stage_that_is_not_reset(small):
    small.plant("no_reset")
    frames = small.frames(3)
    assert simulate(small.folder, frames).bit_exact
    result = simulate(small.folder, frames, reset_after=16, trace=False)
    assert result.culprit == "features.1"


def test_failed_assertion(small):
    small.plant("assertion", 99)
    result = simulate(small.folder, small.frames(10), trace=False)
    assert not result.bit_exact
    assert "rtl/accelerator.v:" in result.assertion and "Assertion failed" in result.assertion
    assert result.frames == 2


def test_waveform_around_the_first_mistake(small):
    small.plant("wrong", 400)
    result = simulate(small.folder, small.frames(30))
    text = (small.folder / "sim" / "mismatch.vcd").read_text()
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    cycle = result.mismatches[0].cycle
    assert result.trace == str(small.folder / "sim" / "mismatch.vcd")
    assert times[0] == 10 * (cycle - 300) and times[-1] == 10 * (cycle + 60) + 5
    assert "features_1__payload" in text and "$timescale" in text


def test_frames_that_do_not_fit_are_refused(small):
    with pytest.raises(UserError, match="shape"):
        simulate(small.folder, np.zeros((2, 4, 4, 5), np.int64))
    with pytest.raises(UserError, match=r"\[0, 255\]"):
        simulate(small.folder, np.full((2, 3, 4, 5), 256))
    with pytest.raises(UserError, match="no frames"):
        simulate(small.folder, small.frames(0))
    with pytest.raises(UserError, match="no build directory"):
        simulate(small.folder / "rtl", small.frames(1))
