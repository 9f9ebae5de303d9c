"""Real inputs: arrays from the user, the integers that they become, and what they should give."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import fx

from hwgen.errors import Problem, UserError
from hwgen.network import Network

__all__ = [
    "Images",
    "accuracy",
    "as_array",
    "check_frames",
    "frames_of",
    "load_calibration",
    "quantise_input",
]

Images = np.ndarray | torch.Tensor


def load_calibration(path: Path | str) -> np.ndarray:
    """Inputs (N, ...) of an ``.npz`` or ``.npy`` file; nothing is unpickled.

    Of several arrays, the one called ``images`` or ``x``. Raises UserError.
    """
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                return arrays
            names = list(arrays)
            for name in ("images", "x", *(names if len(names) == 1 else ())):
                if name in names:
                    return arrays[name]
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error}"
        raise UserError(Problem(None, reason, "check the path")) from error
    except (ValueError, EOFError, BadZipFile, KeyError) as error:
        reason = f"{path} is no array file, or holds pickled objects"
        raise UserError(Problem(None, reason, "save it with numpy.savez(images=...)")) from error
    reason = f"{path} holds {', '.join(names) or 'nothing'}"
    raise UserError(Problem(None, reason, "call the array of inputs 'images'"))


def frames_of(images: Images) -> torch.Tensor:
    """``images`` as float32 (N, ...); UserError if they are no inputs of a network."""
    given = as_array(images)
    wanted = "give float32 (N, C, H, W), (N, C, L) or (N, F), as the network takes them"
    found = f"the inputs are {given.dtype} of shape {given.shape}"
    if given.dtype not in (np.float16, np.float32, np.float64):
        raise UserError(Problem(None, found, wanted))
    if given.ndim not in (2, 3, 4) or given.size == 0:
        raise UserError(Problem(None, found, wanted))
    wrong = int((~np.isfinite(given)).any(axis=tuple(range(1, given.ndim))).sum())
    if wrong:
        reason = f"{wrong} of {len(given)} inputs hold NaN or infinite numbers"
        raise UserError(Problem(None, reason, "leave them out"))
    if not given.any():
        raise UserError(Problem(None, "the inputs are all zero", "give real ones"))
    return torch.from_numpy(np.ascontiguousarray(given, dtype=np.float32))


def as_array(images: Images) -> np.ndarray:
    """``images`` as an array of the same values; UserError if NumPy has no such numbers."""
    if not isinstance(images, torch.Tensor):
        return np.asarray(images)
    images = images.detach().cpu()
    if images.dtype == torch.bfloat16:
        images = images.float()
    try:
        return images.numpy()
    except (TypeError, RuntimeError) as error:
        reason = f"the inputs are {images.dtype} on {images.device}"
        raise UserError(Problem(None, reason, "give plain float32")) from error


def check_frames(program: fx.GraphModule, frames: torch.Tensor) -> Iterator[Problem]:
    """Whether ``frames`` (N, ...) fit the program's input."""
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.meta.get("shape"):
            expected, given = node.meta["shape"][1:], tuple(frames.shape[1:])
            fits = len(expected) == len(given) and all(
                size in (None, other) for size, other in zip(expected, given, strict=True)
            )
            if not fits:
                yield Problem(
                    "input",
                    f"takes frames of shape {expected}, and was given {given}",
                    "give inputs as the network takes them",
                )


def quantise_input(network: Network, images: Images) -> np.ndarray:
    """The integers that enter the network: (N, C, H, W) floats to (N, H, W, C), (N, C, L) to
    (N, 1, L, C), (N, F) to (N, F).

    ``clip(round(x / scale) + zero_point, lo, hi)``, in float64, half to even. Raises UserError.
    """
    frames = frames_of(images).numpy()
    if frames.ndim == 3:
        frames = frames[:, :, None]  # lines are maps of one row
    if frames.ndim == 4:
        frames = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
    source = network.input.type
    if frames.shape[1:] != source.shape:
        reason = f"the network takes (N, {', '.join(map(str, source.shape))}) after the channels"
        reason += f" are moved last, and was given {frames.shape}"
        raise UserError(Problem(None, reason, "give inputs as the network takes them"))
    q = np.rint(frames.astype(np.float64) / source.scale) + source.zero_point
    return np.clip(q, source.lo, source.hi).astype(np.int32)


def accuracy(network: Network, images: Images, labels: np.ndarray) -> float:
    """The share of images, in percent, whose largest output integer is that of their label.

    Of equal largest ones the first counts, as with ``torch.argmax`` on the CPU.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images with {len(labels)} labels: need one for each")
    outputs = network.compute(quantise_input(network, images)).reshape(len(labels), -1)
    return 100 * float((outputs.argmax(1) == np.asarray(labels)).mean())
