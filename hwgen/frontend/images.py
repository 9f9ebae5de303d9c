"""Real inputs: arrays from the user, the integers that they become, and what they should give."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import fx

from hwgen.errors import Problem, UserError, refuse
from hwgen.frontend.program import entries
from hwgen.network import Network, TensorType, spike_train

__all__ = [
    "Images",
    "accuracy",
    "as_array",
    "batches",
    "check_frames",
    "count_of",
    "first_of",
    "frames_of",
    "load_calibration",
    "quantise_input",
    "rounded",
]

Array = np.ndarray | torch.Tensor

#: Real inputs, (N, ...): bare where the network takes one, else by the names of its inputs.
Images = Array | Mapping[str, Array]


def load_calibration(path: Path | str) -> Images:
    """Inputs (N, ...) of an ``.npz`` or ``.npy`` file; nothing is unpickled.

    Of several arrays all, by name; of ``images`` and their ``labels``, the images. Raises
    UserError.
    """
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                return arrays
            names = list(arrays)
            if len(names) == 1 or sorted(names) == ["images", "labels"]:
                return arrays["images" if "images" in names else names[0]]
            found = {name: arrays[name] for name in names}
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error}"
        raise UserError(Problem(None, reason, "check the path")) from error
    except (ValueError, EOFError, BadZipFile, KeyError) as error:
        reason = f"{path} is no array file, or holds pickled objects"
        raise UserError(Problem(None, reason, "save it with numpy.savez(images=...)")) from error
    if not found:
        raise UserError(Problem(None, f"{path} holds nothing", "save it with numpy.savez(...)"))
    return found


def _chosen(names: Sequence[str], images: Images) -> dict[str, Array]:
    """One array for each of the inputs ``names``; UserError if there are others."""
    if not isinstance(images, Mapping):
        if len(names) == 1:
            return {names[0]: images}
        reason = f"the network takes {', '.join(names)}, and was given one array"
        raise UserError(Problem(None, reason, _savez(names)))
    if len(names) == 1:
        for name in ("images", "x", names[0], *(images if len(images) == 1 else ())):
            if name in images:
                return {names[0]: images[name]}
        reason = f"of the arrays {', '.join(images) or '(none)'} none is known to be the input"
        raise UserError(Problem(None, reason, "call the array of inputs 'images'"))
    refuse(
        Problem(name, f"there is no array of this name among {', '.join(images)}", _savez(names))
        for name in names
        if name not in images
    )
    spare = sorted(set(images) - set(names) - {"labels"})
    if spare:
        reason = f"the network takes {', '.join(names)}, but the data also holds {', '.join(spare)}"
        raise UserError(Problem(None, reason, "leave out what is no input"))
    return {name: images[name] for name in names}


def _savez(names: Sequence[str]) -> str:
    return f"save them with numpy.savez({', '.join(f'{name}=...' for name in names)})"


def frames_of(names: Sequence[str], images: Images) -> dict[str, torch.Tensor]:
    """``images`` as float32 (N, ...) by the inputs ``names``; UserError if they are no inputs."""
    problems: list[Problem] = []
    found = {}
    for name, given in _chosen(names, images).items():
        array = as_array(given)
        place = name if len(names) > 1 else None
        wrong = [Problem(place, *told) for told in _unfit(array)]
        problems += wrong
        if not wrong:
            found[name] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if not problems and len({len(tensor) for tensor in found.values()}) > 1:
        counts = ", ".join(f"{len(tensor)} of {name}" for name, tensor in found.items())
        problems.append(Problem(None, f"there are {counts}", "give as many of each"))
    refuse(problems)
    return found


def _unfit(given: np.ndarray) -> Iterator[tuple[str, str]]:
    """Why an array cannot be inputs, and what can."""
    fits = given.dtype in (np.float16, np.float32, np.float64)
    if not fits or given.ndim not in (2, 3, 4) or given.size == 0:
        found = f"the inputs are {given.dtype} of shape {given.shape}"
        yield found, "give float32 (N, C, H, W), (N, C, L) or (N, F), as the network takes them"
        return
    wrong = int((~np.isfinite(given)).any(axis=tuple(range(1, given.ndim))).sum())
    if wrong:
        yield f"{wrong} of {len(given)} inputs hold NaN or infinite numbers", "leave them out"


def as_array(images: Array) -> np.ndarray:
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


def first_of(images: Images, count: int) -> Images:
    """The first ``count`` frames."""
    if isinstance(images, Mapping):
        return {name: array[:count] for name, array in images.items()}
    return images[:count]


def count_of(images: Images) -> int:
    """How many frames there are."""
    one = next(iter(images.values())) if isinstance(images, Mapping) else images
    return len(one) if one.ndim else 0


def batches(frames: Mapping[str, torch.Tensor], size: int) -> list[tuple[torch.Tensor, ...]]:
    """``frames``, ``size`` at a time, as a program takes them."""
    return list(zip(*(tensor.split(size) for tensor in frames.values()), strict=True))


def check_frames(program: fx.GraphModule, frames: Mapping[str, torch.Tensor]) -> Iterator[Problem]:
    """Whether ``frames`` (N, ...) fit the program's inputs, and tell anything about them."""
    for name, node in entries(program).items():
        if not frames[name].any():
            place = name if len(frames) > 1 else None
            yield Problem(place, "the inputs are all zero", "give real ones")
        if node.meta.get("shape"):
            expected, given = node.meta["shape"][1:], tuple(frames[name].shape[1:])
            fits = len(expected) == len(given) and all(
                size in (None, other) for size, other in zip(expected, given, strict=True)
            )
            if not fits:
                yield Problem(
                    name,
                    f"takes frames of shape {expected}, and was given {given}",
                    "give inputs as the network takes them",
                )


