"""What reference.py, native.py and triton/ each provide: one function for each scan.

A function takes the arguments of its op as one tuple. api.py has checked them. In the comments N
counts rows, D the numbers in a row, S groups, and L the latents of one group. Scores and floors are
float32, or float64 for float64 inputs.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor


class LinearTopKInputs(NamedTuple):
    """The arguments of `linear_topk`."""

    x: Tensor  # (N, D)
    weight: Tensor  # (S * L, D)
    bias: Tensor | None  # (S * L,)
    packed: Sequence[Tensor]  # what `pack` prepared from the weight, or nothing
    k: int
    floor: Tensor  # (N,), the scores' dtype
    mask: Tensor | None  # (S * L,) bool
    groups: int  # S


class MutualTopKInputs(NamedTuple):
    """The arguments of `mutual_topk`."""

    a: Tensor  # (L_A, D)
    b: Tensor  # (L_B, D)
    packed: Sequence[Tensor]  # what `pack` prepared from b, or nothing
    m: int
    row_floor: Tensor  # (L_A,), the scores' dtype
    col_floor: Tensor  # (L_B,), the scores' dtype
    exact: bool


class PairsAboveInputs(NamedTuple):
    """The arguments of `pairs_above`."""

    a: Tensor  # (L_A, D)
    b: Tensor  # (L_B, D)
    packed: Sequence[Tensor]  # what `pack` prepared from b, or nothing
    row_price: Tensor  # (L_A,) float64
    col_price: Tensor  # (L_B,) float64
    margin: float
    tiles: Tensor | None  # (T, 4) int64
    capacity: int
    exact: bool


class LinearAboveInputs(NamedTuple):
    """The arguments of `linear_above`."""

    x: Tensor  # (N, D)
    weight: Tensor  # (L, D)
    bias: Tensor | None  # (L,)
    packed: Sequence[Tensor]  # what `pack` prepared from the weight, or nothing
    threshold: Tensor  # (L,), the scores' dtype, no NaN


Ranked = tuple[Tensor, Tensor, Tensor, Tensor]
"""Values and indices (N, S, k), then the two numbers of `ScanStats`."""
RankedBothWays = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Values and indices (L_A, m) of rows and (L_B, m) of columns, then those of `ScanStats`."""
Listed = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Rows (P,), columns (P,) and the overflow (), then those of `ScanStats`."""
Above = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Values (P,), indices (P,) and row offsets (N + 1,) of `CSR`, then those of `ScanStats`."""


class Scans(Protocol):
    """The functions of one implementation; api.py says what each computes."""

    def linear_topk(self, inputs: LinearTopKInputs, /) -> Ranked:
        """Find the k largest scores of each row, above its floor, in each group."""

    def mutual_topk(self, inputs: MutualTopKInputs, /) -> RankedBothWays:
        """Find the m best columns of each row and the m best rows of each column."""

    def pairs_above(self, inputs: PairsAboveInputs, /) -> Listed:
        """List the pairs whose score is above their prices."""

    def linear_above(self, inputs: LinearAboveInputs, /) -> Above:
        """List the scores of each row that are above their latent's threshold."""
