"""Winograd's minimal filtering F(m x m, 3 x 3) in integers: exact, in sums no wider than need be.

A tile of ``m x m`` outputs of a 3 x 3 convolution is ``A^T [(G g G^T) * (B^T d B)] A`` (Lavin and
Gray 2015, arXiv:1509.09308). ``B`` holds integers. The denominators of ``G``'s rows move to ``A``:
with ``G' = diag(s) G`` and ``A' = S diag(1/s) A``, both integer, the same formula gives ``S^2``
times the tile, exactly.

After the products everything is addition, subtraction and multiplication by constants, so it may
wrap. Let the result need ``b`` bits and ``S^2 = 2^e q`` with odd ``q``. Sums modulo ``2^(b + e)``
suffice: the low ``e`` bits come out as zeros and are dropped, and ``q`` has an inverse modulo
``2^b``.
"""

import numpy as np

from hwgen.network.domain import Domain, Tile, input_limits
from hwgen.network.ops import Conv2d
from hwgen.network.values import kept

__all__ = ["F2", "F4", "TILES", "lossless", "obstacle"]

#: Widest sums that the arithmetic here, in int64, is exact for.
WIDEST = 62


F2 = Tile(
    m=2,
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    weights=((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
    exact=((2, 1, 1, 0), (0, 1, -1, 2)),
    outputs=((1, 1, 1, 0), (0, 1, -1, 1)),
    divisor=2,
)

F4 = Tile(
    m=4,
    inputs=(
        (4, 0, -5, 0, 1, 0),
        (0, 4, 4, -1, -1, 0),
        (0, -4, 4, 1, -1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    weights=((1, 0, 0), (1, 1, 1), (1, -1, 1), (1, 2, 4), (1, -2, 4), (0, 0, 1)),
    exact=((6, 4, 4, 1, 1, 0), (0, 4, -4, 2, -2, 0), (0, 4, 4, 4, 4, 0), (0, 4, -4, 8, -8, 24)),
    outputs=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    divisor=24,
)

TILES = {2: F2, 4: F4}


@kept
def lossless(op: Conv2d, m: int) -> Domain:
    """``op`` by F(m x m, 3 x 3), to the same integers; ValueError if it cannot be had so.

    Kept as long as the op lives: every folding of the op asks for it.
    """
    reason = obstacle(op)
    if reason:
        raise ValueError(f"F({m}x{m},3x3) does not compute this convolution: {reason}")
    tile = TILES[m]
    rows = np.array(tile.weights)
    wide = op.weights.astype(np.int32)  # at most 49 times weights of 16 bits
    weights = np.einsum("ia,jb,kabc->ijkc", rows, rows, wide, optimize=True)
    narrow = np.abs(weights).max() < 1 << 15
    square = tile.divisor**2
    spare = (square & -square).bit_length() - 1
    zeros = np.zeros((tile.t, tile.t), np.int64)
    return Domain(
        op.input,
        op.output,
        tile,
        tile,
        op.padding,
        weights.astype(np.int16 if narrow else np.int32),
        # The second column of A' is constant, so tap (1, 1) adds to all results alike.
        op.bias.astype(np.int64) * (square // tile.exact[0][1] ** 2),
        zeros,
        zeros,
        zeros,
        input_limits(tile, tile, op.input),
        True,
        spare,
        square >> spare,
    )


def obstacle(op: Conv2d) -> str | None:
    """Why Winograd's algorithm cannot compute ``op``; None if it can."""
    if op.kernel != (3, 3):
        return f"its kernel is {op.kernel[0]} x {op.kernel[1]}, not 3 x 3"
    if op.stride != (1, 1):
        return f"its stride is {op.stride}, not 1"
    if op.dilation != (1, 1):
        return f"its dilation is {op.dilation}, not 1"
    if op.groups != 1:
        return f"it has {op.groups} groups, not 1"
    if op.input.encoding == "bipolar":
        return "its input is single bits: there is nothing to multiply"
    if op.output.bits + 6 > WIDEST:
        return f"its sums have {op.output.bits} bits, more than {WIDEST - 6}"
    return None
