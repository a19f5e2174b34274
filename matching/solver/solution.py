"""What a solver returns, whichever it is."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Solution:
    """An optimal assignment of every row (L_A <= L_B), and prices that prove it."""

    cols: NDArray[np.int64]  # (L_A,)
    cosine: NDArray[np.float64]  # (L_A,)
    row_price: NDArray[np.float64]  # (L_A,)
    col_price: NDArray[np.float64]  # (L_B,), >= 0 and 0 where unmatched if L_A < L_B
    row_max: NDArray[np.float64]  # (L_A,)
    col_max: NDArray[np.float64]  # (L_B,)
    worst_violation: float  # max over all pairs of S_ij - (u_i + v_j), or 0 if that is negative
    stats: dict[str, Any] = field(default_factory=dict)
