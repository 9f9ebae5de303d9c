"""The page of a build: complete, legible without a network, and careful with names."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.cost.energy import joules
from hwgen.cost.families import FAMILIES
from hwgen.emit import write_build
from hwgen.network import (
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Network,
    Node,
    Requantise,
    TensorType,
)
from hwgen.plan import plan
from hwgen.report import record
from hwgen.report.page import write_page

#: A layer name that would be markup, and mathematics to a plotting library, if nobody took care.
EVIL = '<script>alert("$x_1$")</script>&'


def network() -> Network:
    """A small network of every engine."""
    rng = np.random.default_rng(1)
    image = TensorType((8, 8, 3), 8, False)
    weights = rng.integers(-127, 128, (8, 3, 3, 3))
    conv = Conv2d(image, weights, rng.integers(-99, 99, 8), 8, padding=(1, 1, 1, 1))
    scale = rng.integers(300, 1 << 10, 8)
    narrow = Requantise(conv.output, scale, 18, 8, False, 0, 0, 255)
    pool = MaxPool2d(narrow.output, (2, 2), (2, 2))
    dense = Linear(
        pool.output, rng.integers(-127, 128, (10, 4, 4, 8)), rng.integers(-99, 99, 10), 8
    )
    ops = {EVIL: conv, f"{EVIL}.requantise": narrow, "pool": pool, "fc": dense}
    nodes = [Node("input", Input(image), (), image)]
    for name, op in ops.items():
        nodes.append(Node(name, op, (nodes[-1].name,), op.output))
    return Network(tuple(nodes), ("fc",))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A build directory with estimates alone, and its plan."""
    folder = tmp_path_factory.mktemp("page") / "build"
    small, board = network(), load_board("ulx3s")
    planned = plan(small, board)
    frames = np.random.default_rng(2).integers(0, 256, (2, 8, 8, 3))
    accuracy = {"float": None, "integer": None, "images": None}
    report = record.fresh('a <b>design</b> & "more"', planned, accuracy)
    write_build(folder, "design", small, planned, frames, report)
    return folder, planned


@pytest.fixture
def build(made):
    """The same, its report put back after the test."""
    folder, planned = made
    before = (folder / "report.json").read_text()
    yield folder, planned
    (folder / "report.json").write_text(before)


class Text(HTMLParser):
    """Text that a reader sees, the tags of the page, and whatever they refer to."""

    VOID = ("meta", "br", "path", "use", "img", "link", "input")

    def __init__(self, page: str):
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.refers: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                self.refers.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(folder) -> Text:
    page = write_page(folder)
    assert page == folder / "report.html"
    return Text(page.read_text(encoding="utf-8"))


def test_estimates_alone(build):
    folder, planned = build
    page = read(folder)
    assert not page.open, "every tag is closed"
    assert "not yet simulated" in page.text
    assert "not yet" in page.text and "Accuracy" not in page.text
    assert f"{planned.interval:,}" in page.text and f"{planned.latency:,}" in page.text
    area = record.read(folder)["area"]
    for name, value in area["estimated"].items():
        error = area["expected_error"].get(name)
        assert f"{value:,}" + (f" ± {100 * error:.0f} %" if error else "") in page.text
    assert area["expected_error"].keys() == {"lut", "ff"}
    assert page.text.count("±") == 2
    for stage in planned.stages:
        assert (stage.node or stage.name) in page.text and stage.reason in page.text
    registers = area["register_file"]
    assert f"takes {registers['lut']:,} LUTs and {registers['ff']:,} flip-flops" in page.text
    assert joules(record.read(folder)["energy"]["picojoules"]) in page.text


def test_no_error_of_a_family_that_was_never_measured(tmp_path, monkeypatch):
    small, board = network(), load_board("ulx3s")
    monkeypatch.setitem(FAMILIES, "ecp5", replace(FAMILIES["ecp5"], expected_error={}))
    planned = plan(small, board, engines={EVIL: "winograd"})
    accuracy = {"float": None, "integer": None, "images": None}
    report = record.fresh("design", planned, accuracy)
    assert report["area"]["expected_error"] == {}
    write_build(tmp_path / "build", "design", small, planned, np.zeros((1, 8, 8, 3), int), report)
    page = read(tmp_path / "build")
    assert not page.open and "±" not in page.text and "Nine of ten" not in page.text


def test_measurements(build):
    folder, planned = build
    record.update(
        folder,
        {
            "bit_exact": True,
            "frames": 128,
            "accuracy": {"float": 93.14, "integer": 93.13, "images": 10_000},
            "cycles": {
                "interval": {"simulated": planned.interval},
                "latency": {"simulated": planned.latency + 1},
            },
            "area": {"synthesized": {"lut": 1234, "ff": 5678, "dsp": 0, "bram": 7}},
            "simulation": {
                "cycles": 99,
                "seconds": 1.0,
                "stall_rate": 0.3,
                "every_frame_on_time": True,
            },
        },
    )
    page = read(folder)
    for expected in ("93.13 %", "93.14 %", "10,000 images", "1,234", "5,678", "128 frames"):
        assert expected in page.text
    assert "simulated, and exactly as foretold" in page.text
    assert f"{planned.latency + 1:,} simulated; {planned.latency:,} were foretold" in page.text
    assert "not yet" not in page.text


def test_not_exact_is_said_plainly(build):
    folder, _ = build
    record.update(folder, {"bit_exact": False, "frames": 3})
    assert "Bit-exact NO Verilator, 3 frames" in read(folder).text


def test_names_are_text(build):
    folder, _ = build
    page = read(folder)
    assert "script" not in page.tags and "b" in page.tags
    assert page.text.count(EVIL) > 6, "stream, plots and tables call a layer by its own name"
    assert 'a <b>design</b> & "more"' in page.text


def test_self_contained(build):
    folder, _ = build
    page = read(folder)
    assert all(target.startswith("#") for target in page.refers), page.refers
    text = (folder / "report.html").read_text()
    plain = re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)  # names, which nothing fetches
    assert not re.search(r"https?:|url\((?!#)|@import|<link|<script", plain)


def test_same_report_same_page(build):
    folder, _ = build
    first = write_page(folder).read_bytes()
    assert write_page(folder).read_bytes() == first


def test_no_build_directory(tmp_path):
    with pytest.raises((ValueError, OSError)):
        write_page(tmp_path)
