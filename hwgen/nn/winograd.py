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

__all__ = [
    "WinogradConv2d",
    "domain_scales",
    "domain_weights",
    "exact_winograd_conv2d",
    "transformed",
    "winograd_conv2d",
]

#: Weights a tap up to which a convolution trains faster than a product of matrices for each tap.
FEW = 128 * 128

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


def domain_scales(weights: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales of weights (t * t, K, C) that are to be integers of -``top`` to ``top``, float64.

    ``2 ** powers[tap] * scales[channel]`` holds all of them; powers (t * t,) are not positive.
    """
    most = weights.abs().amax(2).double()
    largest = most.amax(0)
    # A channel of zeros has the scale of the coarsest one.
    scales = torch.where(largest > 0, largest, largest.max().clamp(min=1e-12))
    powers = torch.ceil(torch.log2((most / scales).amax(1).clamp(min=1e-12)) - 1e-9)
    # Taps of which little is left are not worth sums of many bits.
    return scales / top, powers.clamp(min=-8)


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


def transformed(x: torch.Tensor, tile: int, padding: Sequence[int]) -> torch.Tensor:
    """``B^T x B`` of each tile of ``x`` (N, C, H, W): (t * t, N, C, tiles down, tiles across)."""
    t = tile + 2
    tiles = F.pad(x, _whole(x, tile, padding)).unfold(2, t, tile).unfold(3, t, tile)
    rows = torch.tensor(TILES[tile].inputs, dtype=x.dtype)
    return torch.einsum("ia,jb,ncyxab->ijncyx", rows, rows, tiles).flatten(0, 1)


def _whole(x: torch.Tensor, tile: int, padding: Sequence[int]) -> tuple[int, int, int, int]:
    """``padding``, and what makes whole tiles of it, in torch's order."""
    top, bottom, left, right = padding
    height, width = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    return left, right + -width % tile, top, bottom + -height % tile


def exact_winograd_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    tile: int,
    padding: Sequence[int],
) -> torch.Tensor:
    """What ``winograd_conv2d`` computes with exact transforms, for training: in the type of
    autocast, and by whichever way torch is faster."""
    top, bottom, left, right = padding
    height, width = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    padded = F.pad(x, _whole(x, tile, padding))
    wide = weight.shape[1] * weight.shape[2] > FEW
    y = (_by_taps if wide else _by_convolution)(padded, weight, tile)[:, :, :height, :width]
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def _by_convolution(x: torch.Tensor, weight: torch.Tensor, tile: int) -> torch.Tensor:
    """One of ``tile + 2`` taps and a stride of ``tile`` makes all places of a tile at once: up to
    four times the products, and no transforms of activations."""
    rows, outputs = (
        torch.tensor(table, dtype=weight.dtype)
        for table in (TILES[tile].inputs, TILES[tile].outputs)
    )
    places = torch.einsum("ai,bj,iu,jv->uvabij", outputs, outputs, rows, rows).flatten(4)
    with torch.autocast("cpu", enabled=False):
        kernels = (places.flatten(0, 3) @ weight.flatten(1)).reshape(
            tile + 2, tile + 2, tile, tile, *weight.shape[1:]
        )
    kernels = kernels.permute(2, 3, 4, 5, 0, 1).flatten(0, 2)
    y = F.conv2d(x, kernels, stride=tile).permute(0, 2, 3, 1).unflatten(3, (tile, tile, -1))
    # Channels stay side by side in memory.
    return y.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _by_taps(x: torch.Tensor, weight: torch.Tensor, tile: int) -> torch.Tensor:
    """A product of matrices for each tap, as the hardware computes it."""
    t, kind = tile + 2, torch.get_autocast_dtype("cpu")
    x = x.to(kind if torch.is_autocast_enabled("cpu") else x.dtype).permute(0, 2, 3, 1)
    down, across = (x.shape[1] - 2) // tile, (x.shape[2] - 2) // tile
    parts = [
        [x[:, a : a + down * tile : tile, b : b + across * tile : tile] for b in range(t)]
        for a in range(t)
    ]
    v = torch.stack(_both_sides(TILES[tile].inputs, parts)).flatten(1, 3)
    sums = torch.bmm(v, weight.transpose(1, 2).to(v.dtype))
    sums = sums.unflatten(1, (len(x), down, across)).unflatten(0, (t, t))
    y = torch.stack(_both_sides(TILES[tile].outputs, sums)).unflatten(0, (tile, tile))
    return y.permute(2, 5, 3, 0, 4, 1).flatten(4, 5).flatten(2, 3)


def _both_sides(table, parts) -> list[torch.Tensor]:
    """``table x table^T`` of a square of tensors, row by row."""
    count = len(parts)
    half = [[_mix(row, [parts[a][b] for a in range(count)]) for b in range(count)] for row in table]
    return [_mix(row, line) for line in half for row in table]


def _mix(factors, tensors) -> torch.Tensor:
    return sum(f * one for f, one in zip(factors, tensors, strict=True) if f)  # type: ignore


def _forward(x, weight, bias, input_scale, shifts, tile, padding, transform_bits):
    t, (top, bottom, left, right) = tile + 2, padding
    height, width = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    steps = x.double() / input_scale
    v = transformed(steps + (torch.round(steps) - steps).detach(), tile, padding)
    outputs = torch.tensor(TILES[tile].outputs, dtype=torch.float64)
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
    ``settle`` chooses the grid of the weights: one scale for each output channel, times a power of
    two for each tap.
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
        self.register_buffer("scale", torch.ones(taps, out_channels, dtype=torch.float64))
        self.register_buffer("zeros", torch.zeros(taps, out_channels, dtype=torch.int64))
        self.register_buffer("bias_scale", torch.ones(out_channels, dtype=torch.float64))
        self.register_buffer("bias_zero", torch.zeros(out_channels, dtype=torch.int64))

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
        scales, powers = domain_scales(self.weight.detach(), self.top)
        self.scale.copy_(torch.outer(2.0**powers, scales))
        steps = self.scale * 2.0 ** torch.tensor(self.shifts, dtype=torch.float64)[:, None]
        self.bias_scale.copy_(steps.amin(0) * self.input_scale)

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
        bias = fake_quantize(self.bias, self.bias_scale, self.bias_zero, *limits, 0)
        options = self.input_scale, self.shifts, self.tile, self.padding, self.transform_bits
        return winograd_conv2d(x, weight, bias, *options)
