"""What reference.py and native.py each provide: updates by Adam, and the gradient's squares.

Each function takes its arguments as one tuple; api.py has checked them, except the values of
indices. In the comments L counts latents and D numbers in a row of the matrix.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Term(NamedTuple):
    """A part of a gradient: for each latent l, the sum of scales[n, j] * rows[n].

    The sum runs over the places (n, j) whose index is l.
    """

    scales: Tensor
    """(N, k), the weight's dtype."""
    indices: Tensor
    """(N, k) int64, -1 to L - 1; -1 adds nothing, whatever its scale is."""
    rows: Tensor
    """(N, D), the weight's dtype."""
    row_offsets: Tensor | None = None
    """None, or (N + 1,) int64: scales and indices are then (P,), as in `latent_grads`."""


class Gradient(NamedTuple):
    """The gradient of a matrix; see `latent_adam`."""

    weight: Tensor  # (L, D)
    terms: Sequence[Term]
    decay: Tensor | None  # (L,)
    unit_rows: bool


class Rule(NamedTuple):
    """The numbers of one update. With g = scale * gradient,

    mean += take * (g - mean)      square = keep_square * square + take_square * g^2
    weight -= step * mean / (root * sqrt(square) + eps)

    A mean or a square whose absolute value is below 2^-126 becomes 0.
    """  # noqa: D400, D415

    scale: float
    take: float
    keep_square: float
    take_square: float
    step: float
    root: float
    eps: float


class AdamInputs(NamedTuple):
    """The arguments of `latent_adam`."""

    gradient: Gradient
    exp_avg: Tensor  # (L, D), the weight's dtype or bfloat16; written, as gradient.weight is
    exp_avg_sq: Tensor  # (L, D), exp_avg's dtype; written
    rule: Rule
    key: int  # of the random bits that round to bfloat16, 0 to 2^32 - 1
    sums: Tensor  # (L,), the weight's dtype; written
    weighted: Tensor  # (D,), the weight's dtype; written
    fired: Tensor  # (L,) int64; written
