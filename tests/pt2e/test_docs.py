"""The tutorial of docs/quantised.md, run as it stands."""

import io
import re
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from hwgen.compress import compare
from hwgen.frontend import accuracy, adopt, load, read

PAGE = Path(__file__).parents[2] / "docs" / "quantised.md"


def test_the_tutorial(tmp_path, monkeypatch):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torchao's own
        exec(compile(script, "quantise.py", "exec"), {"__name__": "quantise"})
    network = read("quantised.pt2")
    assert {node.op.weight_bits for node in network if hasattr(node.op, "weight_bits")} == {4}
    with np.load("data.npz") as data:
        images, labels = data["images"], data["labels"]
    # What the page says that the build says.
    assert f"{accuracy(network, images, labels):.2f} % as integers" in PAGE.read_text()
    differences = compare(adopt(load("quantised.pt2")), network, images[:100])
    assert max(d.largest for d in differences.values()) <= 1
