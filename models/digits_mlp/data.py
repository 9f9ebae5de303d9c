"""The digits that come with scikit-learn, split once and for all.

1,797 images of 8x8 pixels of 17 shades, from handwriting of 43 people: the test half of UCI's
Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998).
"""

from pathlib import Path

import numpy as np

from ..dataset import DataError, Dataset

TEST_COUNT = 360  # a fifth
SPLIT_SEED = 1797  # not the training's seed: retraining keeps the split


def read(folder: Path | None = None) -> Dataset:
    """1,437 images to train and 360 to test, (N, 8, 8, 1); shade 16 is 255. Raises `DataError`.

    They are part of the package itself, so there is no `folder` to look in.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("scikit-learn holds the digits: `pip install hwgen[train]`.") from error
    digits = load_digits()
    images = np.rint(digits.images * 255 / 16).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    test, train = np.split(order, [TEST_COUNT])
    return Dataset(images[train], labels[train], images[test], labels[test])
