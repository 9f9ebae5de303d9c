"""cifar_resnet8: the residual network of MLPerf Tiny's size, trained on CIFAR-10."""

from .network import CifarResNet8

__all__ = ["CifarResNet8"]
