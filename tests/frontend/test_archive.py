"""``.pt2`` files: the same program as the one saved, and nothing executed of what is in them."""

import io
import json
import zipfile

import pytest
import torch
from torch import nn

from hwgen.compress import Settings, quantize
from hwgen.errors import UserError
from hwgen.frontend import load, read
from hwgen.network import Network

SAVE_AGAIN = "save it with torch.export.save of torch 2.8 or later"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 3, 3, padding="same"), nn.BatchNorm2d(3), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(3 * 4 * 4, 5)

    def forward(self, x):
        x = self.pool(self.body(x))
        return self.fc(x.view(x.size(0), -1))


@pytest.fixture(scope="module")
def frames():
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return Small().eval()


@pytest.fixture(scope="module", params=["free batch", "fixed batch"])
def exported(request, model, frames):
    free = request.param == "free batch"
    shapes = ({0: torch.export.Dim("batch", min=2)},) if free else None
    return torch.export.export(model, (frames[:2],), dynamic_shapes=shapes)


@pytest.fixture(scope="module")
def saved(exported, tmp_path_factory):
    path = tmp_path_factory.mktemp("pt2") / "small.pt2"
    torch.export.save(exported, path)
    return path


def network(source, frames) -> Network:
    return read(quantize(source, frames, Settings(4, 5)))


def test_every_way_in_gives_the_same_network(model, exported, saved, frames):
    from_module = network(model, frames)
    assert [node.name for node in from_module] == [
        "input", "body.0", "body.0.requantise", "pool", "fc", "fc.requantise",
    ]  # fmt: skip
    assert network(exported, frames) == from_module
    assert network(saved, frames) == from_module
    assert network(str(saved), frames) == from_module


def test_a_quantised_network_survives_export_and_the_disk(model, frames, tmp_path):
    program = quantize(model, frames, Settings({"fc": 1, "default": 3}, 6))
    batch = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(program, (frames[:2],), dynamic_shapes=batch)
    torch.export.save(exported, tmp_path / "q.pt2")
    nodes = read(program).nodes
    assert read(exported).nodes == nodes
    assert read(load(tmp_path / "q.pt2")).nodes == nodes


class Branches(nn.Module):
    """What is no line: in-place sums and activations, padding, averages, grouped convolution."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(1, 4, 3), nn.ReLU6(True))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(4, 4, 3, 1, 2, 2, 4, bias=False), nn.BatchNorm2d(4))
            for _ in range(2)
        )
        self.pool, self.fc = nn.AvgPool2d(2, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            y = block(x)
            y += x
            x = y.clamp_(-0.5)
        x = self.pool(x) + nn.functional.hardtanh(self.pool(x), -0.1, 0.2)
        return self.fc(x.mean((2, 3)))


def test_branches_survive_every_way_in_and_out(frames, tmp_path):
    torch.manual_seed(2)
    model, batch = Branches().eval(), ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(model, (frames[:2],), dynamic_shapes=batch)
    torch.export.save(exported, tmp_path / "float.pt2")
    program = quantize(model, frames, Settings(4, 5))
    expected = read(program)
    assert [node.name for node in expected if node.op.kind in ("add", "sum_pool2d")] == [
        "add", "add_1", "pool", "pool.2", "add_2", "mean",
    ]  # fmt: skip
    assert network(exported, frames) == expected
    assert network(tmp_path / "float.pt2", frames) == expected
    again = torch.export.export(program, (frames[:2],), dynamic_shapes=batch)
    torch.export.save(again, tmp_path / "quantised.pt2")
    assert read(again).nodes == expected.nodes
    assert read(load(tmp_path / "quantised.pt2")).nodes == expected.nodes


def rewritten(path, to, edit=lambda name, data: data, compression=zipfile.ZIP_STORED):
    """A copy of an archive with members changed (None: left out)."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", compression) as new:
        for name in old.namelist():
            data = edit(name.partition("/")[2], old.read(name))
            if data is not None:
                new.writestr(name, data)
    return to


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        load(path)
    return str(error.value)


class Bomb:
    """Unpickling it fails the test."""

    def __reduce__(self):
        return pytest.fail, ("something was executed",)


@pytest.fixture
def bomb():
    data = io.BytesIO()
    torch.save(Bomb(), data)
    return data.getvalue()


def test_pickled_inputs_are_never_opened(saved, tmp_path, bomb):
    path = rewritten(
        saved,
        tmp_path / "a.pt2",
        lambda name, data: bomb if name == "data/sample_inputs/model.pt" else data,
    )
    assert len(list(load(path).graph.nodes)) > 5


def test_pickled_weights_are_refused(saved, tmp_path, bomb):
    def edit(name, data):
        if name == "data/weights/model_weights_config.json":
            tree = json.loads(data)
            tree["config"]["body.0.weight"]["use_pickle"] = True
            return json.dumps(tree)
        return bomb if name == "data/weights/weight_0" else data

    path = rewritten(saved, tmp_path / "a.pt2", edit)
    assert refusal(path) == (
        f"body.0.weight: {path} holds a pickle, which could execute anything; "
        "use plain tensors as weights"
    )


