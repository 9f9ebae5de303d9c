"""Every mistake of the user's, by its full text and exit code 2; nothing is left behind."""

import os
import shlex
from pathlib import Path

import pytest

from hwgen import models

WANTED = "give float32 (N, C, H, W), (N, C, L) or (N, F), as the network takes them"
BITS = "is neither a number nor a table such as conv1=4,default=8"

#: Command, after ``hwgen``: what it says.
BUILD = {
    # The network
    "fashion_cn": "there is no network 'fashion_cn'; give a reference network (fashion_cnn), "
    "a .pt2 file, or file.py:function",
    "gone.pt2": "there is no file gone.pt2; check the path",
    "junk.pt2 --calibrate good.npz": "junk.pt2 is no .pt2 archive: File is not a zip file; "
    "save it with torch.export.save of torch 2.8 or later",
    "weights.pt": "there is no network 'weights.pt'; weights alone are no network: "
    "give a .pt2 file of torch.export.save, or file.py:function",
    "gone.py:small": "there is no file gone.py; check the path",
    "nets.py": "nets.py does not say which function makes the network; give nets.py:function",
    "nets.py:smal": "nets.py has no function 'smal'; it has small",
    "syntax.py:f": "syntax.py:f failed: SyntaxError: invalid syntax (syntax.py, line 1); "
    "correct the file",
    "nets.py:fails": "nets.py:fails failed: ValueError: the weights are gone; correct the file",
    "nets.py:leaves": "nets.py:leaves failed: SystemExit: bye; correct the file",
    "nets.py:number": "nets.py:number returned int; "
    "return a torch.nn.Module, or a pair of one and its calibration inputs",
    "nets.py:three": "nets.py:three returned a tuple (Sequential, Tensor, int); "
    "return a torch.nn.Module, or a pair of one and its calibration inputs",
    "nets.py:unsupported": "1: aten.gelu is not supported; use ReLU, ReLU6, LeakyReLU or Hardtanh\n"
    "3: aten.softmax is not supported; leave it out: the largest output is the same",
    "dynamic.pt2 --calibrate good.npz": "input: its shape (2, 1, ?, 8) is not fixed; "
    "let only the batch vary: export with fixed sizes",
    "nets.py:nan": "0: 1 of 36 numbers in its weight are NaN or infinite; train it again\n"
    "4: 2 of 3 numbers in its bias are NaN or infinite; train it again",
    # Calibration data
    "nets.py:without_data": "there is no calibration data; "
    "give --calibrate data.npz with real inputs",
    "nets.py:lists": "nets.py:lists returned list as calibration inputs; "
    "return a tensor or a NumPy array",
    "nets.py:bytes_last": f"the inputs are uint8 of shape (8, 8, 8, 1); {WANTED}",
    "nets.py:small --calibrate gone.npz": "gone.npz cannot be read: No such file or directory; "
    "check the path",
    "nets.py:small --calibrate bytes.npz": "the inputs are uint8 of shape (8, 8, 8, 1); "
    f"{WANTED}",
    "nets.py:small --calibrate holed.npz": "5 of 8 inputs hold NaN or infinite numbers; "
    "leave them out",
    "nets.py:small --calibrate pickled.npz": "pickled.npz is no array file, or holds pickled "
    "objects; save it with numpy.savez(images=...)",
    "nets.py:small --calibrate junk.npz": "junk.npz is no array file, or holds pickled "
    "objects; save it with numpy.savez(images=...)",
    # Engines
    "nets.py:small --engine fft": "there is no engine 'fft'; "
    "use auto, direct, winograd, winograd-f2, winograd-f4, srbs",
    "nets.py:small --engine 4=winograd-f2,nix=direct": "4: winograd-f2 cannot compute it: "
    "it is no convolution; ask for direct; Winograd is for 3 x 3 kernels of stride 1, all in one "
    "group\nan engine is asked for 'nix', which is no layer; nearest are 0, 0.requantise, 2, "
    "4, 4.requantise",
    # Bits
    "nets.py:small --bits 0": "weights: 0 bits; use 1 to 16\nactivations: 0 bits; use 1 to 16",
    "nets.py:small --weights 17": "weights: 17 bits; use 1 to 16",
    "nets.py:small --activations 0=17,4=-1": "activations of 0: 17 bits; use 1 to 16\n"
    "activations of 4: -1 bits; use 1 to 16",
    "nets.py:small --weights conv1=4": "bits of weights are given for 'conv1', which is no layer "
    "with weights; nearest are 0, 4",
    "nets.py:small --activations inputs=4": "bits of activations are given for 'inputs', which is "
    "no layer with weights, average or addition; nearest are input",
    # Board and target
    "nets.py:small --board ulx3": "there is no board 'ulx3'; did you mean ulx3s? "
    "A board of your own: give the path of a .toml file",
    "nets.py:small --board gone.toml": "gone.toml cannot be read: [Errno 2] No such file or "
    "directory: 'gone.toml'; give a board file in TOML",
    "nets.py:small --fps 0": "0 frames/s are no rate; give a number above 0",
    "nets.py:small --fps nan": "nan frames/s are no rate; give a number above 0",
    # Independent mistakes are named together
    "nets.py:smal --board ulx3 --fps -1 --out nets.py": "there is no board 'ulx3'; did you mean "
    "ulx3s? A board of your own: give the path of a .toml file\n"
    "nets.py has no function 'smal'; it has small\n"
    "-1 frames/s are no rate; give a number above 0\n"
    "nets.py exists and is not a build of hwgen, so it is kept; give another --out",
    # The place
    "nets.py:small --out built": "built exists already; give another --out, or --force to "
    "replace it",
    "nets.py:small --out .": ". exists and is not a build of hwgen, so it is kept; "
    "give another --out",
    "nets.py:small --out . --force": ". exists and is not a build of hwgen, so it is kept; "
    "give another --out",
    "nets.py:small --out nets.py/x": "cannot write nets.py/x: {here}/nets.py: Not a directory; "
    "give another --out",
}  # fmt: skip

