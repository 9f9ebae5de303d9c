"""What MODEL means: a reference network's name, a ``.pt2`` file, or ``file.py:function``."""

import difflib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hwgen import models
from hwgen.errors import Problem, UserError
from hwgen.frontend import Source, load_calibration

__all__ = ["Model", "find"]


@dataclass(frozen=True, eq=False)
class Model:
    """A float network and the data that comes with it.

    ``calibration`` is float (N, C, H, W) or (N, F). ``test`` is (images, labels), or None when
    there is no test set, so no accuracy to measure.
    """

    name: str
    source: Source
    calibration: np.ndarray
    test: tuple[np.ndarray, np.ndarray] | None = None


def find(
    model: "str | Path | torch.nn.Module | Model", calibrate: Path | str | None = None
) -> Model:
    """The model of this name, file or function; ``calibrate`` is an ``.npz`` file of inputs.

    A function takes no arguments, and returns a module, or a module and calibration inputs.
    Raises UserError.
    """
    if isinstance(model, Model):
        return model
    data = load_calibration(calibrate) if calibrate else None
    if isinstance(model, torch.nn.Module):
        return Model(type(model).__name__, model, _needed(data))
    text = str(model)
    path, _, function = text.rpartition(":")
    if text in models.names():
        reference = models.load(text)
        return Model(
            text,
            reference.module,
            reference.calibration if data is None else data,
            (reference.test_images, reference.test_labels),
        )
    if text.endswith(".pt2"):
        return Model(Path(text).stem, Path(text), _needed(data))
    if path.endswith(".py"):
        return _from_function(Path(path), function, data)
    near = difflib.get_close_matches(text, models.names()) or models.names()
    raise UserError(
        Problem(
            None,
            f"there is no network {text!r}",
            f"give a reference network ({', '.join(near)}), a .pt2 file, or file.py:function",
        )
    )


def _needed(data: np.ndarray | None) -> np.ndarray:
    if data is None:
        raise UserError(
            Problem(
                None, "there is no calibration data", "give --calibrate data.npz with real inputs"
            )
        )
    return data


def _from_function(path: Path, function: str, data: np.ndarray | None) -> Model:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UserError(Problem(None, f"{path} is no file", "check the path"))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        made = getattr(module, function)()
    except Exception as error:
        # Whatever the user's own file raises ends here, so no narrower class will do.
        reason = f"{path}:{function} failed: {type(error).__name__}: {error}"
        raise UserError(Problem(None, reason, "correct the file")) from error
    network, own = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(network, torch.nn.Module):
        reason = f"{path}:{function} returned {type(network).__name__}"
        raise UserError(Problem(None, reason, "return a torch.nn.Module, or one and its inputs"))
    if data is None and own is not None:
        data = own.detach().numpy() if isinstance(own, torch.Tensor) else np.asarray(own)
    return Model(function, network, _needed(data))
