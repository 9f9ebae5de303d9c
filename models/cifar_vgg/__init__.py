"""cifar_vgg: six 3x3 convolutions in the manner of VGG, trained on CIFAR-10."""

from .network import CifarVGG

__all__ = ["CifarVGG"]
