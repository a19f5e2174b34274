"""The assignment problem on a sparse graph, with dual prices: the public functions."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import extension as _native
from .checks import (
    as_floats,
    as_indices,
    as_pairs,
    as_partners,
    as_prices,
    as_shape,
    as_start,
    matched_weights,
)
from .members import BIDS_PER_MEMBER


@dataclass(frozen=True, eq=False)
class Assignment:
    """A one-to-one map of the whole smaller side of a graph, and the prices that prove it best."""

    rows: NDArray[np.int64]
    """(M,) ascending; M = min(shape)."""
    cols: NDArray[np.int64]
    """(M,) their partners."""
    row_price: NDArray[np.float64]
    """(shape[0],) dual prices u: u_i + v_j >= w_ij on every edge, with equality on matched ones."""
    col_price: NDArray[np.float64]
    """(shape[1],) dual prices v. Those of the larger side are >= 0, and 0 where unmatched; of
    equal sizes, prices may have either sign."""
    objective: float
    """The sum of the matched weights."""


class Bounds(NamedTuple):
    """What prices say of an assignment: it is best when ``upper_bound`` is its ``objective``."""

    objective: float
    """P, the sum of the matched weights."""
    worst_violation: float
    """max over the edges of w_ij - (u_i + v_j); -inf without edges."""
    upper_bound: float
    """D, which no assignment's objective exceeds."""


def sparse_assignment(
    rows: ArrayLike,
    cols: ArrayLike,
    weights: ArrayLike,
    shape: tuple[int, int],
    *,
    prices: tuple[ArrayLike, ArrayLike] | None = None,
) -> Assignment:
    """Match the whole smaller side of a sparse graph, for the largest sum of weights.

    Rows bid for columns in an auction of falling steps (Bertsekas, Annals of Operations Research
    14, 1988, https://doi.org/10.1007/BF02186476), whose prices are then corrected until they fit
    the matching exactly. Where that fails, shortest augmenting paths (Jonker and Volgenant,
    Computing 38, 1987, https://doi.org/10.1007/BF02278710) finish the work. Graphs of unequal
    sides are solved as square ones of twice the edges. One thread; the GIL is released. The same
    input gives the same bits.

    Args:
        rows: (E,) integers, the edges' rows, in any order. An edge that is given twice counts once,
            with the larger weight.
        cols: (E,) integers, their columns.
        weights: (E,) their weights: any finite numbers of at most 1e300, zeros and negative ones
            included. They are taken as float64.
        shape: numbers of rows and of columns, at most 2^30.
        prices: (row_price, col_price) of a similar problem, to start from: good ones save time, and
            any finite numbers lead to an optimum.

    Returns:
        The assignment and its prices: D - P (see `assignment_bounds`) is 0 except for rounding.

    Raises:
        TypeError: an array is not of integers or of real numbers.
        ValueError: a shape is wrong, an index lies outside, a weight or price is NaN, infinite or
            too large, or the smaller side cannot be matched whole: the message says how much of it
            remains.
    """
    return _solve(rows, cols, weights, shape, prices, BIDS_PER_MEMBER)


