"""Quantisation as torch ops: floats in, floats out, all of them on a grid of integers.

Both are ``torch.library`` ops, so they are single nodes in an exported program, and both pass
gradients straight through rounding (Bengio et al. 2013, arXiv:1308.3432), so that a quantised
network can be trained further.
"""

import torch

__all__ = ["binarize", "fake_quantize", "quantize"]


def _along(parameter: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    """A scalar, or one value for each place of ``axis`` and, if it has more dimensions than one, of
    the axes that follow, shaped so that it broadcasts over x."""
    parameter = parameter.to(torch.float64)
    if axis < 0:
        return parameter.reshape(())
    after = x.dim() - axis - parameter.dim()
    return parameter.reshape(*[1] * axis, *parameter.shape, *[1] * after)


def quantize(
    x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor, lo: int, hi: int, axis: int
) -> torch.Tensor:
    """The integers, as float64: ``clamp(round(x / scale) + zero_point, lo, hi)``.

    Rounds half to even. ``scale`` and ``zero_point`` hold one value, or one for each place of
    ``axis`` if that is not -1: of two dimensions, one for each place of ``axis`` and the next.
    """
    scale, zero_point = _along(scale, x, axis), _along(zero_point, x, axis)
    return (torch.round(x.to(torch.float64) / scale) + zero_point).clamp(lo, hi)


@torch.library.custom_op("hwgen::fake_quantize", mutates_args=())
def fake_quantize(
    x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor, lo: int, hi: int, axis: int
) -> torch.Tensor:
    """``x`` moved to the nearest ``scale * (q - zero_point)`` with an integer ``q`` in [lo, hi].

    Computed in float64 and returned in ``x``'s own type; arguments are those of ``quantize``. The
    gradient is that of the identity inside the range, and 0 outside.
    """
    q = quantize(x, scale, zero_point, lo, hi, axis)
    return ((q - _along(zero_point, x, axis)) * _along(scale, x, axis)).to(x.dtype)


@fake_quantize.register_fake
def _(x, scale, zero_point, lo, hi, axis):
    return torch.empty_like(x)


def _remember_inside(ctx, inputs, output):
    x, scale, zero_point, lo, hi, axis = inputs
    scale, zero_point = _along(scale, x, axis), _along(zero_point, x, axis)
    unclamped = x.to(torch.float64) / scale + zero_point
    ctx.save_for_backward((unclamped >= lo - 0.5) & (unclamped <= hi + 0.5))


def _pass_inside(ctx, gradient):
    (inside,) = ctx.saved_tensors
    return gradient * inside, None, None, None, None, None


fake_quantize.register_autograd(_pass_inside, setup_context=_remember_inside)


@torch.library.custom_op("hwgen::binarize", mutates_args=())
def binarize(x: torch.Tensor, scale: torch.Tensor, axis: int) -> torch.Tensor:
    """``+scale`` where ``x >= 0``, ``-scale`` elsewhere: one bit that means -1 or +1 (bipolar).

    The gradient is that of the identity.
    """
    sign = torch.where(x >= 0, 1.0, -1.0).to(torch.float64)
    return (sign * _along(scale, x, axis)).to(x.dtype)


@binarize.register_fake
def _(x, scale, axis):
    return torch.empty_like(x)


def _pass(ctx, gradient):
    return gradient, None, None


binarize.register_autograd(_pass)
