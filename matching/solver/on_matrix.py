"""The exact assignment on the matrix of cosines, for dictionaries of few latents."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.progress import Progress
from ..assignment import extension
from ..assignment.dense import dense_assignment
from ..rows import StoredRows, block_rows
from .classes import equal_rows
from .solution import Solution

# Pairs up to which the matrix is the faster way, and where many rows are alike; measured.
_FASTER_UP_TO, _FASTER_IF_ALIKE = 2**20, 2**25
# Pairs that are matched on the matrix where the C++ extension, and with it the other way, is
# missing: 8,192 x 8,192. The matrix, and scipy's copy of it, are 0.5 GiB each then.
_WITHOUT_EXTENSION = 2**26
_STRIPE = 64  # rows looked at together when pricing: small beside the matrix
_WORKING_BLOCKS = 6  # blocks of float64 rows that are held while the matrix is made


def check_extension(what: str, num_a: int, num_b: int, exhaustive: bool) -> None:
    """Raise ImportError if the C++ extension is missing, and only it can match these.

    Args:
        what: the work, as the message names it.
        num_a: L_A.
        num_b: L_B.
        exhaustive: whether all pairs may be looked at, as the matrix needs.
    """
    missing = extension.MISSING
    if missing is not None and not (exhaustive and num_a * num_b <= _WITHOUT_EXTENSION):
        raise ImportError(
            f"{what} needs twinsae's C++ extension, which is missing ({missing}). Without it at "
            "most 8,192 x 8,192 latents, or as many pairs, are matched, by candidates 'scan' only. "
            "Install a wheel of twinsae, or a C++17 compiler and then twinsae again"
        )


def must_take_matrix(num_a: int, num_b: int) -> bool:
    """Return whether `solve_on_matrix` is the faster way for all dictionaries of this size.

    Without the C++ extension it is the only way.
    """
    return extension.MISSING is not None or num_a * num_b <= _FASTER_UP_TO


def may_take_matrix(num_a: int, num_b: int) -> bool:
    """Return whether it is the faster way for those where `many_alike` says so."""
    return must_take_matrix(num_a, num_b) or num_a * num_b <= _FASTER_IF_ALIKE


def matrix_memory(num_a: int, num_b: int, d_in: int) -> int:
    """Return the bytes that `solve_on_matrix` takes beyond its inputs."""
    size = max(num_a, num_b)
    block = min(block_rows(d_in), size)
    blocks = _WORKING_BLOCKS * block * max(d_in, block)
    stripes = 3 * _STRIPE * size
    vectors = 12 * size  # the solver's and ours
    matrices = 1 if extension.MISSING is None else 2  # scipy copies it
    return 8 * (matrices * num_a * num_b + blocks + stripes + vectors)


def solve_on_matrix(a: StoredRows, b: StoredRows, progress: Progress) -> Solution:
    """Assign every row of ``a`` to a row of ``b`` of its own, for the largest sum of cosines.

    The matrix is held in float64 and solved by `dense_assignment`. Row prices are then taken from
    the matrix: they are feasible except for rounding, which the worst violation measures.

    Args:
        a: (L_A, D), L_A <= L_B.
        b: (L_B, D).
        progress: told of the phases "similarity", "assignment" and "prices", in latents of ``a``.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        start = time.perf_counter()
        progress(phase, 0, a.num_latents, "latents")
        yield
        progress(phase, a.num_latents, a.num_latents, "latents")
        seconds[phase] = time.perf_counter() - start

    with timed("similarity"):
        similarity = _similarity(a, b)
        row_max, col_max = similarity.max(axis=1), similarity.max(axis=0)
    classes = equal_rows(a, torch.arange(a.num_latents, device=a.matrix.device))
    equal = classes.spread(np.arange(len(classes.sizes)))
    with timed("assignment"):
        cols, col_price = dense_assignment(similarity, equal)
    with timed("prices"):
        row_price, worst = _row_prices(similarity, col_price)
    return Solution(
        cols=cols,
        cosine=similarity[np.arange(len(cols)), cols],
        row_price=row_price,
        col_price=col_price,
        row_max=row_max,
        col_max=col_max,
        worst_violation=worst,
        stats={"seconds": seconds},
    )


def _similarity(a: StoredRows, b: StoredRows) -> NDArray[np.float64]:
    """Return the cosines (L_A, L_B) of the stored values; a zero row has 0 with everything.

    They are absolute values if those of ``a`` count.
    """
    device = a.matrix.device
    out = torch.empty((a.num_latents, b.num_latents), dtype=torch.float64, device=device)
    places = [torch.arange(rows.num_latents, device=rows.matrix.device) for rows in (a, b)]
    for cols in b.blocks():
        right = b.unit_wide(places[1][cols]).T.to(device)
        for rows in a.blocks():
            torch.mm(a.unit_wide(places[0][rows]), right, out=out[rows, cols])
    return (out.abs_() if a.absolute else out).cpu().numpy()


def _row_prices(
    similarity: NDArray[np.float64], col_price: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the lowest feasible row prices for these column prices, and the worst violation."""
    num_rows = len(similarity)
    row_price = np.empty(num_rows)
    worst = -math.inf
    for start in range(0, num_rows, _STRIPE):
        stripe = slice(start, start + _STRIPE)
        row_price[stripe] = (similarity[stripe] - col_price).max(axis=1)
        excess = similarity[stripe] - (row_price[stripe, None] + col_price)
        worst = max(worst, float(excess.max()))
    return row_price, worst
