"""digits_mlp: two dense layers for the smallest FPGAs, trained on scikit-learn's digits."""

from .network import DigitsMLP

__all__ = ["DigitsMLP"]
