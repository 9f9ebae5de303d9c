"""Networks from torch (and later QONNX, NIR) to integers, and the up-front support check."""

from hwgen.frontend.images import accuracy, load_calibration, quantise_input
from hwgen.frontend.load import Source, load
from hwgen.frontend.read import read

__all__ = ["Source", "accuracy", "load", "load_calibration", "quantise_input", "read"]
