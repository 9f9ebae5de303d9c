"""What a recipe trains on and is measured on."""

from dataclasses import dataclass

import numpy as np


class DataError(Exception):
    """The data set is missing or damaged; the message is one line and says what to do."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (N, H, W, C) and labels uint8 (N,), to train and to test."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
