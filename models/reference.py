"""What a reference network is on disk, and how it is measured, saved and loaded."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

MODEL = "model"
WEIGHTS, INFO, TEST, CALIBRATION = (
    f"{MODEL}.safetensors",
    f"{MODEL}.json",
    "test.npz",
    "calibration.npz",
)


class ReferenceFilesError(ValueError):
    """The files of a reference network are missing or do not belong together."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A trained network with the images that it is calibrated and measured on.

    Images are float32 (N, C, H, W) in [0, 1], labels int64 (N,). `module` is in eval mode and
    returns logits (N, classes). `calibration` comes from the training set. `info` is model.json:
    the measured accuracy, the size and how the checkpoint was made.
    """

    name: str
    module: nn.Module
    calibration: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    info: dict[str, Any]


def pixels(images: np.ndarray) -> np.ndarray:
    """Images as a network takes them: uint8 (N, H, W, C) to float32 (N, C, H, W) in [0, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) / np.float32(255)


def accuracy(module: nn.Module, images: np.ndarray, labels: np.ndarray, batch: int = 500) -> float:
    """The share of images, in percent, whose largest logit is that of their label.

    `images` are float32 (N, C, H, W), `labels` integers (N,). Raises `ValueError` when there are
    no images, when the counts differ, or when a layer is in training mode: it would be measured
    with dropout, and its batch norms would learn from the images.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"{len(images)} images with {len(labels)} labels: need one for each")
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    training = [name for name, m in module.named_modules() if isinstance(m, kinds) and m.training]
    if training:
        raise ValueError(f"{', '.join(training)} in training mode: call module.eval() first")
    correct = 0
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            logits = module(torch.from_numpy(images[start : start + batch]))
            correct += int((logits.argmax(1).numpy() == labels[start : start + batch]).sum())
    return 100 * correct / len(images)


def size(module: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """Trained parameters, and multiply-adds of one input of `shape` (C, H, W).

    Multiply-adds are those of convolutions and dense layers, their biases left out.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.zeros(1, *shape))
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,  # torch counts both halves of one
    }


def save(
    folder: Path,
    module: nn.Module,
    info: Mapping[str, Any],
    test: tuple[np.ndarray, np.ndarray],
    calibration: tuple[np.ndarray, np.ndarray],
    stem: str = MODEL,
) -> None:
    """Write the four files of a reference network into `folder`, replacing older ones.

    `stem` is the name of the two that are its own, if others share the images.

    `test` and `calibration` are images uint8 (N, H, W, C) and labels (N,). All four are complete
    before the first one takes its place, and model.json, which holds the hash of the weights,
    comes last: files of two trainings never pass for one (`load` compares).
    """
    weights, figures = _own(stem)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete-", dir=folder) as name:
        temporary = Path(name)
        state = {key: value.contiguous() for key, value in module.state_dict().items()}
        (temporary / weights).write_bytes(safetensors.torch.save(state))
        for file, (images, labels) in ((TEST, test), (CALIBRATION, calibration)):
            np.savez_compressed(temporary / file, images=images, labels=labels.astype(np.uint8))
        content = {**info, "weights_sha256": _sha256(temporary / weights)}
        (temporary / figures).write_text(json.dumps(content, indent=2) + "\n")
        for file in (TEST, CALIBRATION, weights, figures):
            os.replace(temporary / file, folder / file)


def load(folder: Path, module: nn.Module, stem: str = MODEL) -> Reference:
    """Read the four files in `folder`; `module` takes the weights. Raises `ReferenceFilesError`."""
    weights, figures = _own(stem)
    missing = [
        file for file in (weights, figures, TEST, CALIBRATION) if not (folder / file).is_file()
    ]
    if missing:
        raise ReferenceFilesError(
            f"{folder} is not a trained network: it lacks {', '.join(missing)}"
        )
    info = json.loads((folder / figures).read_text())
    if info["weights_sha256"] != _sha256(folder / weights):
        raise ReferenceFilesError(f"{folder / weights} is not the file that {figures} describes")
    module.load_state_dict(safetensors.torch.load_file(folder / weights))
    test_images, test_labels = _images(folder / TEST)
    return Reference(
        name=info["name"],
        module=module.eval(),
        calibration=_images(folder / CALIBRATION)[0],
        test_images=test_images,
        test_labels=test_labels,
        info=info,
    )


def _own(stem: str) -> tuple[str, str]:
    """Names of the weights and the figures."""
    return f"{stem}.safetensors", f"{stem}.json"


def _images(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return pixels(arrays["images"]), arrays["labels"].astype(np.int64)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
