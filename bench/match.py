"""Times the whole exact match of two dictionaries, alone or beside dense solvers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..common.blocks import slices
from ..common.memory import PeakMemory, available_memory
from ..common.progress import Progress
from ..kernels.topk import mutual_topk
from ..matching import Matching, match, sparse_assignment
from ..matching.proof.full_pass import unit_rows
from ..matching.rows import StoredRows
from ..sae.formats.dictionary import load_dictionary
from .dense_solvers import DenseSolver, dense_solvers, solve_in_child
from .measurement import OURS, Measurement, Task, summary
from .planted import Planted, planted_pair
from .refuse import WrongResultError

CANDIDATES = 32  # partners of each latent in the graph of candidates
DENSE_SECONDS = 7200.0  # the time limit of a dense solver
SAME_OBJECTIVE = 1e-6  # for each pair; the whole numbers of OR-tools are no more precise
_BLOCK = 1024  # rows of the dense matrix that are computed at a time


@dataclass(frozen=True)
class Pair:
    """Two dictionaries to match."""

    a: Tensor
    """(L_A, D)."""
    b: Tensor
    """(L_B, D)."""
    source: str
    """Where they are from, such as "planted, seed 0"."""
    planted: Planted | None = None
    """The relations that are known, if they were planted."""


@contextmanager
def planted_files(num_latents: int, d_in: int, seed: int) -> Iterator[Pair]:
    """Make a planted pair in memory-mapped files of a temporary folder, which is then removed."""
    with TemporaryDirectory(prefix="twinsae-") as folder:
        made = planted_pair(num_latents, d_in, seed, Path(folder))
        yield Pair(made.a, made.b, f"planted, seed {seed}", made)


def trained_pairs(saes: Sequence[Path]) -> Iterator[Pair]:
    """Yield the decoders and then the encoders of two SAEs, memory-mapped as they are stored."""
    for side in ("decoder", "encoder"):
        a, b = (load_dictionary(path, side) for path in saes)
        yield Pair(a, b, f"trained, {side}")


def bench_match(pair: Pair, against: bool, progress: Progress) -> list[Measurement]:
    """Time one `match`; with ``against``, also dense solvers and the graph of candidates alone.

    The dense solvers get a ready-made float64 matrix of row_max - S, which suits them best; the
    time that it takes to make it does not count. Solvers that are not installed, or for which
    memory does not suffice, are left out. Everything runs once.

    Raises:
        WrongResultError: the objective of a solver differs from ours.
    """
    started = time.perf_counter()
    matching = match(pair.a, pair.b, progress=progress)
    seconds = time.perf_counter() - started
    task = match_task(pair)
    peak_bytes = int(matching.stats["peak_memory_bytes"])
    measured = [_once(task, OURS, seconds, peak_bytes, match_notes(pair.planted, matching))]
    if against:
        units = StoredRows(pair.a, "a"), StoredRows(pair.b, "b")
        measured.append(_graph_alone(task, pair, units, matching))
        solvers = dense_solvers() if len(pair.a) == len(pair.b) else []
        measured.extend(_dense(task, units, matching, solvers))
    return measured


Rows = tuple[StoredRows, StoredRows]


def match_task(pair: Pair) -> Task:
    """Return the task of matching a pair."""
    sizes = {"L": len(pair.a), "D": pair.a.shape[1]}
    return Task("match", sizes, pair.source, 2 * pair.a.numel() * len(pair.b))


def match_notes(planted: Planted | None, matching: Matching) -> list[str]:
    """Say whether a match is proved, how long its phases took, and what it found."""
    proof = "certified" if matching.certified else "NOT PROVED"
    took = matching.stats["seconds"].items()
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in took)
    notes = [f"{proof}, gap {matching.gap:.1e}", phases]
    return notes if planted is None else [*notes, planted_found(planted, matching)]


def _once(
    task: Task, way: str, seconds: float, peak_bytes: int, notes: Sequence[str]
) -> Measurement:
    return replace(summary(task, way, [seconds], peak_bytes), notes=notes)


def planted_found(planted: Planted, matching: Matching) -> str:
    """Say how many of the planted relations are pairs of the matching."""
    partner, cosine = planted.partner.cpu().numpy(), planted.cosine.cpu().numpy()
    found = np.zeros(len(partner), dtype=bool)
    found[matching.rows] = partner[matching.rows] == matching.cols
    related = partner >= 0
    sharers = np.bincount(partner[related], minlength=len(partner))[partner]
    split = related & (sharers > 1)
    kinds = {"shared": related & (cosine >= 0.7), "partial": related & (cosine < 0.7) & ~split}
    counts = [(name, found[of_kind].sum(), of_kind.sum()) for name, of_kind in kinds.items()]
    counts.append(("split", found[split].sum(), len(np.unique(partner[split]))))
    return "found " + ", ".join(f"{hits:,} of {all_:,} {name}" for name, hits, all_ in counts)


def _graph_alone(task: Task, pair: Pair, units: Rows, matching: Matching) -> Measurement:
    """Match the candidates of both sides, and price no other pairs."""
    m = min(CANDIDATES, len(pair.a), len(pair.b))
    way = f"top {CANDIDATES} of both sides, not priced"
    with PeakMemory() as memory:
        started = time.perf_counter()
        a, b = (functional.normalize(rows.float()) for rows in (pair.a, pair.b))
        best = mutual_topk(a, b, m)
        rows = torch.arange(len(a)).repeat_interleave(m), best.col_indices.flatten()
        cols = best.row_indices.flatten(), torch.arange(len(b)).repeat_interleave(m)
        values = best.row_values.flatten(), best.col_values.flatten()
        edge_rows, edge_cols, weights = (torch.cat(both).numpy() for both in (rows, cols, values))
        try:
            found = sparse_assignment(edge_rows, edge_cols, weights, (len(a), len(b)))
        except ValueError as error:
            seconds = time.perf_counter() - started
            return _once(task, way, seconds, memory.peak_bytes, [str(error)])
        seconds = time.perf_counter() - started
    wrong = len(found.rows) - _agreeing(found.rows, found.cols, matching)
    lost = matching.objective - _objective(units, found.rows, found.cols)
    notes = [f"{wrong:,} of {len(found.rows):,} pairs differ from ours", f"{lost:.3g} lost"]
    return _once(task, way, seconds, memory.peak_bytes, notes)


def _dense(
    task: Task, units: Rows, matching: Matching, solvers: Sequence[DenseSolver]
) -> Iterator[Measurement]:
    size = len(matching.rows)
    fitting = [s for s in solvers if _fits((8 + s.bytes_per_pair) * size**2)]
    if not fitting:
        return
    cost = _cost(units)
    for solver in fitting:
        way = f"{solver.name}, dense"
        solved = solve_in_child(solver, cost, DENSE_SECONDS)
        if solved is None:
            note = f"stopped after {DENSE_SECONDS:,.0f} s"
            yield _once(task, way, DENSE_SECONDS, cost.nbytes, [note])
            continue
        lost = matching.objective - _objective(units, np.arange(size), solved.columns)
        if abs(lost) > SAME_OBJECTIVE * size:
            raise WrongResultError(
                f"match: the objective of {solver.name} is {lost:.3g} below ours"
            )
        same = _agreeing(np.arange(size), solved.columns, matching)
        notes = [
            f"{same:,} of {size:,} pairs as ours",
            "the memory of the matrix counts, the time to make it does not",
        ]
        yield _once(task, way, solved.seconds, cost.nbytes + solved.peak_bytes, notes)


def _fits(needed: int) -> bool:
    return needed < 0.9 * available_memory()


def _cost(units: Rows) -> NDArray[np.float64]:
    a, b = units
    cost = np.empty((a.num_latents, b.num_latents))
    every_row, every_col = np.arange(a.num_latents), np.arange(b.num_latents)
    for rows in slices(a.num_latents, _BLOCK):
        left = unit_rows(a, every_row[rows])
        for cols in slices(b.num_latents, _BLOCK):
            cost[rows, cols] = left @ unit_rows(b, every_col[cols]).T
        cost[rows] = cost[rows].max(axis=1, keepdims=True) - cost[rows]
    return cost


def _objective(units: Rows, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> float:
    a, b = units
    return sum(
        float(torch.linalg.vecdot(unit_rows(a, rows[part]), unit_rows(b, cols[part])).sum())
        for part in slices(len(rows), _BLOCK)
    )


def _agreeing(rows: NDArray[np.int64], cols: NDArray[np.int64], matching: Matching) -> int:
    partner = np.full(len(matching.row_price), -1)
    partner[matching.rows] = matching.cols
    return int((partner[rows] == cols).sum())