def quantise_input(network: Network, images: Images) -> dict[str, np.ndarray]:
    """The integers that enter the network, by input: (N, C, H, W) floats to (N, H, W, C), (N, C, L)
    to (N, 1, L, C), (N, F) to (N, F).

    A network that takes vectors flattens maps as torch does; spike trains are (N, T, F).
    Raises UserError.
    """
    made, problems = {}, []
    for name, tensor in frames_of([node.name for node in network.inputs], images).items():
        frames, source = tensor.numpy(), network[name].type
        train = source.integers == spike_train(source.shape[0], source.channels)
        if train and not np.isin(frames, (0, 1)).all():
            odd = frames[~np.isin(frames, (0, 1))][0]
            reason = f"takes spikes, which are 0 or 1, and was given {odd:g}"
            problems.append(Problem(name, reason, "give spikes, or let its forward code rates"))
            continue
        if frames.ndim == 3 and train:
            frames = frames.transpose(0, 2, 1)[..., None]  # (N, T, F) are maps (N, F, T, 1)
        elif frames.ndim == 3:
            frames = frames[:, :, None]  # lines are maps of one row
        if frames.ndim == 4 and len(source.shape) == 1:
            frames = frames.reshape(len(frames), -1)
        if frames.ndim == 4:
            frames = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
        if frames.shape[1:] != source.shape:
            reason = f"takes (N, {', '.join(map(str, source.shape))}) after the channels"
            reason += f" are moved last, and was given {frames.shape}"
            problems.append(Problem(name, reason, "give inputs as the network takes them"))
            continue
        made[name] = rounded(frames, source)
    refuse(problems)
    return made


def rounded(real: np.ndarray, kind: TensorType) -> np.ndarray:
    """Integers, int32, of real numbers: ``clip(round(x / scale) + zero_point, lo, hi)``, in
    float64, half to even; bipolar ones +1 where ``x / scale + zero_point >= 0``, -1 elsewhere."""
    q = real.astype(np.float64) / kind.scale
    if kind.encoding == "bipolar":
        return np.where(q + kind.zero_point >= 0, 1, -1).astype(np.int32)
    return np.clip(np.rint(q) + kind.zero_point, kind.lo, kind.hi).astype(np.int32)


def accuracy(network: Network, images: Images, labels: np.ndarray) -> float:
    """The share of images, in percent, whose largest output integer is that of their label.

    Of equal largest ones the first counts, as with ``torch.argmax`` on the CPU.
    """
    given = quantise_input(network, images)
    count = len(next(iter(given.values())))
    if count != len(labels):
        raise ValueError(f"{count} images with {len(labels)} labels: need one for each")
    outputs = network.compute(given).reshape(len(labels), -1)
    return 100 * float((outputs.argmax(1) == np.asarray(labels)).mean())
