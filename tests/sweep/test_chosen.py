"""A chosen point is built, measured and simulated; and nothing twice."""

import csv

from hwgen import flow
from hwgen.sweep import measured
from hwgen.sweep.run import sweep


def test_synth_and_sim(place, tmp_path, monkeypatch):
    """Steps that take long are stood in for: ``flow`` has tests of its own."""
    called: list[str] = []

    def estimate(folder, synth):
        called.append("synth")
        assert synth and flow.load_build(folder)
        return {"area": {"synthesized": {"lut": 1, "ff": 2, "dsp": 3, "bram": 4}}}

    class Result:
        bit_exact, cycles_exact = True, False
        report = {  # noqa: RUF012
            "frames": 9,
            "cycles": {"interval": {"simulated": 5}, "latency": {"simulated": 6}},
        }

    def simulate(folder, progress):
        called.append("sim")
        return Result

    monkeypatch.setattr(measured.flow, "estimate", estimate)
    monkeypatch.setattr(measured.flow, "simulate", simulate)

    def run(**given):
        return sweep("nets.py:tiny", "4", "4..5", out=tmp_path, jobs=1, **given)[0]

    made = run(synth="w4a5", sim="w4a4,w4a5")
    assert called == ["synth", "sim", "sim"]
    assert (tmp_path / "w4a4-ulx3s" / "manifest.json").exists()
    assert not made.verified
    with open(tmp_path / "sweep.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["lut_synthesized"] == "" and first["bit_exact"] == "true"
    assert second["dsp_synthesized"] == "3" and second["latency_simulated"] == "6"

    assert run(synth="w4a5", sim="w4a4,w4a5") == made
    assert len(called) == 3, "taken from the store"
    run(sim="w4a4", fps=1000)  # another plan goes to the same folder
    run(sim="w4a4")
    assert called[3:] == ["sim", "sim"]
