"""A build directory that is not what hwgen wrote: each file of it missing, garbage, or hostile."""

import json
import random
import shutil

import numpy as np
import pytest

from hwgen import flow
from hwgen.errors import UserError
from hwgen.manifest import sha256

FILES = ("network.json", "network.safetensors", "plan.json", "frames.npz", "rtl/accelerator.v",
         "rtl/n_0_weights.hex", "rtl/rom.v")  # fmt: skip


def refuses(run, *commands) -> str:
    said = {run(*command.split()) for command in (commands or ("sim built", "estimate built"))}
    (outcome,) = said
    assert (outcome.code, outcome.out) == (2, "")
    return outcome.err


@pytest.mark.parametrize("change", ["missing", "garbage", "folder"])
@pytest.mark.parametrize("file", FILES)
def test_files(run, stranger, file, change):
    path = stranger / "built" / file
    path.unlink()
    if change == "garbage":
        path.write_bytes(b"\x00garbage")
    elif change == "folder":
        path.mkdir()
    assert refuses(run) == (
        f"error: built is not what hwgen built: {file} changed or missing; build it anew\n"
    )


def test_manifest(run, stranger):
    path = stranger / "built" / "manifest.json"
    path.write_text("garbage")
    assert refuses(run) == (
        "error: built/manifest.json is damaged: Expecting value: line 1 column 1 (char 0); "
        "build it anew\n"
    )
    path.unlink()
    assert refuses(run) == "error: built is no build directory; give a folder that hwgen build " \
        "wrote\n"  # fmt: skip


@pytest.mark.parametrize("name", ["../nets.py", "/etc/passwd", "rtl/../../nets.py", "link"])
def test_no_path_leaves_the_build(run, stranger, name):
    path = stranger / "built" / "manifest.json"
    (stranger / "built" / "link").symlink_to("/etc/passwd")
    tree = json.loads(path.read_text())
    tree["hashes"][name] = "0" * 64
    path.write_text(json.dumps(tree))
    assert refuses(run) == (
        f"error: built/manifest.json names a file outside: {name}; build it anew\n"
    )


def test_files_without_a_hash(run, stranger):
    path = stranger / "built" / "manifest.json"
    tree = json.loads(path.read_text())
    del tree["hashes"]["plan.json"], tree["hashes"]["rtl/accelerator.v"]
    path.write_text(json.dumps(tree))
    assert refuses(run) == (
        "error: built is not what hwgen built: plan.json, rtl/accelerator.v changed or missing; "
        "build it anew\n"
    )


def test_report(run, stranger):
    path = stranger / "built" / "report.json"
    tree = json.loads(path.read_text())
    tree["area"]["estimated"]["lut"], tree["cycles"] = "many", None
    path.write_text(json.dumps(tree))
    assert refuses(run) == (
        "error: built/report.json is missing or damaged: cycles, area.estimated.lut missing or of "
        "another type; build it anew\n"
    )


def test_frames_of_a_stranger(run, stranger):
    build = stranger / "built"
    for content in (b"garbage", None):
        if content is None:
            np.savez(build / "frames.npz", frames=np.array([object()]))
        else:
            (build / "frames.npz").write_bytes(content)
        _rehash(build, "frames.npz")
        outcome = run("sim", "built")
        assert outcome.code == 2
        assert outcome.err.startswith("error: built/frames.npz is missing or damaged: ")


def test_verilog_of_a_stranger_runs_nothing(run, stranger):
    build = stranger / "built"
    source = build / "rtl" / "rom.v"
    source.write_text(source.read_text() + 'module x; initial $system("touch /tmp/x"); endmodule\n')
    _rehash(build, "rtl/rom.v")
    outcome = run("sim", "built")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: rtl/rom.v uses $system; hwgen simulates no Verilog that could reach beyond the "
        "simulation\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        *({"mean": value} for value in (0, -1, "x", None, True, 10**400, float("inf"))),
        *({"most": value} for value in (4, "x", 9.5, None)),
        *({"frames": value} for value in (0, True, 2.5, "x")),
    ],
)
def test_cycles_on_data_that_cannot_be(stranger, change):
    build = stranger / "built"
    tree = json.loads((build / "plan.json").read_text())
    tree["data"] = {"frames": 2, "mean": 5.0, "most": 6} | change
    (build / "plan.json").write_text(json.dumps(tree))
    _rehash(build, "plan.json")
    with pytest.raises(UserError, match=r"not a plan for this network: .*; build it anew"):
        flow.load_build(build)


def test_cycles_on_data(run, stranger):
    build = stranger / "built"
    tree = json.loads((build / "plan.json").read_text())
    for mean, said in ((0, "0 cycles between frames of data, on average"), (5.0, None)):
        tree["data"] = {"frames": 2, "mean": mean, "most": 6}
        (build / "plan.json").write_text(json.dumps(tree))
        _rehash(build, "plan.json")
        if said:
            assert refuses(run) == f"error: not a plan for this network: {said}; build it anew\n"
        else:
            assert run("estimate", "built").code == 0


VALUES = (None, 0, -1, 3, 1 << 70, 1.5, "x", "../x", [], {}, True, [1], {"a": 1}, float("nan"))


def test_any_change_is_refused_or_harmless(stranger):
    """One value of one JSON file changed, hashes mended: UserError or an estimate, nothing else."""
    rng = random.Random(1)
    for _ in range(60):
        folder = stranger / "changed"
        shutil.copytree(stranger / "built", folder)
        file = rng.choice(["network.json", "plan.json", "manifest.json", "report.json"])
        tree = json.loads((folder / file).read_text())
        path = rng.choice([path for path in _paths(tree) if path])
        inner = tree
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value = rng.choice(VALUES)
        (folder / file).write_text(json.dumps(tree))
        if file in ("network.json", "plan.json"):
            _rehash(folder, file)
        try:
            flow.estimate(folder)
        except UserError:
            pass
        except Exception as error:
            raise AssertionError(f"{file} {path} = {value!r}") from error
        shutil.rmtree(folder)


def _paths(tree, path=()):
    yield path
    tree = dict(enumerate(tree)) if isinstance(tree, list) else tree
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from _paths(value, (*path, key))


def _rehash(build, file) -> None:
    manifest = build / "manifest.json"
    tree = json.loads(manifest.read_text())
    tree["hashes"][file] = sha256(build / file)
    manifest.write_text(json.dumps(tree))
