"""The exact assignment in O(L * m) memory, for dictionaries with and without zero rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.memory import MemoryNeed
from ...common.progress import Progress
from ..assignment.members import Members
from ..rows import StoredRows
from .candidates import Source, block_copies, candidates_memory
from .classes import Classes, equal_rows
from .loop import Account, Core, Optimum, find_optimum
from .prices import pricing_memory
from .resume import WorkFolder, fingerprint
from .solution import Solution

_OTHER_BYTES = 64 * 2**20  # what threads and the heap keep; measured


def solve_on_graph(
    a: Classes,
    b: Classes,
    progress: Progress,
    *,
    m: int,
    source: Source,
    work_dir: Path | None = None,
) -> Solution:
    """Assign every row of A to a row of B of its own, for the largest sum of cosines.

    Zero rows take no part: those of A go to whatever is left. If B has some, a row may be left to
    them, at cosine 0; only where there are too few for that they take part like others.

    Args:
        a: the rows of A that are not zero. L_A <= L_B; of equal sizes, A has more zero rows.
        b: the rows of B that are not zero.
        progress: told of the phases "candidates", "solve" and "pricing".
        m: length of the candidate lists.
        source: who makes them.
        work_dir: where the state is kept, if anywhere.

    Raises:
        ValueError: FAISS is missing, or the work folder is of another match.
        OSError: the work folder could not be written.
    """
    account = Account()
    problem: dict[str, Any] = {"m": m, "source": source, "absolute": a.rows.stored.absolute}
    if work_dir is not None:
        problem.update(a=fingerprint(a.rows.stored), b=fingerprint(b.rows.stored))

    def optimum(core: Core, work_dir: Path | None) -> Optimum:
        if not len(core.a) or not len(core.b):
            return _nothing(core.members)
        return find_optimum(core, m, source, WorkFolder(work_dir, problem), progress, account)

    zeros = b.rows.stored.num_latents - len(b.latents)
    found = optimum(_core(a, b, optional=zeros > 0), work_dir)
    if np.count_nonzero(found.partner < 0) > zeros:
        b = _all_rows(b.rows.stored)
        work_dir = work_dir and work_dir / "with-zeros"
        found = optimum(_core(a, b, optional=False), work_dir)
    return _with_zeros(a, b, found, vars(account))


def graph_memory(num_a: int, num_b: int, d_in: int, m: int) -> MemoryNeed:
    """Return what `solve_on_graph` takes beyond its inputs: the most of its phases."""
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


def _all_rows(stored: StoredRows) -> Classes:
    return equal_rows(stored, torch.arange(stored.num_latents, device=stored.matrix.device))


def _core(a: Classes, b: Classes, optional: bool) -> Core:
    return Core(a.rows, b.rows, (a.sizes, b.sizes), optional)


def _nothing(members: Members) -> Optimum:
    """Return the optimum where one side has no rows."""
    u, v = (np.zeros(len(sizes)) for sizes in members)
    alone = np.full(members[0].sum(), -1)
    return Optimum(alone, (u, v), np.zeros(len(alone)), u, v, 0.0)


def _with_zeros(a: Classes, b: Classes, optimum: Optimum, stats: Mapping[str, Any]) -> Solution:
    """Put the zero rows back: they have cosine 0 with everything, and the price 0."""
    num_rows, num_cols = a.rows.stored.num_latents, b.rows.stored.num_latents
    partner = np.full(num_rows, -1)
    matched = optimum.partner >= 0
    partner[a.latents[matched]] = b.latents[optimum.partner[matched]]
    # Rows that are not zero go to columns that are; for the others any will do.
    alone = np.append(a.latents[~matched], _others(a.latents, num_rows))
    free = _others(partner[partner >= 0], num_cols)
    zero_first = np.argsort(np.isin(free, b.latents), kind="stable")
    partner[alone] = free[zero_first][: len(alone)]
    row_price, row_max = (a.spread(part) for part in (optimum.prices[0], optimum.row_max))
    col_price, col_max = (b.spread(part) for part in (optimum.prices[1], optimum.col_max))
    cosine = np.zeros(num_rows)
    cosine[a.latents] = optimum.cosine
    if len(b.latents) < num_cols:
        row_max = row_max.clip(min=0.0)
    if len(a.latents) < num_rows:
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


def _others(members: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    free = np.ones(size, dtype=bool)
    free[members] = False
    return np.flatnonzero(free)
