"""Leaky integrate-and-fire neurons in torch, with surrogate gradients, and rates as hardware codes.

``Leaky`` computes what snnTorch's module of that name does with its defaults (reset delayed by a
step), so networks of either can be read. ``step`` is the same on integers: what
``hwgen.network.spiking`` says, word for word, in floats that hold integers.
"""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import fx, nn

from hwgen.network import RateCode, TensorType

__all__ = ["Leaky", "Steps", "fire", "rate_code", "step"]


class _Fire(torch.autograd.Function):
    """1 above zero, else 0; backwards as an arctangent (Fang et al., "Incorporating learnable
    membrane time constants", 2021), whose slope at zero is 1 for ``sharpness`` 2."""

    @staticmethod
    def forward(ctx, x, sharpness):
        ctx.save_for_backward(x)
        ctx.sharpness = sharpness
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        a = ctx.sharpness
        return gradient * (a / 2) / (1 + (math.pi / 2 * a * x) ** 2), None


def fire(x: torch.Tensor, sharpness: float = 2.0) -> torch.Tensor:
    """Spikes where ``x``, membranes less thresholds, is above zero."""
    return _Fire.apply(x, sharpness)


class Leaky(nn.Module):
    """Neurons with ``mem = beta * mem + input``, less what the reset of the last spike takes.

    ``beta`` and ``threshold`` are one number, or one for each neuron; ``reset_mechanism`` is
    "subtract", "zero" or "none".
    """

    beta: torch.Tensor
    threshold: torch.Tensor

    def __init__(self, beta, threshold=1.0, reset_mechanism: str = "subtract"):
        super().__init__()
        self.register_buffer("beta", torch.as_tensor(beta, dtype=torch.float32))
        self.register_buffer("threshold", torch.as_tensor(threshold, dtype=torch.float32))
        self.reset_mechanism = reset_mechanism

    def forward(
        self, current: torch.Tensor, mem: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Spikes, and membranes (N, neurons), after one step; membranes start at zero."""
        if mem is None:
            mem = torch.zeros_like(current)
        spiked = (mem > self.threshold).to(mem.dtype)
        if self.reset_mechanism == "zero":
            mem = mem * (1 - spiked)
        mem = self.beta.clamp(0, 1) * mem + current
        if self.reset_mechanism == "subtract":
            mem = mem - spiked * self.threshold
        return fire(mem - self.threshold), mem


def rate_code(x: torch.Tensor, steps: int, bits: int = 8) -> torch.Tensor:
    """Spikes (steps, N, F) of intensities (N, F) in [0, 1], as ``RateCode`` makes them.

    Intensities are rounded to ``bits`` bits; 1 is the largest integer.
    """
    if isinstance(x, fx.Proxy):  # a network that is traced keeps the call as it is
        return x.tracer.create_proxy("call_function", rate_code, (x, steps, bits), {})
    hi = (1 << bits) - 1
    levels = _coding(x.shape[1], steps, bits).levels
    integers = (x * hi).round().clamp(0, hi)
    return (integers > torch.from_numpy(levels)[:, None]).to(x.dtype)


@lru_cache(8)
def _coding(inputs: int, steps: int, bits: int) -> RateCode:
    """Kept, as a batch takes less time than its levels."""
    return RateCode(TensorType((inputs,), bits, False), steps)


class Steps(nn.Module):
    """A module of one step, run ``steps`` times: its neurons keep their own state.

    Those of ``module`` are snnTorch's, made with ``init_hidden=True``. ``coding`` says what comes
    in: "direct", (N, F), the same in each step; "rate", (N, F) in [0, 1], coded by ``rate_code``
    with ``bits`` bits; "spikes", (N, T, F). ``readout`` says what leaves: "count" of spikes,
    "first", which is how many steps were left at the first spike, the largest "membrane", or the
    "train" of spikes itself, (N, T, neurons).
    """

    def __init__(
        self,
        module: nn.Module,
        steps: int,
        coding: Literal["direct", "rate", "spikes"] = "direct",
        readout: Literal["count", "first", "membrane", "train"] = "count",
        bits: int = 8,
    ):
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, not {steps}")
        self.module, self.steps, self.coding = module, steps, coding
        self.readout, self.bits = readout, bits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What ``readout`` says, (N, neurons)."""
        for part in self.module.modules():
            if hasattr(part, "reset_mem"):
                part.reset_mem()  # type: ignore[operator]
        if self.coding == "rate":
            train = rate_code(x.flatten(1), self.steps, self.bits)
        elif self.coding == "spikes":
            train = x.transpose(0, 1)
        else:
            train = x.flatten(1).expand(self.steps, -1, -1)
        outs = [self.module(train[t]) for t in range(self.steps)]
        if self.readout == "membrane":
            return torch.stack([membrane for _, membrane in outs]).amax(0)
        spikes = torch.stack([out[0] if isinstance(out, tuple) else out for out in outs])
        if self.readout == "train":
            return spikes.transpose(0, 1)
        if self.readout == "count":
            return spikes.sum(0)
        left = torch.arange(self.steps, 0, -1, dtype=spikes.dtype)
        return (spikes * left[:, None, None]).amax(0)


def step(
    mem: torch.Tensor,
    current: torch.Tensor,
    threshold: torch.Tensor,
    decay: torch.Tensor,
    decay_shift: int,
    reset: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of integer neurons: spikes, and membranes at its end, (N, neurons).

    ``mem`` are those at the end of the step before, ``current`` the bias and all weights of this
    one. Exact while everything is below 2^24 in float32; rounding lets gradients through.
    """
    spiked = (mem > threshold).to(mem.dtype)
    dropped = mem * decay / (1 << decay_shift)
    left = mem - (dropped + (dropped.floor() - dropped).detach())
    if reset == "subtract":
        left = left - spiked * threshold
    elif reset == "zero":
        left = left * (1 - spiked)
    mem = left + current
    return fire((mem - threshold) / threshold.clamp(min=1)), mem
