"""Rewrites of a float program, each exact, that leave weights, activations, pools and additions."""

from hwgen.compress.affine import fold_affine
from hwgen.frontend.passes import (
    drop_unchanged,
    hoist_activations,
    merge_activations,
    one_output,
    plain_flatten,
)

__all__ = ["PASSES"]

#: In this order: each leaves the program in the form that the next one reads.
PASSES = (
    one_output,
    drop_unchanged,
    plain_flatten,
    fold_affine,
    hoist_activations,
    merge_activations,
)
