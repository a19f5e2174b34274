"""The exact assignment on the dense similarity matrix, with its dual prices."""

import math
import time

import lapjv
import numpy as np
from numpy.typing import NDArray

from ..common.progress import Progress
from .rows import StoredRows, block_rows
from .similarity import similarity_tiles
from .solution import Solution

_FASTER_UP_TO = 512  # latents; measured
_STRIPE = 64  # rows looked at together when pricing: small beside the matrix
_WORKING_BLOCKS = 8  # blocks of float64 rows that the similarity pass holds at once


def dense_serves(num_latents: int) -> bool:
    """Return whether the dense matrix is the faster way for the larger side's ``num_latents``."""
    return num_latents <= _FASTER_UP_TO


def dense_memory(num_a: int, num_b: int, d_in: int) -> int:
    """Return the bytes that `solve_dense` takes beyond its inputs."""
    size = max(num_a, num_b)
    block = min(block_rows(d_in), size)
    blocks = _WORKING_BLOCKS * block * max(d_in, block)
    stripes = 3 * _STRIPE * size
    vectors = 12 * size  # the solver's and ours
    return 8 * (size * size + blocks + stripes + vectors)


def solve_dense(a: StoredRows, b: StoredRows, progress: Progress) -> Solution:
    """Assign every row of ``a`` to a row of ``b`` of its own, for the largest sum of cosines.

    The solver is Jonker and Volgenant's (Computing 38, 1987, pp. 325-340,
    https://doi.org/10.1007/BF02278710) as the package lapjv has it. Unequal sizes are padded with
    zero rows, which is exact; the padded square's prices are then shifted to be prices of the
    rectangle.

    What the solver gets is each row's best cosine minus S. Such a shift changes row prices and
    nothing else, but on trained SAEs of few shared latents (4,096 x 576) lapjv takes 0.7 s with
    it and 22 s without.

    Args:
        a: (L_A, D), L_A <= L_B.
        b: (L_B, D), at most 46,340 rows: lapjv computes i * L_B in 32 bits.
        progress: told of the phases "similarity", "assignment" and "prices".
    """
    start = time.perf_counter()
    cost, row_max, col_max = _cost(a, b, progress)
    similarity_done = time.perf_counter()
    progress("assignment", 0, a.num_latents, "latents")
    cols, square_price = _assign(cost)
    progress("assignment", a.num_latents, a.num_latents, "latents")
    assignment_done = time.perf_counter()
    cost, cols = cost[: a.num_latents], cols[: a.num_latents]
    col_price = _rectangle_prices(square_price, cols)
    row_price, worst = _row_prices(cost, row_max, col_price, progress)
    prices_done = time.perf_counter()
    return Solution(
        cols=cols,
        cosine=row_max - cost[np.arange(len(cols)), cols],
        row_price=row_price,
        col_price=col_price,
        row_max=row_max,
        col_max=col_max,
        worst_violation=worst,
        stats={
            "seconds": {
                "similarity": similarity_done - start,
                "assignment": assignment_done - similarity_done,
                "prices": prices_done - assignment_done,
            }
        },
    )


def _cost(
    a: StoredRows, b: StoredRows, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return row_max - S, padded with zero rows to a square, and the row and column maxima of S."""
    cost = np.zeros((b.num_latents, b.num_latents))
    row_max = np.full(a.num_latents, -math.inf)
    col_max = np.full(b.num_latents, -math.inf)
    progress("similarity", 0, a.num_latents, "latents")
    for rows, cols, tile in similarity_tiles(a, b):
        np.negative(tile, out=cost[rows, cols])
        np.maximum(row_max[rows], tile.max(axis=1), out=row_max[rows])
        np.maximum(col_max[cols], tile.max(axis=0), out=col_max[cols])
        if cols.stop == b.num_latents:  # the end of a stripe of rows
            cost[rows] += row_max[rows, None]
            progress("similarity", rows.stop, a.num_latents, "latents")
    return cost, row_max, col_max


def _assign(cost: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the column of each row, and column prices, of the square problem."""
    if len(cost) == 1:  # lapjv's prices are +-1.8e308 there
        return np.zeros(1, dtype=np.int64), np.zeros(1)
    # Without force_doubles the prices come back in float32.
    cols, _, (_, _, prices) = lapjv.lapjv(cost, force_doubles=True)
    return cols.astype(np.int64), -prices


def _rectangle_prices(
    square_price: NDArray[np.float64], cols: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shift column prices of the padded square to be 0 where unmatched and >= 0 elsewhere.

    A padding row has cosine 0 with every column and is matched to one, so all unmatched columns
    have the same price, the lowest of all: subtracting it leaves prices of the rectangle whose sum,
    with the row prices raised by as much, is that of the square.
    """
    unmatched = np.ones(len(square_price), dtype=bool)
    unmatched[cols] = False
    if not unmatched.any():
        return square_price
    # Of the unmatched prices, equal but for rounding, the highest: then all of them end at 0.
    shifted: NDArray[np.float64] = (square_price - square_price[unmatched].max()).clip(min=0.0)
    return shifted


def _row_prices(
    cost: NDArray[np.float64],
    row_max: NDArray[np.float64],
    col_price: NDArray[np.float64],
    progress: Progress,
) -> tuple[NDArray[np.float64], float]:
    """Return the lowest feasible row prices for these column prices, and the worst violation.

    Taken from the matrix rather than from the solver, they are feasible whatever the solver
    returned, but for the rounding of a few additions, which the worst violation measures.
    """
    num_rows = len(cost)
    row_price = np.empty(num_rows)
    worst = -math.inf
    progress("prices", 0, num_rows, "latents")
    for start in range(0, num_rows, _STRIPE):
        stripe = slice(start, start + _STRIPE)
        cosine = row_max[stripe, None] - cost[stripe]
        row_price[stripe] = (cosine - col_price).max(axis=1)
        cosine -= row_price[stripe, None] + col_price
        worst = max(worst, float(cosine.max()))
    progress("prices", num_rows, num_rows, "latents")
    return row_price, worst
