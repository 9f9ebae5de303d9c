"""Rounding to grids whose steps are learned, for training alone.

Esser et al. 2020, Learned Step Size Quantization, arXiv:1902.08153. ``hwgen::fake_quantize`` is the
same function in float64, and has no gradient with respect to its scale.
"""

import numba
import numpy as np
import torch

__all__ = ["binarize", "round_to_steps"]


# One compiled pass each: as a chain of torch calls they would take most of the training's time.
@numba.njit(cache=True, fastmath={"contract"})
def _forward(x, scale, lo, hi, y):
    for k in range(x.shape[0]):
        s = scale[k]
        for i in range(x.shape[1]):
            y[k, i] = min(max(np.rint(x[k, i] / s), lo), hi) * s


@numba.njit(cache=True, fastmath={"contract", "reassoc"})
def _backward(x, gradient, scale, lo, hi, for_x, for_scale):
    for k in range(x.shape[0]):
        s, total = scale[k], np.float32(0)
        for i in range(x.shape[1]):
            steps = x[k, i] / s
            inside = (steps >= lo) & (steps <= hi)
            # d/ds (s * round(x / s)): round(x / s) - x / s inside, the end itself outside (eq. 3).
            away = min(max(np.rint(steps), lo), hi) - (steps if inside else np.float32(0))
            total += gradient[k, i] * away
            for_x[k, i] = gradient[k, i] if inside else np.float32(0)
        for_scale[k] = total


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, lo, hi):
        x, y = x.contiguous(memory_format=_format(x)), torch.empty_like(x)
        ctx.save_for_backward(x, scale)
        ctx.ends = np.float32(lo), np.float32(hi)
        _forward(_rows(x, scale), scale.numpy().reshape(-1), *ctx.ends, _rows(y, scale))
        return y

    @staticmethod
    def backward(ctx, *gradients):
        x, scale = ctx.saved_tensors
        gradient = gradients[0].float().contiguous(memory_format=_format(x))
        for_x, for_scale = torch.empty_like(x), torch.empty_like(scale)
        _backward(
            _rows(x, scale),
            _rows(gradient, scale),
            scale.numpy().reshape(-1),
            *ctx.ends,
            _rows(for_x, scale),
            for_scale.numpy().reshape(-1),
        )
        return for_x, for_scale, None, None


def _format(x: torch.Tensor) -> torch.memory_format:
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _rows(x: torch.Tensor, scale: torch.Tensor) -> np.ndarray:
    """x as it lies in memory, without a copy: a row for each scale."""
    if _format(x) is torch.channels_last:
        x = x.permute(0, 2, 3, 1)
    return x.detach().view(scale.numel(), -1).numpy()


def round_to_steps(x: torch.Tensor, scale: torch.Tensor, lo: int, hi: int) -> torch.Tensor:
    """``scale * clamp(round(x / scale), lo, hi)``, with gradients for ``x`` and for ``scale``.

    Float32 on the CPU. ``scale`` holds one value, or one for each place of x's first axis; ``lo``
    and ``hi`` count from zero, so a grid's zero point is taken off both. Inside the range the
    gradient of x is that of the identity; outside it is 0.
    """
    return _Steps.apply(x.float(), scale.float(), lo, hi)


def binarize(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """``+scale`` where ``x >= 0``, ``-scale`` elsewhere, for each place of x's first axis.

    The gradient of x is that of the identity, as in ``hwgen::binarize``; that of ``scale`` is the
    sign.
    """
    sign = torch.where(x >= 0, 1.0, -1.0)
    return sign * scale.reshape(-1, *[1] * (x.dim() - 1)) + (x - x.detach())
