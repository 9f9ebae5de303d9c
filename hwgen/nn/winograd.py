"""Convolutions trained with their weights in Winograd's domain, as torch ops.

``winograd_conv2d`` computes what the integer op ``network.WinogradConv2d`` computes, in real
numbers on its grids; gradients pass straight through its rounding (Bengio et al. 2013,
arXiv:1308.3432). It is one node of an exported program. Weights in the domain with a power of two
for each tap: Andri et al. 2022, arXiv:2209.12982.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hwgen.network import bits_for
from hwgen.network.winograd import TILES
from hwgen.nn.quantize import fake_quantize

__all__ = ["WinogradConv2d", "domain_weights", "winograd_conv2d"]

#: Steps of the sums that a bias may have.
BIAS_LIMIT = (1 << 31) - 1


def domain_weights(kernels: torch.Tensor, tile: int) -> torch.Tensor:
    """``G g G^T`` of kernels (K, C, 3, 3): weights (t * t, K, C), taps row by row."""
    exact, outputs = (np.array(rows, float) for rows in (TILES[tile].exact, TILES[tile].outputs))
    # Column i of A' is S / s_i times that of A; G is G' with row i divided by s_i.
    factors = np.abs(exact).max(0) / np.abs(outputs).max(0) / TILES[tile].divisor
    rows = torch.from_numpy(np.array(TILES[tile].weights) * factors[:, None])
    made = torch.einsum("ia,jb,kcab->ijkc", rows, rows, kernels.double())
    return made.reshape(-1, *kernels.shape[:2]).to(kernels.dtype)


@torch.library.custom_op("hwgen::winograd_conv2d", mutates_args=())
def winograd_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    input_scale: float,
    shifts: Sequence[int],
    tile: int,
    padding: Sequence[int],
    transform_bits: int,
) -> torch.Tensor:
    """3 x 3 convolution of stride 1 of ``x`` (N, C, H, W), by F(tile x tile, 3 x 3).

    ``weight`` (t * t, K, C) are those of the domain; ``padding`` is (top, bottom, left, right).
    ``x`` must be on a grid of steps ``input_scale``. With ``transform_bits``, the transformed input
    of each tap, in such steps, is divided by ``2 ** shifts``, rounded half up and clipped to so
    many bits, two's complement; with 0 it is exact. Computed in float64, returned in ``x``'s type.
    """
    return _forward(x, weight, bias, input_scale, shifts, tile, padding, transform_bits)


def _forward(x, weight, bias, input_scale, shifts, tile, padding, transform_bits):
    t, (top, bottom, left, right) = tile + 2, padding
    height, width = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    steps = x.double() / input_scale
    steps = steps + (torch.round(steps) - steps).detach()
    steps = F.pad(steps, (left, right + -width % tile, top, bottom + -height % tile))
    tiles = steps.unfold(2, t, tile).unfold(3, t, tile)
    rows, outputs = (
        torch.tensor(table, dtype=torch.float64)
        for table in (TILES[tile].inputs, TILES[tile].outputs)
    )
    v = torch.einsum("ia,jb,ncyxab->ijncyx", rows, rows, tiles).flatten(0, 1)
    if transform_bits:
        scale = 2.0 ** torch.tensor(shifts, dtype=torch.float64).reshape(-1, 1, 1, 1, 1)
        half = 1 << (transform_bits - 1)
        scaled = v / scale
        rounded = scaled + (torch.floor(scaled + 0.5) - scaled).detach()
        v = rounded.clamp(-half, half - 1) * scale
    sums = torch.einsum("pkc,pncyx->pnkyx", weight.double(), v).unflatten(0, (t, t))
    y = torch.einsum("ai,bj,ijnkyx->nkyaxb", outputs, outputs, sums) * input_scale
    y = y.flatten(4, 5).flatten(2, 3)[:, :, :height, :width]
    if bias is not None:
        y = y + bias.double().reshape(-1, 1, 1)
    return y.to(x.dtype).contiguous()


@winograd_conv2d.register_fake
def _(x, weight, bias, input_scale, shifts, tile, padding, transform_bits):
    top, bottom, left, right = padding
    size = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    return x.new_empty(x.shape[0], weight.shape[1], *size)


def _remember(ctx, inputs, output):
    x, weight, bias, *ctx.rest = inputs
    ctx.save_for_backward(x, weight, bias)


def _backward(ctx, gradient):
    given = [None if one is None else one.detach().requires_grad_() for one in ctx.saved_tensors]
    wanted = [one for one in given if one is not None]
    with torch.enable_grad():
        made = torch.autograd.grad(_forward(*given, *ctx.rest), wanted, gradient)
    found = [*made, None] if given[2] is None else list(made)
    return (*found, *[None] * len(ctx.rest))


winograd_conv2d.register_autograd(_backward, setup_context=_remember)


class WinogradConv2d(nn.Module):
    """A 3 x 3 convolution of stride 1 that is trained in Winograd's domain, on the grids of
    integers on which the hardware computes it.

    Its input must be on a grid of steps ``input_scale``: ``hwgen::fake_quantize`` puts it there.
    ``settle`` chooses the grid of the weights: one scale, times a power of two for each tap.
    """

    scale: torch.Tensor
    bias_scale: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        tile: int,
        input_scale: float,
        padding: int = 1,
        weight_bits: int = 8,
        transform_bits: int = 0,
        shifts: Sequence[int] | None = None,
    ):
        super().__init__()
        if tile not in TILES:
            raise ValueError(f"tile must be one of {list(TILES)}, not {tile}")
        if not 2 <= weight_bits <= 16:
            raise ValueError(f"weight_bits must be 2 to 16, not {weight_bits}")
        taps = (tile + 2) ** 2
        self.tile, self.input_scale, self.padding = tile, input_scale, (padding,) * 4
        self.top, self.transform_bits = (1 << (weight_bits - 1)) - 1, transform_bits
        self.shifts = list(shifts or [0] * taps)
        self.weight = nn.Parameter(torch.zeros(taps, out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("scale", torch.ones(taps, dtype=torch.float64))
        self.register_buffer("zeros", torch.zeros(taps, dtype=torch.int64))
        self.register_buffer("bias_scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("bias_zero", torch.zeros((), dtype=torch.int64))

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, tile: int, input_scale: float, **options):
        """The layer that stands for ``conv``; ValueError if its kernel is not 3 x 3, or if it has
        a stride, dilation or groups."""
        plain = conv.kernel_size, conv.stride, conv.dilation, conv.groups
        if plain != ((3, 3), (1, 1), (1, 1), 1) or not isinstance(conv.padding, tuple):
            raise ValueError(f"{conv} is no 3 x 3 convolution of stride 1 in one group")
        options = {"padding": conv.padding[0]} | options
        made = cls(conv.in_channels, conv.out_channels, tile, input_scale, **options)
        with torch.no_grad():
            made.weight.copy_(domain_weights(conv.weight, tile))
            if conv.bias is not None:
                made.bias.copy_(conv.bias)
        made.settle()
        return made

    def settle(self) -> None:
        """Scales that just hold the weights as they are now."""
        most = self.weight.detach().abs().amax((1, 2)).double().clamp(min=1e-12)
        scale = most.max() / self.top
        powers = torch.ceil(torch.log2(most / most.max()) - 1e-9)
        # Taps of which little is left are not worth sums of many bits.
        self.scale.copy_(scale * 2.0 ** powers.clamp(min=-8))
        steps = self.scale * 2.0 ** torch.tensor(self.shifts, dtype=torch.float64)
        self.bias_scale.copy_(steps.min() * self.input_scale)

    def fit(self, lo: int, hi: int) -> None:
        """Shifts with which inputs of ``lo`` to ``hi`` steps never clip."""
        rows = np.array(TILES[self.tile].inputs)
        taps = np.einsum("ia,jb->ijab", rows, rows).reshape(len(self.shifts), -1)
        up, down = np.maximum(taps, 0).sum(1), np.minimum(taps, 0).sum(1)
        ends = zip(up * lo + down * hi, up * hi + down * lo, strict=True)
        wide = [bits_for(min(-1, int(a)), int(b))[0] for a, b in ends]
        self.shifts = [max(0, bits - self.transform_bits) for bits in wide]
        self.settle()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = fake_quantize(self.weight, self.scale, self.zeros, -self.top, self.top, 0)
        limits = -BIAS_LIMIT, BIAS_LIMIT
        bias = fake_quantize(self.bias, self.bias_scale, self.bias_zero, *limits, -1)
        options = self.input_scale, self.shifts, self.tile, self.padding, self.transform_bits
        return winograd_conv2d(x, weight, bias, *options)
