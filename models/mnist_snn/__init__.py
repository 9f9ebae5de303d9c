"""mnist_snn: a spiking network of two layers for handwritten digits, with 4-bit synapses."""

from .network import MnistSNN

__all__ = ["MnistSNN"]
