"""What MODEL means: a reference network's name, a ``.pt2`` file, or ``file.py:function``."""

import difflib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export import ExportedProgram

from hwgen import models
from hwgen.errors import Problem, UserError
from hwgen.frontend import (
    Images,
    Source,
    as_array,
    count_of,
    is_quantised,
    load,
    load_calibration,
    load_labels,
)

__all__ = ["Data", "Model", "ModelLike", "find"]


@dataclass(frozen=True, eq=False)
class Model:
    """A float network and the data that comes with it.

    ``calibration`` is float (N, C, H, W), (N, C, L) or (N, F), of several inputs each by its
    name; only a network that is quantised already can do without. ``labels`` are its classes,
    integers (N,), if known. ``test`` is (images, labels) of a test set, or None.
    """

    name: str
    source: Source
    calibration: Images | None
    test: tuple[np.ndarray, np.ndarray] | None = None
    labels: np.ndarray | None = None


#: What stands for a model: MODEL of the command line, or the network itself.
ModelLike = str | Path | torch.nn.Module | ExportedProgram | Model

#: Inputs: float (N, C, H, W), (N, C, L) or (N, F), of several by name; or an ``.npz`` file.
Data = str | Path | Images


def find(model: ModelLike, calibrate: Data | None = None) -> Model:
    """The model of this name, file or function; ``calibrate`` are real inputs.

    A function takes no arguments, and returns a module, or a module and calibration inputs, which
    are a dict by the arguments of ``forward`` where it takes several.
    Raises UserError.
    """
    if isinstance(model, Model):
        return model
    data, labels = _inputs(calibrate)
    if isinstance(model, torch.nn.Module | ExportedProgram):
        return Model(type(model).__name__, *_whole(model, data), labels=labels)
    text = str(model)
    path, _, function = text.rpartition(":")
    if text in models.names():
        reference = models.load(text)
        return Model(
            text,
            reference.module,
            reference.calibration if data is None else data,
            (reference.test_images, reference.test_labels),
            labels,
        )
    if text.endswith(".pt2"):
        if not Path(text).is_file():
            raise UserError(Problem(None, f"there is no file {text}", "check the path"))
        return Model(Path(text).stem, *_whole(Path(text), data), labels=labels)
    if path.endswith(".py") and function:
        return _from_function(Path(path), function, data, labels)
    raise UserError(_unknown(text))


def _inputs(given: Data | None) -> tuple[Images | None, np.ndarray | None]:
    """Calibration data, and its labels if it comes from a file that has them."""
    if isinstance(given, str | Path):
        images = load_calibration(given)
        return images, load_labels(given, count_of(images))
    return _plain(given), None


def _unknown(text: str) -> Problem:
    if text.rstrip(":").endswith(".py"):
        reason = f"{text} does not say which function makes the network"
        return Problem(None, reason, f"give {text.rstrip(':')}:function")
    reason = f"there is no network {text!r}"
    if text.endswith((".pt", ".pth")):
        remedy = "weights alone are no network: give a .pt2 file of torch.export.save, or "
        return Problem(None, reason, remedy + "file.py:function")
    near = difflib.get_close_matches(text, models.names(), 1) or models.names()
    remedy = f"give a reference network ({', '.join(near)}), a .pt2 file, or file.py:function"
    return Problem(None, reason, remedy)


def _plain(data: Images | None) -> Images | None:
    """Tensors as arrays."""
    if isinstance(data, Mapping):
        return {name: as_array(array) for name, array in data.items()}
    return None if data is None else as_array(data)


def _whole(source: Source, data: Images | None) -> tuple[Source, Images | None]:
    """``source`` and its data; without, UserError unless it is quantised and so needs none."""
    if data is not None:
        return source, data
    if isinstance(source, str | Path | ExportedProgram | fx.GraphModule):
        program = source if isinstance(source, fx.GraphModule) else load(source)
        if is_quantised(program.graph):
            return program, None
    remedy = "give --calibrate data.npz with real inputs"
    raise UserError(Problem(None, "there is no calibration data", remedy))


def _from_function(
    path: Path, function: str, data: Images | None, labels: np.ndarray | None
) -> Model:
    if not path.is_file():
        raise UserError(Problem(None, f"there is no file {path}", "check the path"))
    try:
        with _module(path) as module:
            make = getattr(module, function, None)
            if not callable(make):
                raise UserError(_no_function(path, module, function))
            made = make()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        # Whatever the user's own file raises ends here, so no narrower class will do.
        first = (str(error).strip() or "no message").splitlines()[0]
        reason = f"{path}:{function} failed: {type(error).__name__}: {first}"
        raise UserError(Problem(None, reason, "correct the file")) from error
    network, own = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(network, torch.nn.Module | ExportedProgram):
        reason = f"{path}:{function} returned {_described(made)}"
        remedy = "return a torch.nn.Module, or a pair of one and its calibration inputs"
        raise UserError(Problem(None, reason, remedy))
    if data is None and own is not None:
        arrays = list(own.values()) if isinstance(own, Mapping) else [own]
        if not arrays or not all(isinstance(one, torch.Tensor | np.ndarray) for one in arrays):
            reason = f"{path}:{function} returned {_described(own)} as calibration inputs"
            raise UserError(Problem(None, reason, "return a tensor or a NumPy array"))
        data = _plain(own)
    return Model(function, *_whole(network, data), labels=labels)


def _described(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple ({', '.join(type(item).__name__ for item in value)})"
    return type(value).__name__


def _no_function(path: Path, module: ModuleType, function: str) -> Problem:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    near = difflib.get_close_matches(function, own) or own
    remedy = f"it has {', '.join(near)}" if near else "define one that returns a torch.nn.Module"
    return Problem(None, f"{path} has no function {function!r}", remedy)


@contextmanager
def _module(path: Path) -> Iterator[Any]:
    """The user's file, run; what lies beside it can be imported, as if Python had started it."""
    name = f"_hwgen_model_{path.stem}"  # hides no module of that name
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "the name ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    sys.path.insert(0, str(path.absolute().parent))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        with suppress(ValueError):  # the file may have changed it
            sys.path.remove(str(path.absolute().parent))
