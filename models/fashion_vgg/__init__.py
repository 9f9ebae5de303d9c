"""fashion_vgg: five 3x3 convolutions in the manner of VGG, trained on Fashion-MNIST."""

from .network import FashionVGG

__all__ = ["FashionVGG"]