SIM = {
    "gone": "there is no gone; give a folder that hwgen build wrote",
    ".": ". is no build directory; give a folder that hwgen build wrote",
    "built --images gone.npz": "gone.npz cannot be read: No such file or directory; check the path",
    "built --images bytes.npz": f"the inputs are uint8 of shape (8, 8, 8, 1); {WANTED}",
    "built --stall nan": "nan is no share of idle cycles; give a stall of 0 to 0.95",
    "built --images three.npz": "input: takes (N, 8, 8, 1) after the channels are moved last, "
    "and was given (8, 8, 8, 3); give inputs as the network takes them",
}

#: Mistakes that click itself finds: command and its last line.
USAGE = {
    "build": "Error: Missing argument 'MODEL'.",
    "build nets.py:small --bits x": f"Error: Invalid value for '--bits': 'x' {BITS}",
    "build nets.py:small --bits 8,0=4": f"Error: Invalid value for '--bits': '8,0=4' {BITS}",
    "build nets.py:small --bits 0=4,0=5": "Error: Invalid value for '--bits': '0=4,0=5' names a "
    "layer twice",
    "build nets.py:small --calibration best": "Error: Invalid value for '--calibration': 'best' "
    "is not one of 'minmax', 'percentile', 'mse'.",
    "sim built --frames 1": "Error: Invalid value for '--frames': 1 is not in the range x>=2.",
    "sim built --stall 1": "Error: Invalid value for '--stall': 1.0 is not in the range "
    "0<=x<=0.95.",
    "sim built --seed -1": "Error: Invalid value for '--seed': -1 is not in the range "
    "0<=x<=2147483647.",
    "simulate": "Error: No such command 'simulate'. Did you mean 'estimate'?",
}


def errors(text: str) -> str:
    return "".join(f"error: {line}\n" for line in text.splitlines())


def listing(folder: Path) -> dict[str, float]:
    kept = (p for p in folder.rglob("*") if "__pycache__" not in p.parts)
    return {str(p.relative_to(folder)): p.stat().st_mtime for p in kept if p.is_file()}


def refused(run, folder: Path, command: str, text: str) -> None:
    before = listing(folder)
    outcome = run(*shlex.split(command))
    assert outcome.err == errors(text.format(here=folder))
    assert (outcome.code, outcome.out) == (2, "")
    assert listing(folder) == before


@pytest.mark.parametrize("command", BUILD)
def test_builds(run, stranger, command):
    refused(run, stranger, f"build {command}", BUILD[command])


@pytest.mark.parametrize("command", SIM)
def test_simulations(run, stranger, command):
    refused(run, stranger, f"sim {command}", SIM[command])


@pytest.mark.parametrize("command", USAGE)
def test_usage(run, stranger, command):
    outcome = run(*shlex.split(command))
    assert outcome.err.splitlines()[-1] == USAGE[command]
    assert (outcome.code, outcome.out) == (2, "")


def test_an_estimate_of_no_network(run):
    assert run("estimate", "nothing").err == errors(
        f"there is no network 'nothing'; give a reference network ({', '.join(models.names())}), "
        "a .pt2 file, or file.py:function"
    )


CHOICES = "--calibration mse", "--approximate", "--max-port-width 8", "--board zcu104 --fps 9"


@pytest.mark.parametrize("choices", CHOICES)
def test_an_estimate_of_a_build_with_choices(run, stranger, choices):
    """None is passed over in silence: whatever option is given, a build is planned already."""
    given = ", ".join(word for word in choices.split() if word.startswith("--"))
    refused(
        run,
        stranger,
        f"estimate built {choices}",
        f"a build is planned already, so {given} would change nothing; "
        "give the model instead of the build",
    )


def test_data_of_another_shape(run):
    outcome = run("build", "nets.py:small", "--calibrate", "last.npz")
    assert outcome.code == 2
    assert outcome.err == (
        "error: 0: takes 1 channels, and is given (N, 8, 8, 1); "
        "the channels come first: (N, C, H, W)\n"
    )


def test_a_network_that_does_not_fit(run):
    outcome = run("build", "nets.py:big")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: the network does not fit ulx3s: ")
    assert " BRAM where 208 may be used" in outcome.err
    assert "or a board that holds it: alveo_u250, " in outcome.err


def test_a_target_out_of_reach(run):
    outcome = run("build", "nets.py:small", "--fps", "1e9")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(
        "error: 1e+09 frames/s at 80 MHz are out of reach on ulx3s; the best in reach is "
    )
    assert outcome.err.count("\n") == 1
    best = outcome.err.split("give --fps ")[1].split()[0]
    assert run("build", "nets.py:small", "--fps", best, "--out", "best").code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_that_is_read_only(run, stranger):
    place = stranger / "closed"
    place.mkdir(mode=0o500)
    refused(
        run,
        stranger,
        "build nets.py:small --out closed/x",
        "cannot write closed/x: {here}/closed: Permission denied; give another --out",
    )
