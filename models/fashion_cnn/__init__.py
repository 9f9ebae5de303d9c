"""fashion_cnn: three convolutions and one dense layer, trained on Fashion-MNIST."""

from .network import FashionCNN

__all__ = ["FashionCNN"]
