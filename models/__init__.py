"""Reference networks: each with its definition, recipe, checkpoint and measured accuracy.

    from hwgen import models

    reference = models.load("fashion_cnn")
    models.accuracy(reference.module, reference.test_images, reference.test_labels)

Networks that were trained further on few bits are called by them: `cifar_resnet8_w4a4`; other
sizes of a network by theirs: `mnist_snn_large`.
Each network is a folder: `network.py`, the recipe `train.py` (`python -m
hwgen.models.NAME.train`), and the files that the recipe writes.
"""

import difflib
from collections.abc import Callable
from pathlib import Path

from torch import nn

from . import finetuned, reference
from .cifar_resnet8 import CifarResNet8
from .cifar_vgg import CifarVGG
from .digits_mlp import DigitsMLP
from .fashion_cnn import FashionCNN
from .fashion_vgg import FashionVGG
from .kws_dscnn import KwsDSCNN
from .mnist_snn import SIZES, MnistSNN
from .reference import Reference, ReferenceFilesError, accuracy

__all__ = ["Reference", "ReferenceFilesError", "accuracy", "load", "names"]

_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "cifar_resnet8": CifarResNet8,
    "cifar_vgg": CifarVGG,
    "digits_mlp": DigitsMLP,
    "fashion_cnn": FashionCNN,
    "fashion_vgg": FashionVGG,
    "kws_dscnn": KwsDSCNN,
    "mnist_snn": MnistSNN,
}


#: Networks above, trained further on few bits or weights: where they start, and the name of their
#: files.
_FINETUNED = {
    "cifar_resnet8_w4a4": ("cifar_resnet8", "w4a4"),
    "cifar_vgg_srbs75": ("cifar_vgg", "srbs75"),
    "fashion_vgg_srbs75": ("fashion_vgg", "srbs75"),
}


#: Other sizes of a network above: its name, and that of their files beside its own.
_SIZES = {f"mnist_snn_{size}": ("mnist_snn", size, given) for size, given in SIZES.items()}


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return (*_NETWORKS, *_FINETUNED, *_SIZES)


def load(name: str, folder: Path | None = None) -> Reference:
    """The reference network `name` with its trained weights, in eval mode.

    One that was trained on few bits, such as `cifar_resnet8_w4a4`, is a fake-quantised program.

    `folder` is where the recipe wrote a training of your own; without it, the one that comes with
    hwgen. Raises `ValueError` for an unknown name, naming the nearest known ones, and
    `ReferenceFilesError` for a folder without a complete training.
    """
    if name in _FINETUNED:
        start, bits = _FINETUNED[name]
        return finetuned.load(folder or Path(__file__).parent / start, bits, load(start, folder))
    if name in _SIZES:
        start, size, given = _SIZES[name]
        folder = folder or Path(__file__).parent / start
        return reference.load(folder, _NETWORKS[start](**given), size)
    if name not in _NETWORKS:
        near = difflib.get_close_matches(name, names(), cutoff=0.4) or names()
        raise ValueError(f"unknown reference network {name!r}; did you mean {' or '.join(near)}?")
    return reference.load(folder or Path(__file__).parent / name, _NETWORKS[name]())