def edited(saved, to, change):
    """A copy whose graph ``change`` has altered."""

    def edit(name, data):
        if name != "models/model.json":
            return data
        tree = json.loads(data)
        change(tree["graph_module"])
        return json.dumps(tree)

    return rewritten(saved, to, edit)


STRANGE = ["os.system", "torch.load", "torch.ops.prim.Print.default", "torch.ops.aten.relu.gone",
           "torch.ops.aten.__class__.mro"]  # fmt: skip


@pytest.mark.parametrize("target", STRANGE)
def test_calls_that_are_no_operators_are_refused(saved, tmp_path, target):
    def change(tree):
        (call,) = (call for call in tree["graph"]["nodes"] if "relu" in call["target"])
        call["target"] = target

    path = edited(saved, tmp_path / "a.pt2", change)
    assert refusal(path) == (
        f"body.2: calls {target!r}, which is not one of torch's operators; use torch's own layers"
    )


def test_names_that_are_code_are_refused(saved, tmp_path):
    """torch.fx writes names into Python text; none may carry any."""
    evil = "x):\n  raise SystemExit\ndef f(y"

    def parameter(tree):
        tree["signature"]["input_specs"][0]["parameter"]["parameter_name"] = evil

    def entry(tree):
        text = json.dumps(tree).replace('"name": "x"', json.dumps({"name": evil})[1:-1])
        tree.clear()
        tree.update(json.loads(text))

    def keyword(tree):
        tree["graph"]["nodes"][-1]["inputs"][-1]["name"] = evil

    for change in (parameter, entry, keyword):
        path = edited(saved, tmp_path / "a.pt2", change)
        assert refusal(path) == f"{path} is damaged: ValueError: {evil!r} is no name; {SAVE_AGAIN}"


def test_calls_with_wrong_arguments_are_refused(saved, tmp_path):
    def a_number(tree):
        tree["graph"]["nodes"][-1]["inputs"][0]["arg"] = {"as_int": 3}

    def unknown(tree):
        tree["graph"]["nodes"][-1]["inputs"][-1]["name"] = "bios"

    path = tmp_path / "a.pt2"
    damaged = f"{path} is damaged: ValueError: "
    edited(saved, path, a_number)
    assert refusal(path) == f"{damaged}aten::linear is given no tensor for 'input'; {SAVE_AGAIN}"
    edited(saved, path, unknown)
    assert refusal(path) == f"{damaged}wrong arguments for aten::linear; {SAVE_AGAIN}"


def test_shape_expressions_are_not_evaluated(saved, tmp_path):
    def change(tree):
        for value in tree["graph"]["sym_int_values"].values():
            value["as_expr"]["expr_str"] = "__import__('pytest').fail('executed')"

    load(edited(saved, tmp_path / "a.pt2", change))


def test_weights_may_not_reach_beyond_their_bytes(saved, tmp_path):
    def edit(name, data):
        if name != "data/weights/model_weights_config.json":
            return data
        tree = json.loads(data)
        tree["config"]["fc.weight"]["tensor_meta"]["strides"][0]["as_int"] = 1 << 20
        return json.dumps(tree)

    text = refusal(rewritten(saved, tmp_path / "a.pt2", edit))
    assert text.startswith(f"{tmp_path / 'a.pt2'} is damaged: RuntimeError: setStorage")


def test_damaged_files_are_refused(saved, tmp_path):
    path = tmp_path / "a.pt2"
    assert refusal(path) == f"{path} cannot be read: No such file or directory; check the path"
    path.write_bytes(saved.read_bytes()[:5000])
    assert refusal(path) == f"{path} is no .pt2 archive: File is not a zip file; {SAVE_AGAIN}"
    rewritten(saved, path, compression=zipfile.ZIP_DEFLATED)
    assert refusal(path) == f"{path} is compressed, which no .pt2 is; {SAVE_AGAIN}"
    rewritten(saved, path, lambda name, data: None if name.startswith("models/") else data)
    assert refusal(path) == f"{path} holds 0 networks; export one network"
    rewritten(saved, path, lambda name, data: b"big" if name == "byteorder" else data)
    assert refusal(path) == f"{path} is big-endian; save it on another machine"
    rewritten(saved, path, lambda name, data: None if name.endswith("weight_1") else data)
    assert refusal(path) == f"{path} is damaged: KeyError: 'data/weights/weight_1'; {SAVE_AGAIN}"
    rewritten(saved, path, lambda name, data: data[:-1] if name.endswith("model.json") else data)
    assert refusal(path).startswith(f"{path} is damaged: JSONDecodeError: ")


def test_a_flipped_bit_is_noticed(saved, tmp_path):
    data = bytearray(saved.read_bytes())
    place = data.index(b"batch_norm")
    data[place] ^= 1
    path = tmp_path / "a.pt2"
    path.write_bytes(data)
    assert refusal(path).startswith(f"{path} is no .pt2 archive: Bad CRC-32 for file ")
