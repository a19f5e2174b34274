"""Other ways than the exact matching to give latents partners: the nearest, and the greedy ones."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.progress import Progress, silent
from ..rows import StoredRows
from ..solver.candidates import MOST_CANDIDATES, find_candidates
from ..solver.graph import Graph, graph_of
from ..solver.resume import WorkFolder
from ..solver.selection import Selection, whole

_LISTED = 32  # partners of each latent to begin with

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Pairs of two dictionaries, among them the best of each latent."""

    graph: Graph
    row_bound: Floats
    """(L_A,) what the cosine of no other pair of the row exceeds; -infinity if there are none."""
    col_bound: Floats
    """(L_B,)"""

    def nearest(self) -> tuple[Indices, Indices]:
        """Return the latent of B nearest to each of A, (L_A,), and of A to each of B, (L_B,).

        Of equal ones the first; cosines that differ by less than the rounding of float32 count as
        equal where more than 32 are.
        """
        turned = self.graph.transposed()
        return _first_of_each(self.graph), _first_of_each(turned)


def neighbours(
    a: StoredRows, b: StoredRows, progress: Progress = silent, listed: int = _LISTED
) -> Neighbours:
    """Find the best pairs of each latent, with cosines in float64.

    Args:
        a: (L_A, D).
        b: (L_B, D).
        progress: told of the phase "candidates", in pairs.
        listed: how many pairs of each latent to find.
    """
    return _neighbours(whole(a), whole(b), listed, progress)


def greedy_partners(a: StoredRows, b: StoredRows, found: Neighbours | None = None) -> Indices:
    """Match one to one by taking the best pair of all that are free, again and again.

    The result is that of sorting all L_A L_B pairs, of equal ones the lower latents first. A pair
    of the lists is taken if nothing that is not listed could come before it; latents for which that
    is open wait, and are scanned again among themselves. Where even 1,024 partners a latent leave
    all of them open, cosines that differ by less than the rounding of float32 count as equal.

    Args:
        a: (L_A, D).
        b: (L_B, D).
        found: their `neighbours`, if they are known.

    Returns:
        (L_A,) latents of B; -1 where A has more latents and all of B's are taken.
    """
    partner = np.full(a.num_latents, -1, dtype=np.int64)
    rows, cols = np.arange(a.num_latents), np.arange(b.num_latents)
    found, listed = found or neighbours(a, b), _LISTED
    while True:
        ends = _take(found.graph, found.row_bound, found.col_bound)
        if not len(ends[0]) and listed >= min(MOST_CANDIDATES, len(rows), len(cols)):
            ends = _take(found.graph, found.row_bound - np.inf, found.col_bound - np.inf)
        listed = _LISTED if len(ends[0]) else 2 * listed
        partner[rows[ends[0]]] = cols[ends[1]]
        rows, cols = np.delete(rows, ends[0]), np.delete(cols, ends[1])
        if not len(rows) or not len(cols):
            return partner
        listed = min(listed, MOST_CANDIDATES)
        found = _neighbours(_part(a, rows), _part(b, cols), listed, silent)


def _part(stored: StoredRows, rows: Indices) -> Selection:
    return Selection(stored, torch.from_numpy(rows).to(stored.matrix.device))


def _neighbours(a: Selection, b: Selection, listed: int, progress: Progress) -> Neighbours:
    of_rows, of_cols = find_candidates(a, b, listed, "scan", WorkFolder(None, {}), progress)
    (rows, partners), (cols, others) = of_rows.edges(), of_cols.edges()
    graph = graph_of(a, b, np.append(rows, others), np.append(partners, cols))
    depth = a.stored.d_in
    if of_rows.complete or of_cols.complete:  # then all pairs are in the graph
        return Neighbours(graph, np.full(len(a), -np.inf), np.full(len(b), -np.inf))
    return Neighbours(graph, of_rows.bound(depth), of_cols.bound(depth))


def _take(graph: Graph, row_bound: Floats, col_bound: Floats) -> tuple[Indices, Indices]:
    """Return the greedy pairs that are certain, as rows and columns."""
    order = np.lexsort((graph.cols, graph.rows, -graph.weights))
    row_of, col_of, weights = graph.rows[order], graph.cols[order], graph.weights[order]
    certain = ((weights >= row_bound[row_of]) & (weights >= col_bound[col_of])).tolist()
    taken: tuple[list[int], list[int]] = ([], [])
    row_open, col_open = np.zeros(len(row_bound), bool), np.zeros(len(col_bound), bool)
    row_taken, col_taken = row_open.copy(), col_open.copy()
    for i, j, sure in zip(row_of.tolist(), col_of.tolist(), certain, strict=True):
        if row_taken[i] or col_taken[j]:
            continue
        if not sure or row_open[i] or col_open[j]:
            row_open[i] = col_open[j] = True
            continue
        row_taken[i] = col_taken[j] = True
        taken[0].append(i)
        taken[1].append(j)
    rows, cols = (np.array(side, dtype=np.int64) for side in taken)
    return rows, cols


def _first_of_each(graph: Graph) -> Indices:
    """Return the column of each row's largest weight; every row has a pair."""
    order = np.lexsort((graph.cols, -graph.weights, graph.rows))
    firsts = np.searchsorted(graph.rows, np.arange(graph.shape[0]))
    return graph.cols[order][firsts].astype(np.int64)
