"""The assignment problem on a sparse graph whose rows and columns stand for equal members.

A dictionary may hold the same row many times. Such rows are one row of the graph with several
members, each of which is matched by itself. These functions check nothing: the solver calls them.
"""

import numpy as np
from numpy.typing import NDArray

from . import extension as _native
from .checks import Indices, as_start

BIDS_PER_MEMBER = 200
"""Bids after which an auction is given up, for each member of a row or column. The candidates of
two dictionaries take about 10."""

Members = tuple[NDArray[np.int64], NDArray[np.int64]]
"""How many equal members each row and each column of a graph stands for."""


def largest_matching(rows: Indices, cols: Indices, members: Members) -> NDArray[np.int64]:
    """As `maximum_matching`, where each row and column stands for some equal members.

    Args:
        rows: (E,) the edges' rows.
        cols: (E,) their columns.
        members: how many members each row and each column has; those of rows are not more in all.

    Returns:
        The member of a column that each member of a row is matched to, -1 for none. Members are
        counted row by row, and column by column.
    """
    partner = np.empty(members[0].sum(), dtype=np.int64)
    shape = len(members[0]), len(members[1])
    _native.maximum_matching(rows, cols, *shape, *members, partner)
    return partner


def centred_assignment(
    rows: Indices,
    cols: Indices,
    weights: NDArray[np.float64],
    members: Members,
    prices: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """As `sparse_assignment`, then `centre_prices`, where rows and columns stand for equal members.

    Args:
        rows: (E,) the edges' rows.
        cols: (E,) their columns.
        weights: (E,) float64.
        members: how many members each row and each column has; those of rows are not more in all.
        prices: of rows and of columns, to start from.
        threads: how many share the work, 1 or more. The result does not depend on it.

    Returns:
        The partner of each member of a row, as of `largest_matching`; row and column prices.

    Raises:
        ValueError: some members of rows cannot be matched.
    """
    shape = len(members[0]), len(members[1])
    row_price, col_price = as_start(prices, shape)
    partner = np.empty(members[0].sum(), dtype=np.int64)
    problem = rows, cols, weights, *members
    limit = BIDS_PER_MEMBER * int(sum(side.sum() for side in members))
    of_members = partner, row_price, col_price
    left, _, _ = _native.solve(*problem, prices is not None, True, limit, threads, *of_members)
    if left:
        raise ValueError(f"{left:,} of the {len(partner):,} latents cannot be matched")
    return partner, row_price, col_price