def maximum_matching(
    rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match as many rows and columns of a sparse graph as can be, whatever the weights.

    Hopcroft and Karp, SIAM Journal on Computing 2, 1973, https://doi.org/10.1137/0202019.

    Args:
        rows: (E,) integers, the edges' rows, in any order; repeated ones do no harm.
        cols: (E,) integers, their columns.
        shape: numbers of rows and of columns, at most 2^30.

    Returns:
        Rows, ascending, and their columns. There is a full matching, as `sparse_assignment` needs,
        if there are min(shape) of them.

    Raises:
        TypeError: an array is not of integers.
        ValueError: a shape is wrong, or an index lies outside.
    """
    size = as_shape(shape)
    partner = np.empty(min(size), dtype=np.int64)
    _native.maximum_matching(*as_indices(rows, cols), *size, None, None, partner)
    return as_pairs(partner, size)


def centre_prices(
    rows: ArrayLike, cols: ArrayLike, weights: ArrayLike, assignment: Assignment
) -> Assignment:
    """Move an assignment's prices away from the edges that are not matched.

    Optimal prices are seldom unique, and a solver's are at a corner: many edges have no slack. Here
    each matched pair shares its weight anew between row and column, in the middle of what the other
    edges of both allow; all pairs at once, several times. Prices stay optimal, and those of
    unmatched members 0.

    Args:
        rows: (E,) the edges, as given to `sparse_assignment`.
        cols: (E,)
        weights: (E,)
        assignment: what it returned.

    Returns:
        The assignment with other prices.

    Raises:
        TypeError, ValueError: as for `sparse_assignment`; or the assignment is none of this graph's
            smaller side.
    """
    row_price, col_price = _own_prices(assignment)
    partner = as_partners(assignment.rows, assignment.cols, (len(row_price), len(col_price)))
    edges = (*as_indices(rows, cols), as_floats("weights", weights))
    _native.centre_prices(*edges, None, None, 1, partner, row_price, col_price)
    return replace(assignment, row_price=row_price, col_price=col_price)


def assignment_bounds(
    rows: ArrayLike, cols: ArrayLike, weights: ArrayLike, assignment: Assignment
) -> Bounds:
    """Compute objective and upper bound of an assignment anew, trusting nothing but its arrays.

    D = sum u + sum v + M * max(0, worst violation), where of unequal sizes the larger side's
    negative prices count as 0: then no assignment of the smaller side has an objective beyond D,
    whatever the prices (weak duality).

    Args:
        rows: (E,) the edges, as given to `sparse_assignment`.
        cols: (E,)
        weights: (E,)
        assignment: the pairs, which must be edges, and prices.

    Returns:
        P, the worst violation and D.

    Raises:
        TypeError, ValueError: the arrays are no edges of this size, or a pair is no edge.
    """
    edge_rows, edge_cols = as_indices(rows, cols)
    weight = as_floats("weights", weights)
    u, v = _own_prices(assignment)
    as_partners(assignment.rows, assignment.cols, (len(u), len(v)))  # raises if it is none
    pairs = assignment.rows, assignment.cols
    matched = matched_weights(edge_rows, edge_cols, weight, pairs, len(u))
    if np.isneginf(matched).any():
        pair = int(matched.argmin())
        raise ValueError(f"assignment: pair {pair}, {[int(p[pair]) for p in pairs]}, is no edge")
    worst = float((weight - u[edge_rows] - v[edge_cols]).max(initial=-math.inf))
    if len(u) != len(v):
        u, v = (np.maximum(u, 0), v) if len(u) > len(v) else (u, np.maximum(v, 0))
    prices = math.fsum(u) + math.fsum(v)
    return Bounds(math.fsum(matched), worst, prices + len(matched) * max(0.0, worst))


def _own_prices(assignment: Assignment) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row_price = as_prices("row_price", assignment.row_price, len(assignment.row_price))
    col_price = as_prices("col_price", assignment.col_price, len(assignment.col_price))
    return row_price, col_price


def _solve(
    rows: ArrayLike,
    cols: ArrayLike,
    weights: ArrayLike,
    shape: tuple[int, int],
    prices: tuple[ArrayLike, ArrayLike] | None,
    bids_per_member: int,
) -> Assignment:
    edge_rows, edge_cols = as_indices(rows, cols)
    weight = as_floats("weights", weights)
    size = as_shape(shape)
    row_price, col_price = as_start(prices, size)
    partner = np.empty(min(size), dtype=np.int64)
    left, _, _ = _native.solve(
        edge_rows,
        edge_cols,
        weight,
        None,
        None,
        warm=prices is not None,
        centre=False,
        bid_limit=bids_per_member * sum(size),
        threads=1,
        partner=partner,
        row_price=row_price,
        col_price=col_price,
    )
    if left:
        side = "rows" if size[0] <= size[1] else "columns"
        raise ValueError(
            f"{left:,} of the {min(size):,} {side} cannot be matched: there is no full assignment"
        )
    pairs = as_pairs(partner, size)
    matched = matched_weights(edge_rows, edge_cols, weight, pairs, size[0])
    return Assignment(*pairs, row_price, col_price, math.fsum(matched))
