"""The assignment problem on a whole matrix of weights."""

import numpy as np
from numpy.typing import NDArray

from . import extension as _native
from .by_scipy import assignment_by_scipy


def dense_assignment(
    weights: NDArray[np.float64], equal: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Match every row of a matrix, for the largest sum of weights, by shortest augmenting paths.

    It ends on every input, whatever ties it has (native/dense.h). One thread; the GIL is released.
    Without the C++ extension scipy solves it, for weights from -1 to 1.

    Args:
        weights: (n, m) finite numbers of at most 1e300, n <= m, C-contiguous.
        equal: (n,) a number from 0 to n - 1 for each row; rows with the same number are equal.

    Returns:
        The column of each row, (n,), and the columns' dual prices, (m,): 0 or more, and 0 where
        unmatched.

    Raises:
        ValueError: an array has another dtype, shape or layout, or a number is out of range.
        ImportError: both the extension and scipy are missing.
    """
    if _native.MISSING is not None:
        return assignment_by_scipy(weights)
    cols, col_price = np.empty(len(weights), dtype=np.int64), np.empty(weights.shape[1])
    _native.solve_dense(weights, equal, cols, col_price)
    return cols, col_price
