"""The assignment problem on a whole matrix of weights, where the C++ extension is missing."""

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-13  # a price rises only by more than this, so that rounding cannot raise it for ever
_STRIPE = 64  # rows looked at together: small beside the matrix


def assignment_by_scipy(
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As `dense_assignment`, by scipy and numpy.

    scipy tells the matching and no prices; these are found from it. It copies the matrix.

    Args:
        weights: (n, m) numbers from -1 to 1, n <= m.

    Returns:
        The column of each row, (n,), and the columns' dual prices, (m,): 0 or more, and 0 where
        unmatched.

    Raises:
        ImportError: scipy is missing, too.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "twinsae.matching: expected scipy, or twinsae's C++ extension, to solve the "
            f"assignment, got {error}"
        ) from error
    _, cols = linear_sum_assignment(weights, maximize=True)
    return cols, _column_prices(weights, cols)


def _column_prices(weights: NDArray[np.float64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the least prices v >= 0 at which no row would rather have another column, (m,).

    With w_i the weight of row i and its own column c(i), this says v_j >= v_c(i) + S_ij - w_i for
    all i and j. From v = 0, prices are raised to what rows ask for until none asks for more: the
    method of Bellman and Ford for longest paths. As the matching is optimal, no cycle of columns
    has a positive sum, so that each price is final after at most n rounds; and no path to an
    unmatched column has one, so that its price stays 0.
    """
    num_rows, num_cols = weights.shape
    matched = weights[np.arange(num_rows), cols]
    row_of = np.full(num_cols, -1)
    row_of[cols] = np.arange(num_rows)
    price = np.zeros(num_cols)
    asking = np.arange(num_rows)  # rows whose own column has risen
    for _ in range(num_rows):
        before = price.copy()
        for start in range(0, len(asking), _STRIPE):
            rows = asking[start : start + _STRIPE]
            shift = price[cols[rows]] - matched[rows]
            asked = (weights[rows] + shift[:, None]).max(axis=0)
            price = np.where(asked > price + _ROUNDING, asked, price)
        asking = row_of[price > before]
        asking = asking[asking >= 0]
        if not len(asking):
            break
    # Where the matching is optimal to rounding only, these may have risen by as little.
    price[row_of < 0] = 0
    return price
