"""kws_dscnn: the depthwise-separable network of keyword spotting, trained on Fashion-MNIST.

No speech was to be had for its training: what is real here is its shape, and the data set that it
is measured on. Trained on spectrograms, it would differ in its weights alone.
"""

from .network import KwsDSCNN

__all__ = ["KwsDSCNN"]
