"""The loop of the sparse solver: a graph that grows until its prices hold for all pairs.

The assignment is solved on few pairs, those of the candidate lists; its prices are then tested on
all others, pairs that exceed them join the graph, and so on until none does: column generation (for
assignment: Volgenant, Computers & Operations Research 23, 1996, pp. 917-924). Before the first
test, rows whose prices are far too low get pairs of their own (underpriced.py).
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.progress import Progress
from ..assignment.members import Members, centred_assignment
from .candidates import Source, find_candidates
from .feasibility import complete
from .graph import Graph, graph_of
from .maxima import row_maxima
from .prices import CosineBound, Priced, Prices, price
from .resume import WorkFolder
from .selection import Selection
from .underpriced import underpriced_pairs

_TOLERANCE = 1e-13  # rounding of a cosine and of its two prices
# A pass lists what is nearer to its prices than this. It falls from pass to pass, because the next
# needs to look only where prices fell by more than the difference. The last leaves ties alone.
_DELTAS = (0.015, 0.0075, 0.003, 0.001, -_TOLERANCE)
_PAIRS_PER_LATENT = 32  # a pass that would list more of them takes a smaller delta
_STATE = "state"


@dataclass(frozen=True)
class Core:
    """A problem without zero rows: n_A rows, 1 or more, to assign to n_B columns, 1 or more."""

    a: Selection
    b: Selection
    members: Members
    """(n_A,), (n_B,): how many equal latents each row and each column stands for."""
    optional: bool
    """Whether a latent of ``a`` may also stay alone, at weight 0; if not, it has no more of them
    than ``b``."""


@dataclass(frozen=True)
class Optimum:
    """An optimal assignment of a core, and the prices that prove it."""

    partner: NDArray[np.int64]
    """(members of rows,) members of columns, both counted row by row; -1: alone."""
    prices: Prices  # u >= 0 if rows are optional; v >= 0 unless sizes are equal and they are not
    cosine: NDArray[np.float64]  # (members of rows,), 0 where alone
    row_max: NDArray[np.float64]  # (n_A,)
    col_max: NDArray[np.float64]  # (n_B,)
    worst_violation: float  # what no pair's S_ij - (u_i + v_j) exceeds, 0 or more


@dataclass
class Account:
    """What the work took."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("candidates", "solve", "pricing"), 0.0)
    )
    passes: int = 0
    scanned: float = 0.0
    """By pricing, in passes over all pairs."""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add what the block takes to a phase."""
        start = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - start


@dataclass(frozen=True)
class _State:
    """All that the next solve depends on."""

    graph: Graph
    bounds: tuple[CosineBound, ...]  # of rows' candidates, of columns', of each complete pass
    prices: Prices  # to start from
    delta: float  # of the pass before; infinity where there was none

    def deltas(self) -> list[float]:
        """Return the margins that the next pass may take, the largest first."""
        return [delta for delta in _DELTAS if delta < self.delta] or [_DELTAS[-1]]

    def priced(self, prices: Prices, found: Priced) -> "_State":
        """Return the state after a pass at these prices."""
        known = (CosineBound(prices[0] - found.delta, prices[1]),) if found.complete else ()
        return _State(self.graph.joined(found.pairs), self.bounds + known, prices, found.delta)


def find_optimum(
    core: Core,
    m: int,
    source: Source,
    work: WorkFolder,
    progress: Progress,
    account: Account,
) -> Optimum:
    """Assign the rows of a core for the largest sum of cosines, and prove it.

    Args:
        core: the problem.
        m: length of the candidate lists.
        source: who makes them.
        work: where the state after each phase is kept, and taken from.
        progress: told of the phases "candidates", "solve" and "pricing".
        account: gets what the work took.
    """
    state = _load(work, core)
    if state is None:
        with account.timed("candidates"):
            graph, bounds = _begin(core, m, source, work, progress)
        state = _eased(core, graph, bounds, progress, account)
        _save(work, state)
    while True:
        with account.timed("solve"):
            partner, prices = _assign(core, state.graph, state.prices, progress)
        with account.timed("pricing"):
            found = _price(core, state, prices, progress)
        account.passes += 1
        account.scanned += found.share
        worst = found.pairs.excess(*prices).max(initial=-found.delta)
        if found.complete and worst <= _TOLERANCE:
            break
        state = state.priced(prices, found)
        _save(work, state)
    # Pairs outside the graph that were not listed are below u + v - delta.
    inside = state.graph.excess(*prices).max()
    best = state.graph.maxima()
    return Optimum(
        partner,
        prices,
        _cosines(state.graph, core.members, partner),
        row_maxima(core.a, core.b, best[0], state.bounds[0].row),
        row_maxima(core.b, core.a, best[1], state.bounds[1].col),
        max(0.0, float(inside), float(worst)),
    )


def _begin(
    core: Core, m: int, source: Source, work: WorkFolder, progress: Progress
) -> tuple[Graph, tuple[CosineBound, CosineBound]]:
    """Return the candidates' graph, and what is known of the others: by rows, by columns."""
    of_rows, of_cols = find_candidates(core.a, core.b, m, source, work, progress)
    (rows, partners), (cols, others) = of_rows.edges(), of_cols.edges()
    graph = graph_of(core.a, core.b, np.append(rows, others), np.append(partners, cols))
    if not core.optional:
        graph = complete(core.a, core.b, core.members, graph)
    depth = core.a.stored.d_in
    bounds = (
        CosineBound(of_rows.bound(depth), np.zeros(len(core.b))),
        CosineBound(np.zeros(len(core.a)), of_cols.bound(depth)),
    )
    return graph, bounds


