"""From a trained PyTorch network to a bit-exact FPGA/ASIC accelerator, with open tools alone.

import hwgen

hwgen.build("fashion_cnn", board="ulx3s", out="build/fashion")
print(hwgen.simulate("build/fashion").bit_exact)
"""

import importlib

__all__ = ["UserError", "build", "estimate", "simulate"]

_PLACES = {"UserError": "errors", "build": "flow", "estimate": "flow", "simulate": "flow"}


def __getattr__(name: str):
    # Importing torch takes seconds, which `hwgen boards` need not wait for.
    if name not in _PLACES:
        raise AttributeError(f"module 'hwgen' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hwgen.{_PLACES[name]}"), name)
