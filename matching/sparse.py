"""The exact assignment in O(L * m) memory, for dictionaries with and without zero rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..common.memory import MemoryNeed
from ..common.progress import Progress
from .candidates import Source, block_copies, candidates_memory
from .optimum import Account, Core, Optimum, find_optimum
from .pricing import pricing_memory
from .rows import StoredRows
from .selection import Selection
from .solution import Solution
from .work import WorkFolder, fingerprint

_OTHER_BYTES = 64 * 2**20  # what threads and the heap keep; measured


def solve_sparse(
    a: StoredRows,
    b: StoredRows,
    progress: Progress,
    *,
    m: int,
    source: Source,
    work_dir: Path | None = None,
) -> Solution:
    """Assign every row of ``a`` to a row of ``b`` of its own, for the largest sum of cosines.

    Zero rows take no part: those of ``a`` go to whatever is left. If ``b`` has some, a row may be
    left to them, at cosine 0; only where there are too few for that they take part like others.

    Args:
        a: (L_A, D), L_A <= L_B; of equal sizes, the one with more zero rows.
        b: (L_B, D).
        progress: told of the phases "candidates", "solve" and "pricing".
        m: length of the candidate lists.
        source: who makes them.
        work_dir: where the state is kept, if anywhere.

    Raises:
        ValueError: FAISS is missing, or the work folder is of another match.
        OSError: the work folder could not be written.
    """
    account = Account()
    problem: dict[str, Any] = {"m": m, "source": source}
    if work_dir is not None:
        problem.update(a=fingerprint(a), b=fingerprint(b))

    def optimum(core: Core, work_dir: Path | None) -> Optimum:
        if not len(core.a) or not len(core.b):
            return _nothing(len(core.a), len(core.b))
        return find_optimum(core, m, source, WorkFolder(work_dir, problem), progress, account)

    rows, cols = Selection(a, a.live()), Selection(b, b.live())
    zeros = b.num_latents - len(cols)
    core = Core(rows, cols, optional=zeros > 0)
    found = optimum(core, work_dir)
    if np.count_nonzero(found.partner < 0) > zeros:
        everything = Selection(b, torch.arange(b.num_latents, device=cols.index.device))
        core = Core(rows, everything, optional=False)
        found = optimum(core, work_dir and work_dir / "with-zeros")
    return _with_zeros(a, b, core, found, vars(account))


def sparse_memory(num_a: int, num_b: int, d_in: int, m: int) -> MemoryNeed:
    """Return what `solve_sparse` takes beyond its inputs: the most of its phases."""
    small, large = sorted((num_a, num_b))
    listed = m * (small + large)
    scan = candidates_memory(small, large, d_in, m)
    # Lists, pairs, keys and their copies while they become a graph.
    begin = 64 * listed
    # The graph, and a copy that is sorted by columns; of unequal sizes the solver doubles it.
    edges = listed + listed // 4
    solve = (60 if small == large else 110) * edges + 400 * (small + large)
    price = 40 * edges + pricing_memory(small, large, d_in)
    copies = block_copies(small, large, d_in)
    return MemoryNeed(
        max(scan, begin, solve, price) + _OTHER_BYTES, copies + 24 * m * (small + large)
    )


def _nothing(num_rows: int, num_cols: int) -> Optimum:
    """Return the optimum where one side has no rows."""
    u, v = np.zeros(num_rows), np.zeros(num_cols)
    return Optimum(np.full(num_rows, -1), (u, v), u, u, v, 0.0)


def _with_zeros(
    a: StoredRows, b: StoredRows, core: Core, optimum: Optimum, stats: Mapping[str, Any]
) -> Solution:
    """Put the zero rows back: they have cosine 0 with everything, and the price 0."""
    rows, cols = core.a.index.cpu().numpy(), core.b.index.cpu().numpy()
    partner = np.full(a.num_latents, -1)
    matched = optimum.partner >= 0
    partner[rows[matched]] = cols[optimum.partner[matched]]
    # Rows that are not zero go to columns that are; for the others any will do.
    alone = np.append(rows[~matched], _others(rows, a.num_latents))
    free = _others(partner[partner >= 0], b.num_latents)
    zero_first = np.argsort(np.isin(free, cols), kind="stable")
    partner[alone] = free[zero_first][: len(alone)]
    of_rows = (optimum.prices[0], optimum.cosine, optimum.row_max)
    row_price, cosine, row_max = (_spread(part, rows, a.num_latents) for part in of_rows)
    of_cols = (optimum.prices[1], optimum.col_max)
    col_price, col_max = (_spread(part, cols, b.num_latents) for part in of_cols)
    if len(cols) < b.num_latents:
        row_max = row_max.clip(min=0.0)
    if len(rows) < a.num_latents:
        col_max = col_max.clip(min=0.0)
    return Solution(
        partner,
        cosine,
        row_price,
        col_price,
        row_max,
        col_max,
        optimum.worst_violation,
        dict(stats),
    )


def _spread(
    values: NDArray[np.float64], places: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    out = np.zeros(size)
    out[places] = values
    return out


def _others(members: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    free = np.ones(size, dtype=bool)
    free[members] = False
    return np.flatnonzero(free)