def _eased(
    core: Core,
    graph: Graph,
    bounds: tuple[CosineBound, CosineBound],
    progress: Progress,
    account: Account,
) -> _State:
    """Return the first state: with prices, and pairs for rows where they are far too low."""
    with account.timed("solve"):
        _, prices = _assign(core, graph, None, progress)
    with account.timed("pricing"):
        found = underpriced_pairs(core.a, core.b, prices, _DELTAS[0], bounds[0], progress)
    return _State(graph.joined(found.outside(graph)), bounds, prices, math.inf)


def _assign(
    core: Core, graph: Graph, start: Prices | None, progress: Progress
) -> tuple[NDArray[np.int64], Prices]:
    """Return the partner of each member of a row, -1 for none, and prices tight on the graph."""
    num_rows, num_cols = graph.shape
    edges, members = (graph.rows, graph.cols, graph.weights), core.members
    total = int(members[0].sum())
    progress("solve", 0, total, "latents")
    if core.optional:
        # A column for each row alone, of weight 0, which makes columns the larger side.
        alone = np.arange(num_rows, dtype=np.int32)
        edges = (
            np.append(graph.rows, alone),
            np.append(graph.cols, alone + num_cols),
            np.append(graph.weights, np.zeros(num_rows)),
        )
        members = members[0], np.append(members[1], members[0])
        start = start and (start[0], np.append(start[1], np.zeros(num_rows)))
    partner, row_price, col_price = centred_assignment(
        *edges, members, start, torch.get_num_threads()
    )
    progress("solve", total, total, "latents")
    if not core.optional:
        return partner, (row_price, col_price)
    partner[partner >= core.members[1].sum()] = -1
    # Where a row is alone, its price may be negative and its own column's the opposite: 0 and 0 do
    # as well.
    return partner, (np.maximum(row_price, 0.0), col_price[:num_cols])


def _price(core: Core, state: _State, prices: Prices, progress: Progress) -> Priced:
    """Price with what is known; only pairs that are new to the graph are returned."""
    limit = _PAIRS_PER_LATENT * sum(state.graph.shape)
    found = price(core.a, core.b, prices, state.deltas(), state.bounds, limit, progress)
    return replace(found, pairs=found.pairs.outside(state.graph))


def _cosines(graph: Graph, members: Members, partner: NDArray[np.int64]) -> NDArray[np.float64]:
    row_of, col_of = (np.repeat(np.arange(len(sizes)), sizes) for sizes in members)
    matched = partner >= 0
    cosine = np.zeros(len(partner))
    cosine[matched] = graph.weights_of(row_of[matched], col_of[partner[matched]])
    return cosine


def _save(work: WorkFolder, state: _State) -> None:
    graph = state.graph
    arrays = {
        "rows": graph.rows,
        "cols": graph.cols,
        "weights": graph.weights,
        "row_bounds": np.stack([bound.row for bound in state.bounds]),
        "col_bounds": np.stack([bound.col for bound in state.bounds]),
        "row_price": state.prices[0],
        "col_price": state.prices[1],
        "delta": np.array([state.delta]),
    }
    work.save(_STATE, {name: torch.from_numpy(array) for name, array in arrays.items()})


def _load(work: WorkFolder, core: Core) -> _State | None:
    tensors: dict[str, Tensor] | None = work.load(_STATE)
    if tensors is None:
        return None
    saved = {name: tensor.numpy() for name, tensor in tensors.items()}
    graph = Graph((len(core.a), len(core.b)), saved["rows"], saved["cols"], saved["weights"])
    bounds = zip(saved["row_bounds"], saved["col_bounds"], strict=True)
    prices = saved["row_price"], saved["col_price"]
    return _State(
        graph, tuple(CosineBound(*sides) for sides in bounds), prices, float(saved["delta"][0])
    )
