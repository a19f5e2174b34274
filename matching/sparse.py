"""The exact assignment in O(L * m) memory: a sparse graph that grows until its prices hold for all.

The assignment is solved on few pairs, those of the candidate lists; its prices are then tested on
all others, pairs that exceed them join the graph, and so on until none does: column generation (for
assignment: Volgenant, Computers & Operations Research 23, 1996, pp. 917-924).
"""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..sae.progress import Progress
from .assignment import Assignment, centre_prices, sparse_assignment
from .candidates import Source, find_candidates
from .feasibility import complete
from .graph import Graph, graph_of
from .maxima import row_maxima
from .pricing import Bound, Prices, price
from .rows import StoredRows
from .selection import Selection
from .solution import Solution

_TOLERANCE = 1e-13  # rounding of a cosine and of its two prices
# A pass lists what is nearer to its prices than this. It falls from pass to pass, because the next
# needs to look only where prices fell by more than the difference.
_DELTAS = (0.03, 0.015, 0.0075, 0.003, 0.001, -_TOLERANCE)
_PAIRS_PER_LATENT = 32  # that a pass lists at most; those of the graph and the new ones


@dataclass(frozen=True)
class _Core:
    """The problem that is left without zero rows: n_A rows to assign to n_B columns."""

    a: Selection
    b: Selection
    optional: bool
    """Whether a row may also stay alone, at weight 0; if not, n_A <= n_B."""


@dataclass(frozen=True)
class _State:
    """All that the next solve depends on."""

    graph: Graph
    bounds: tuple[Bound, ...]
    prices: Prices | None
    passes: int


@dataclass(frozen=True)
class _Optimum:
    """An optimal assignment of a core, with its proof."""

    partner: NDArray[np.int64]  # (n_A,), -1: alone
    prices: Prices  # u >= 0 if rows are optional
    cosine: NDArray[np.float64]  # (n_A,), 0 where alone
    row_max: NDArray[np.float64]  # (n_A,)
    col_max: NDArray[np.float64]  # (n_B,)
    worst_violation: float


@dataclass
class _Account:
    """What the work took."""

    seconds: dict[str, float] = field(
        default_factory=lambda: {"candidates": 0.0, "solve": 0.0, "pricing": 0.0}
    )
    passes: int = 0
    scanned: float = 0.0  # by pricing, in passes over all pairs


