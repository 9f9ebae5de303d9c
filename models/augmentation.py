"""Random views of training images, made on whole batches at once."""

import torch
from torch.nn import functional as F


def shift_and_flip(
    images: torch.Tensor, max_shift: int, flip: bool, random: torch.Generator
) -> torch.Tensor:
    """Shift each image by up to `max_shift` pixels each way and, with `flip`, mirror half of them.

    (N, C, H, W) to (N, C, H, W); zeros move in at the edges. An image and its mirror image must be
    of the same class for `flip` to make sense.
    """
    n, _, height, width = images.shape

    def draw(high: int) -> torch.Tensor:
        return torch.randint(high, (n, 1), generator=random)

    # One gather does both: every output row and column names the one that it comes from.
    rows = torch.arange(height) + draw(2 * max_shift + 1)
    columns = torch.arange(width).expand(n, width)
    if flip:
        columns = torch.where(draw(2) == 1, width - 1 - columns, columns)
    columns = columns + draw(2 * max_shift + 1)
    padded = F.pad(images, (max_shift,) * 4).permute(0, 2, 3, 1)
    item = torch.arange(n)[:, None, None]
    return padded[item, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def erase(images: torch.Tensor, probability: float, random: torch.Generator) -> torch.Tensor:
    """Set a random rectangle of an image to zero, with this probability for each image.

    (N, C, H, W) to (N, C, H, W). Zhong et al., Random Erasing Data Augmentation, AAAI 2020, with
    sides of an eighth to three eighths of the image: a sleeve or a handle is lost, not the object.
    """
    n, _, height, width = images.shape

    def span(extent: int) -> torch.Tensor:
        """(N, extent), true from a random start for a random length."""
        length = extent // 8 + torch.randint(extent // 4 + 1, (n, 1), generator=random)
        start = (torch.rand(n, 1, generator=random) * (extent - length + 1)).long()
        return (torch.arange(extent) >= start) & (torch.arange(extent) < start + length)

    chosen = torch.rand(n, 1, 1, generator=random) < probability
    inside = chosen & span(height)[:, :, None] & span(width)[:, None, :]
    return images.masked_fill(inside[:, None], 0)
