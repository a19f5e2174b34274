"""`match`: the exact one-to-one matching of two dictionaries."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.files import StrPath
from ..common.memory import MemoryNeed, PeakMemory, check_memory
from ..common.packages import need
from ..common.progress import Progress, silent
from .matching import Matching
from .rows import Matrix, StoredRows, check_widths
from .solver.alike import many_alike
from .solver.candidates import MOST_CANDIDATES, Source
from .solver.classes import equal_rows
from .solver.on_graph import graph_memory, solve_on_graph
from .solver.on_matrix import (
    check_extension,
    matrix_memory,
    may_take_matrix,
    must_take_matrix,
    solve_on_matrix,
)
from .solver.solution import Solution


def match(
    a: Matrix,
    b: Matrix,
    *,
    absolute: bool = False,
    m: int = 32,
    candidates: Source = "scan",
    work_dir: StrPath | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Matching:
    """Match the latents of two dictionaries one to one, for the largest sum of cosines.

    Every latent of the smaller dictionary is matched. Cosines are those of the stored values,
    in float64; a zero row has cosine 0 with everything. The matching comes with dual prices that
    prove it optimal (section 2.2 of https://arxiv.org/abs/2501.16615 has the problem; the authors
    solve it without a proof). The similarity matrix is never held: the assignment is solved on
    each latent's best partners, and prices tell which other pairs could improve it.

    Args:
        a: (L_A, D) latents of the first dictionary, of any length: torch tensor or numpy array,
            memory-mapped or not, float16, bfloat16, float32 or float64. Rows that do not lie one
            after another are copied.
        b: (L_B, D) latents of the second.
        absolute: match for the largest sum of absolute cosines, so that a latent may also be
            matched to one of the opposite direction (PW-MCC as the text of
            https://arxiv.org/abs/2505.20254 has it). All cosines of the result are then absolute.
        m: best partners of each latent to begin with, 1 to 1,024. The result does not depend on
            it, the time does.
        candidates: who finds them: "scan" (`mutual_topk`) or "faiss" (the extra ``faiss-cpu``, or
            ``faiss-gpu`` for tensors on a GPU).
        work_dir: a folder for what is done so far; the same call goes on from there after it was
            killed, to the same result. It may be deleted when the match is made.
        memory_limit: bytes that may be taken beyond the inputs; None allows three quarters of the
            memory that is available.
        progress: told how far each phase has come.

    Returns:
        The matching, with ``stats`` ``{"method", "seconds", "peak_memory_bytes"}`` and, where the
        method is "sparse", ``{"passes", "scanned"}``: how often prices were tested on all pairs,
        and how much of all pairs had to be looked at for that.

    Raises:
        TypeError: ``a`` or ``b`` is no tensor or array of these dtypes.
        ValueError: they are empty, not 2-D, of different widths, hold NaN or an infinity, the
            match would take more memory than is allowed, ``m`` or ``candidates`` is not as above,
            or ``work_dir`` is of another match.
        OSError: ``work_dir`` could not be written.
        ImportError: ``candidates`` is "faiss", which is not installed; or there are more than
            8,192 x 8,192 pairs, or FAISS is asked for, and the C++ extension is missing.
    """
    options = Options(m, candidates, None if work_dir is None else Path(work_dir), memory_limit)
    stored = StoredRows(a, "a", absolute), StoredRows(b, "b", absolute)
    return match_rows(*stored, options, progress)


@dataclass(frozen=True)
class Options:
    """How to match, as `match` documents it."""

    m: int = 32
    candidates: Source = "scan"
    work_dir: Path | None = None
    memory_limit: int | None = None


def check_feasible(a: StoredRows, b: StoredRows, options: Options) -> None:
    """Raise unless the two can be matched so, in the memory allowed.

    Raises:
        ImportError: FAISS or the C++ extension is needed and missing.
        ValueError: a width, an option or the memory is wrong.
    """
    check_widths(a, b)
    if not 1 <= options.m <= MOST_CANDIDATES:
        raise ValueError(f"m: expected 1 to {MOST_CANDIDATES:,}, got {options.m}")
    if options.candidates not in ("scan", "faiss"):
        raise ValueError(f"candidates: expected 'scan' or 'faiss', got {options.candidates!r}")
    if options.candidates == "faiss":
        need("candidates: faiss", "faiss-gpu-cu12" if a.matrix.is_cuda else "faiss-cpu")
    what = f"matching {a.num_latents:,} x {b.num_latents:,} latents of width {a.d_in:,}"
    check_extension(what, a.num_latents, b.num_latents, options.candidates == "scan")
    needed = _memory(a.num_latents, b.num_latents, a.d_in, options)
    check_memory(what, needed.host, options.memory_limit)


def match_memory(num_a: int, num_b: int, d_in: int) -> MemoryNeed:
    """Return what `match` takes beyond its inputs, at its defaults and in bytes.

    Args:
        num_a: L_A.
        num_b: L_B.
        d_in: D.

    Returns:
        ``host`` for inputs in the host's memory, and ``device`` for inputs on a GPU, there.
    """
    return _memory(num_a, num_b, d_in, Options())


def _memory(num_a: int, num_b: int, d_in: int, options: Options) -> MemoryNeed:
    """Return the most that is taken by the methods that may be chosen."""
    sparse = graph_memory(num_a, num_b, d_in, options.m)
    if options.candidates != "scan" or not may_take_matrix(num_a, num_b):
        return sparse
    dense = MemoryNeed(matrix_memory(num_a, num_b, d_in), 0)
    return dense if must_take_matrix(num_a, num_b) else MemoryNeed(*map(max, sparse, dense))


def match_rows(
    a: StoredRows, b: StoredRows, options: Options, progress: Progress | None
) -> Matching:
    """As `match`, for rows that are already validated."""
    check_feasible(a, b, options)
    # The smaller side first; of equal ones, that with more zero rows.
    swapped = (a.num_latents, len(a.live())) > (b.num_latents, len(b.live()))
    small, large = (b, a) if swapped else (a, b)
    with PeakMemory() as memory:
        method, solution = _solve(small, large, options, progress or silent)
    stats = {"method": method, **solution.stats, "peak_memory_bytes": memory.peak_bytes}
    matching = _matching(solution, a.absolute, stats)
    return matching.swapped() if swapped else matching


def _solve(
    a: StoredRows, b: StoredRows, options: Options, progress: Progress
) -> tuple[str, Solution]:
    """Return the faster method's name, and what it found."""
    sizes, exhaustive = (a.num_latents, b.num_latents), options.candidates == "scan"
    if exhaustive and must_take_matrix(*sizes):
        return "dense", solve_on_matrix(a, b, progress)
    live = [equal_rows(side, side.live()) for side in (a, b)]
    if exhaustive and may_take_matrix(*sizes) and any(many_alike(side.rows) for side in live):
        return "dense", solve_on_matrix(a, b, progress)
    return "sparse", solve_on_graph(
        live[0],
        live[1],
        progress,
        m=options.m,
        source=options.candidates,
        work_dir=options.work_dir,
    )


def _matching(solution: Solution, absolute: bool, stats: dict[str, object]) -> Matching:
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
        absolute=absolute,
        stats=stats,
    )