def solve_sparse(
    a: StoredRows, b: StoredRows, progress: Progress, *, m: int, source: Source
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
    """
    account = _Account()
    rows, cols = a.live(), b.live()
    zeros = b.num_latents - len(cols)
    core = _Core(Selection(a, rows), Selection(b, cols), zeros > 0)
    optimum = _optimise(core, m, source, progress, account)
    if np.count_nonzero(optimum.partner < 0) > zeros:
        cols = torch.arange(b.num_latents)
        core = _Core(core.a, Selection(b, cols), False)
        optimum = _optimise(core, m, source, progress, account)
    return _whole(a, b, core, optimum, account)


def _optimise(
    core: _Core, m: int, source: Source, progress: Progress, account: _Account
) -> _Optimum:
    if not len(core.a) or not len(core.b):
        u, v = np.zeros(len(core.a)), np.zeros(len(core.b))
        return _Optimum(np.full(len(u), -1), (u, v), u, u, v, 0.0)
    state = _begin(core, m, source, progress, account)
    while True:
        partner, prices = _assign(core, state, progress, account)
        start = time.perf_counter()
        delta = _DELTAS[min(state.passes, len(_DELTAS) - 1)]
        limit = _PAIRS_PER_LATENT * sum(state.graph.shape)
        priced = price(core.a, core.b, prices, delta, state.bounds, limit, progress)
        new = priced.pairs.outside(state.graph)
        account.passes += 1
        account.scanned += priced.share
        account.seconds["pricing"] += time.perf_counter() - start
        u, v = prices
        improving = new.weighed(u, v) > _TOLERANCE
        if priced.complete and not improving.any():
            break
        known = (Bound(u - delta, v),) if priced.complete else ()
        state = _State(
            state.graph.joined(new), (*state.bounds, *known), prices, state.passes + 1
        )
    # Of the pairs outside the graph, those that were listed do not improve; the others are below
    # u + v - delta.
    worst = max(0.0, -delta, *(graph.weighed(u, v).max(initial=0.0) for graph in (state.graph, new)))
    chosen = np.flatnonzero(partner[state.graph.rows] == state.graph.cols)
    cosine = np.zeros(len(u))
    cosine[state.graph.rows[chosen]] = state.graph.weights[chosen]
    row_max = row_maxima(core.a, core.b, state.graph, state.bounds[0].row)
    col_max = row_maxima(core.b, core.a, state.graph.transposed(), state.bounds[1].col)
    return _Optimum(partner, prices, cosine, row_max, col_max, worst)


def _begin(
    core: _Core, m: int, source: Source, progress: Progress, account: _Account
) -> _State:
    start = time.perf_counter()
    progress("candidates", 0, len(core.a), "latents")
    found = find_candidates(core.a, core.b, m, source)
    graph = graph_of(core.a, core.b, found.rows, found.cols)
    bounds = (
        Bound(found.row_bound, np.zeros(len(core.b))),
        Bound(np.zeros(len(core.a)), found.col_bound),
    )
    if not core.optional:
        graph = complete(core.a, core.b, graph)
    progress("candidates", len(core.a), len(core.a), "latents")
    account.seconds["candidates"] += time.perf_counter() - start
    return _State(graph, bounds, None, 0)


def _assign(
    core: _Core, state: _State, progress: Progress, account: _Account
) -> tuple[NDArray[np.int64], Prices]:
    """Return each row's partner (n_A,), -1 for none, and prices that are tight on the graph."""
    start = time.perf_counter()
    graph, prices = state.graph, state.prices
    num_rows, num_cols = graph.shape
    progress("solve", 0, num_rows, "latents")
    if core.optional:
        # A column for each row alone, of weight 0. These make columns the larger side.
        alone = np.arange(num_rows, dtype=np.int32)
        edges = (
            np.append(graph.rows, alone),
            np.append(graph.cols, num_cols + alone),
            np.append(graph.weights, np.zeros(num_rows)),
        )
        if prices is not None:
            prices = prices[0], np.append(prices[1], np.zeros(num_rows))
        found = _centred(edges, (num_rows, num_cols + num_rows), prices)
        partner = np.where(found.cols < num_cols, found.cols, -1)
        # Where a row is alone its column's price may be positive and its own the opposite; 0 and 0
        # do as well, and leave no negative price.
        prices = np.maximum(found.row_price, 0.0), found.col_price[:num_cols]
    else:
        found = _centred((graph.rows, graph.cols, graph.weights), graph.shape, prices)
        partner, prices = found.cols, (found.row_price, found.col_price)
    progress("solve", num_rows, num_rows, "latents")
    account.seconds["solve"] += time.perf_counter() - start
    return partner, prices


def _centred(
    edges: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]],
    shape: tuple[int, int],
    prices: Prices | None,
) -> Assignment:
    return centre_prices(*edges, sparse_assignment(*edges, shape, prices=prices))


def _whole(
    a: StoredRows, b: StoredRows, core: _Core, optimum: _Optimum, account: _Account
) -> Solution:
    """Put the zero rows back: they have cosine 0 with everything, and the price 0."""
    rows, cols = core.a.index.cpu().numpy(), core.b.index.cpu().numpy()
    partner = np.full(a.num_latents, -1)
    matched = optimum.partner >= 0
    partner[rows[matched]] = cols[optimum.partner[matched]]
    # Rows that are not zero go to columns that are; for the others any will do.
    alone = np.concatenate([rows[~matched], _others(rows, a.num_latents)])
    free = np.concatenate([_others(cols, b.num_latents), _others(partner[partner >= 0], b.num_latents)])
    _, first = np.unique(free, return_index=True)
    partner[alone] = free[np.sort(first)][: len(alone)]
    row_price, cosine, row_max = np.zeros((3, a.num_latents))
    row_price[rows], cosine[rows], row_max[rows] = optimum.prices[0], optimum.cosine, optimum.row_max
    col_price, col_max = np.zeros((2, b.num_latents))
    col_price[cols], col_max[cols] = optimum.prices[1], optimum.col_max
    if len(cols) < b.num_latents:
        row_max.clip(min=0.0, out=row_max)
    if len(rows) < a.num_latents:
        col_max.clip(min=0.0, out=col_max)
    stats = {
        "seconds": account.seconds,
        "passes": account.passes,
        "scanned": account.scanned,
    }
    return Solution(
        partner, cosine, row_price, col_price, row_max, col_max, optimum.worst_violation, stats
    )


def _others(members: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    free = np.ones(size, dtype=bool)
    free[members] = False
    return np.flatnonzero(free)
