"""The best assignment under a similarity of which only one row is held at a time.

As for the weights (solver/loop.py), the assignment is solved on few pairs, its prices are tested on
all, and pairs that exceed them join the graph, until none does. Here each test looks at all pairs:
that is one sparse product, A^T B, of which each row is made, looked at and forgotten.

The whole smaller side has to be matched, and rows may be left to columns that they are never active
with, where S_ij = -x_i y_j; x and y are 0 for "cosine". Such a matrix is of Monge's kind once rows
are sorted by falling x and columns by rising y: the diagonal is best, and prices that hold for it
and for both neighbours of each place hold for all pairs (Burkard, Klinz and Rudolf, Discrete
Applied Mathematics 70, 1996, pp. 95-161). So the graph gets these pairs: of all latents at first,
which makes sure that it has a full assignment, and then of those that are left over.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from ...common.progress import Progress
from ..assignment.members import centred_assignment
from ..solver.graph import Graph
from .nodes import Side, with_rest
from .similarity import Floats, Indices, Similarity

_TOLERANCE = 1e-12  # rounding of S and of its two prices
# A look at all pairs lists those that are nearer to their prices than this; then less.
_DELTAS = (0.015, 0.0075, 0.003, 0.001)

Prices = tuple[Floats, Floats]


@dataclass(frozen=True)
class Optimum:
    """An optimal assignment of every row, and the prices that prove it."""

    cols: Indices  # (L_A,)
    values: Floats  # (L_A,) S of each pair
    prices: Prices  # u (L_A,) and v (L_B,)
    row_max: Floats  # (L_A,)
    col_max: Floats  # (L_B,)
    worst_violation: float  # the largest S_ij - (u_i + v_j) of all pairs, or 0 if that is negative


@dataclass
class Account:
    """What the work took."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("candidates", "solve", "pricing"), 0.0)
    )
    passes: int = 0
    """How often prices were tested on all pairs."""

    @contextmanager
    def timed(self, phase: str, progress: Progress, total: int) -> Iterator[None]:
        """Add what the block takes to a phase, and tell of its start and end."""
        start = time.perf_counter()
        progress(phase, 0, total, "latents")
        yield
        progress(phase, total, total, "latents")
        self.seconds[phase] += time.perf_counter() - start


@dataclass(frozen=True)
class _Solved:
    """An assignment that is optimal on a graph."""

    pairs: tuple[Indices, Indices]  # of live latents
    cols: Indices  # (L_A,) all rows' partners
    node_prices: Prices
    prices: Prices  # of latents


def find_optimum(similarity: Similarity, progress: Progress, account: Account) -> Optimum:
    """Assign every row to a column of its own, for the largest sum of similarities, and prove it.

    Args:
        similarity: of L_A rows and L_B columns, L_A <= L_B.
        progress: told of the phases "candidates", "solve" and "pricing", in rows.
        account: gets what the work took.
    """
    size = similarity.shape[0]
    sides = _sides(similarity)
    with account.timed("candidates", progress, size):
        free = np.zeros(size), np.zeros(similarity.shape[1])
        first = similarity.best(*free, floor=0.0)
        diagonal = _diagonal(similarity, sides[0].live, sides[1].live)
        graph = _joined(first.pairs, diagonal)
    start: Prices | None = None
    deltas = iter(_DELTAS)
    while True:
        with account.timed("solve", progress, size):
            solved = _solve(sides, graph, start)
        with account.timed("pricing", progress, size):
            found = similarity.best(*solved.prices, floor=-next(deltas, -_TOLERANCE))
            worst = max(found.worst, _worst_of_rest(sides, solved.prices))
        account.passes += 1
        new = found.pairs.outside(graph)
        if worst <= _TOLERANCE or not len(new):
            break
        graph = _joined(graph.joined(new), _left_over(similarity, sides, graph, solved))
        start = solved.node_prices
    values = np.zeros(size)  # of pairs with a latent that has S = 0 with all
    values[solved.pairs[0]] = graph.weights_of(*solved.pairs)
    maxima = _with_zeros(sides, first.row_max, first.col_max)
    return Optimum(solved.cols, values, solved.prices, *maxima, max(0.0, worst))


