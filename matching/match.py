"""`match`: the exact one-to-one matching of two dictionaries."""

import math

import numpy as np

from ..sae.progress import Progress, silent
from .candidates import Source
from .dense import MAX_LATENTS, dense_memory, dense_serves, solve_dense
from .matching import Matching
from .memory import PeakMemory, check_memory
from .rows import Matrix, StoredRows, check_widths
from .solution import Solution
from .sparse import solve_sparse


def match(
    a: Matrix,
    b: Matrix,
    *,
    m: int = 32,
    candidates: Source = "scan",
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Matching:
    """Match the latents of two dictionaries one to one, for the largest sum of cosines.

    Every latent of the smaller dictionary is matched. Cosines are those of the stored values,
    in float64; a zero row has cosine 0 with everything. The matching comes with dual prices that
    prove it optimal (section 2.2 of https://arxiv.org/abs/2501.16615 has the problem; the authors
    solve it without a proof).

    Args:
        a: (L_A, D) latents of the first dictionary, of any length: torch tensor or numpy array,
            memory-mapped or not, float16, bfloat16, float32 or float64.
        b: (L_B, D) latents of the second.
        memory_limit: bytes that may be taken beyond the inputs; None allows three quarters of the
            memory that is available.
        progress: told how far each phase has come.

    Returns:
        The matching, with ``stats`` ``{"method", "seconds", "peak_memory_bytes"}``.

    Raises:
        TypeError: ``a`` or ``b`` is no tensor or array of these dtypes.
        ValueError: they are empty, not 2-D, of different widths, hold NaN or an infinity, or the
            match would take more memory than is allowed.
    """
    return match_rows(
        StoredRows(a, "a"), StoredRows(b, "b"), m=m, candidates=candidates, memory_limit=memory_limit, progress=progress
    )


def check_feasible(a: StoredRows, b: StoredRows, memory_limit: int | None) -> None:
    """Raise ValueError if the two cannot be matched at all, or not in the memory allowed."""
    check_widths(a, b)
    what = f"matching {a.num_latents:,} x {b.num_latents:,} latents of width {a.d_in:,}"
    check_memory(what, dense_memory(a.num_latents, b.num_latents, a.d_in), memory_limit)
    if max(a.num_latents, b.num_latents) > MAX_LATENTS:
        raise ValueError(f"{what} is beyond the dense solver, which ends at {MAX_LATENTS:,}")


def match_rows(
    a: StoredRows, b: StoredRows, *, memory_limit: int | None, progress: Progress | None, m: int = 32, candidates: Source = "scan"
) -> Matching:
    """As `match`, for rows that are already validated."""
    check_feasible(a, b, memory_limit)
    swapped = (a.num_latents, len(a.live())) > (b.num_latents, len(b.live()))
    small, large = (b, a) if swapped else (a, b)
    with PeakMemory() as memory:
        if dense_serves(large.num_latents):
            method, solution = "dense", solve_dense(small, large, progress or silent)
        else:
            method, solution = "sparse", solve_sparse(small, large, progress or silent, m=m, source=candidates)
    stats = {"method": method, **solution.stats, "peak_memory_bytes": memory.peak_bytes}
    matching = _matching(solution, stats)
    return matching.swapped() if swapped else matching


def _matching(solution: Solution, stats: dict[str, object]) -> Matching:
    pairs = len(solution.cols)
    prices = math.fsum(solution.row_price) + math.fsum(solution.col_price)
    return Matching(
        rows=np.arange(pairs),
        cols=solution.cols,
        cosine=solution.cosine,
        row_price=solution.row_price,
        col_price=solution.col_price,
        row_max=solution.row_max,
        col_max=solution.col_max,
        objective=math.fsum(solution.cosine),
        upper_bound=prices + pairs * max(0.0, solution.worst_violation),
        stats=stats,
    )
