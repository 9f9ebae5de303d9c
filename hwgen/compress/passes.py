"""Rewrites of a float program, each exact, that leave weights, activations, pools and additions."""

from hwgen.compress.affine import fold_affine
from hwgen.frontend.passes import ACTIVATIONS_FIRST, PLAIN

__all__ = ["PASSES"]

#: In this order: each leaves the program in the form that the next one reads.
PASSES = (*PLAIN, fold_affine, *ACTIVATIONS_FIRST)
