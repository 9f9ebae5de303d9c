"""A module to an exported program; where torch cannot, the layer that is at fault, and why."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.export import ExportedProgram

from hwgen.errors import Problem, UserError, refuse

__all__ = ["export"]

#: What torch.export's errors say when a value of a tensor decides what comes next.
DATA = ("data-dependent", "dynamic control flow")

#: Where torch keeps the layers of its older quantisation.
EAGER = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic", "torch.ao.nn.qat")


def export(module: nn.Module, frames: Mapping[str, torch.Tensor]) -> ExportedProgram:
    """``module``, in eval mode, for any number of frames like ``frames``, (N, ...) of each of
    ``forward``'s arguments in order; UserError."""
    module = getattr(module, "_orig_mod", module)  # torch.compile wraps what it compiles
    module = module.module if isinstance(module, nn.DataParallel) else module
    refuse(_kinds(module))
    # Its log tells of failures inside torch; the user is told of them below, in one line.
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    modes = [(part, part.training) for part in module.modules()]
    with contextlib.suppress(NotImplementedError):  # exported modules have no modes
        module.eval()
    # Two frames: torch.export takes a size of one for a fixed one.
    few = tuple(torch.cat([given[:1], given[-1:]]) for given in frames.values())
    batch = tuple({0: torch.export.Dim.AUTO} for _ in few)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # what matters is checked in the program itself
            try:
                return torch.export.export(module, few, dynamic_shapes=batch)
            except Exception as error:
                # Whatever a model's own forward raises ends here, so no narrower class will do.
                raise UserError(*_reasons(module, few, error)) from error
    finally:
        logging.disable(disabled)
        for part, training in modes:
            part.training = training


def _kinds(module: nn.Module) -> Iterator[Problem]:
    """Modules that are no float network: of other tools, or half converted by them."""
    if isinstance(module, torch.jit.ScriptModule):
        yield Problem(None, "the model is TorchScript", "give the module that it was made from")
        return
    for name, part in module.named_modules():
        if name.startswith("activation_post_process"):
            yield Problem(None, "PT2E has prepared the network only", "call convert_pt2e")
            return
        if type(part).__module__.startswith(EAGER):
            remedy = "quantise with PT2E (docs/quantised.md), or give the float network"
            yield Problem(name or None, "is quantised by torch's eager mode", remedy)
    for name, tensor in module.named_parameters():
        if type(tensor.data) is not torch.Tensor and not nn.parameter.is_lazy(tensor):
            layer, _, leaf = name.rpartition(".")
            reason = f"its {leaf} is a {type(tensor.data).__name__}"
            remedy = "quantise with PT2E (docs/quantised.md), or use plain parameters"
            yield Problem(layer or None, reason, remedy)


def _reasons(module: nn.Module, few: tuple[torch.Tensor, ...], error: Exception) -> list[Problem]:
    if getattr(module.forward, "__name__", "") == "_forward_unimplemented":
        return [Problem(None, "the model has no forward", "define forward(self, x)")]
    found = list(_types(module))
    if not found:
        found = list(_failing(module, few))
    if not found and any(words in str(error) for words in DATA):
        reason = "the model's control flow depends on its data"
        found = [Problem(None, reason, "decide by sizes and constants, not by values of tensors")]
    shapes = ", ".join(str(tuple(given.shape[1:])) for given in few)
    return found or [
        Problem(
            None,
            f"the model cannot be exported with frames of shape {shapes}: "
            f"{type(error).__name__}: {_first_line(error)}",
            "it must take such frames, and be free of control flow that depends on data",
        )
    ]


def _types(module: nn.Module) -> Iterator[Problem]:
    """Weights of other types than the frames."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        layer, _, leaf = name.rpartition(".")
        if nn.parameter.is_lazy(tensor):
            yield Problem(layer or None, f"its {leaf} has no shape yet", "run the model once")
            continue
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            yield Problem(layer or None, f"its {leaf} is {tensor.dtype}", "call model.float()")
        if tensor.device.type != "cpu":
            yield Problem(layer or None, f"its {leaf} is on {tensor.device}", "call model.cpu()")


def _failing(module: nn.Module, few: tuple[torch.Tensor, ...]) -> Iterator[Problem]:
    """The innermost layer that fails when the model simply runs; none if it does not."""
    running: list[tuple[str, nn.Module, torch.Size | None]] = []

    def enter(name: str):
        def hook(part, given):
            tensors = [one for one in given if isinstance(one, torch.Tensor)]
            running.append((name, part, tensors[0].shape if tensors else None))

        return hook

    handles = []
    for name, part in module.named_modules():
        handles.append(part.register_forward_pre_hook(enter(name)))
        handles.append(part.register_forward_hook(lambda *_: running.pop() and None))
    try:
        with torch.no_grad():
            module(*few)
    except Exception as error:  # the model's own, as above
        name, part, shape = running[-1] if running else ("", module, None)
        if shape is not None:
            yield _mistake(name, part, tuple(shape), error)
    finally:
        for handle in handles:
            handle.remove()


def _mistake(name: str, part: nn.Module, shape: tuple[int, ...], error: Exception) -> Problem:
    """``part`` fails on a batch of this shape."""
    sizes = ", ".join(["N", *map(str, shape[1:])])
    given = f"and is given ({sizes})"
    if isinstance(part, nn.Linear) and shape[-1] != part.in_features:
        reason, remedy = f"takes {part.in_features} features, {given}", f"Linear({shape[-1]}, ...)"
        return Problem(name, reason, f"make it {remedy}, or give other frames")
    channels = getattr(part, "in_channels", getattr(part, "num_features", None))
    if channels is not None and len(shape) > 1 and shape[1] != channels:
        reason = f"takes {channels} channels, {given}"
        return Problem(name, reason, "the channels come first: (N, C, H, W)")
    if isinstance(part, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) and "size" in str(error):
        reason = f"its kernel {part.kernel_size} is larger than its padded map, {given}"
        return Problem(name, reason, "use a smaller kernel, more padding, or larger frames")
    reason = f"fails on ({sizes}): {type(error).__name__}: {_first_line(error)}"
    return Problem(name or None, reason, "correct it, or give frames as the network takes them")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