def _sides(similarity: Similarity) -> tuple[Side, Side]:
    a, b = (
        Side(np.flatnonzero(side.scale > 0), len(side.scale))
        for side in (similarity.rows, similarity.cols)
    )
    return a, b


def _solve(sides: tuple[Side, Side], graph: Graph, start: Prices | None) -> _Solved:
    a, b = sides
    nodes = with_rest(a, b, graph)
    edges, members = (nodes.rows, nodes.cols, nodes.weights), (a.members, b.members)
    partner, u, v = centred_assignment(*edges, members, start, torch.get_num_threads())
    own = partner[: len(a.live)]  # the live rows', who have one member each, as live columns have
    matched = own < len(b.live)
    pairs = a.live[matched], b.live[own[matched]]
    cols = _whole(a, b, *pairs)
    prices = u[a.node_of()], v[b.node_of()]
    if a.num_latents < b.num_latents:
        prices[1][np.delete(np.arange(b.num_latents), cols)] = 0  # exactly
    return _Solved(pairs, cols, (u, v), prices)


def _whole(a: Side, b: Side, rows: Indices, cols: Indices) -> Indices:
    """Return the partner of every row, (L_A,), from the pairs of live latents.

    Live rows that are left over get columns that have S = 0 with all, as long as there are any.
    """
    partner = np.full(a.num_latents, -1)
    partner[rows] = cols
    alone = np.append(np.setdiff1d(a.live, rows), a.rest())
    free = np.append(b.rest(), np.setdiff1d(b.live, cols))
    partner[alone] = free[: len(alone)]
    return partner


def _worst_of_rest(sides: tuple[Side, Side], prices: Prices) -> float:
    """Return the largest excess of pairs with a latent that has S = 0 with all."""
    (a, b), (u, v) = sides, prices
    excess = [-own[side.rest()] - other.min() for side, own, other in ((a, u, v), (b, v, u))]
    return float(np.concatenate(excess).max(initial=-np.inf))


def _left_over(
    similarity: Similarity, sides: tuple[Side, Side], graph: Graph, solved: _Solved
) -> Graph:
    """Return pairs of the live latents that are in no pair with S > 0."""
    rows, cols = solved.pairs
    positive = graph.weights_of(rows, cols) > 0
    return _diagonal(similarity, rows[~positive], np.setdiff1d(sides[1].live, cols[positive]))


def _diagonal(similarity: Similarity, rows: Indices, cols: Indices) -> Graph:
    """Return the pairs on and beside the diagonal, rows by falling x and columns by rising y."""
    x, y = (side.shift * side.scale for side in (similarity.rows, similarity.cols))
    rows, cols = rows[np.argsort(-x[rows], kind="stable")], cols[np.argsort(y[cols], kind="stable")]
    places: list[tuple[Indices, Indices]] = []
    for row_step, col_step in ((0, 0), (0, 1), (1, 0)):
        length = max(0, min(len(rows) - row_step, len(cols) - col_step))
        places.append((rows[row_step:][:length], cols[col_step:][:length]))
    return similarity.graph_at(*(np.concatenate(side) for side in zip(*places, strict=True)))


def _joined(graph: Graph, other: Graph) -> Graph:
    return graph.joined(other.outside(graph))


def _with_zeros(
    sides: tuple[Side, Side], row_max: Floats, col_max: Floats
) -> tuple[Floats, Floats]:
    """Return the largest S of each latent, with the pairs of rows that were not looked at."""
    rest = sides[0].rest()
    row_max[rest] = 0
    return row_max, np.maximum(col_max, 0) if len(rest) else col_max
