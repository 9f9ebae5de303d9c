"""mnist_snn: a spiking network of two layers for handwritten digits, with 4-bit synapses."""

from .network import SIZES, MnistSNN

__all__ = ["SIZES", "MnistSNN"]
