"""Rows whose first prices are far too low, and columns that would raise them.

If other rows pay more for all candidates of a row, its price comes from what is left to it in the
graph. That is so little that half of all its pairs may be above their prices. To list all of these
would take long. A few of the best pairs of each such row give it a fair price; then few are above.
"""

from collections.abc import Iterator

import numpy as np

from ...common.progress import Progress
from ...kernels.topk import linear_topk, pack
from .graph import Graph, graph_of
from .prices import CosineBound, Prices, spans
from .selection import Indices, Selection

_PAIRS_OF_ROW = 64
_FIRST_ROWS = 512  # looked at together; then twice as many, and so on
_ROW_BYTES, _COL_BYTES = 2**26, 2**29  # of float32 rows that are scanned together


def underpriced_pairs(
    a: Selection, b: Selection, prices: Prices, delta: float, bound: CosineBound, progress: Progress
) -> Graph:
    """Return pairs with S_ij > u_i + v_j - delta: of each row that has very many, the best.

    Args:
        a: n_A rows.
        b: n_B rows.
        prices: u (n_A,) and v (n_B,).
        delta: 0 or more.
        bound: what is known of pairs outside the graph. Rows to which it leaves the most room are
            looked at first, until so many together have few pairs.
        progress: told of the phase "pricing", in pairs that were looked at.
    """
    names = np.argsort(prices[0] - bound.row, kind="stable")
    found = [(names[:0], names[:0])]
    depth, looked_at = a.stored.d_in, 0
    floor, bias = (prices[0] - delta).astype(np.float32), -prices[1].astype(np.float32)
    for cols in spans(range(len(b)), _COL_BYTES // (4 * depth)):
        packed = pack(b.unit(np.arange(cols.start, cols.stop)))
        k = min(_PAIRS_OF_ROW, len(cols))
        for rows in _growing(len(a), max(1, _ROW_BYTES // (4 * depth))):
            own = names[rows.start : rows.stop]
            progress("pricing", looked_at, looked_at + len(own) * len(cols), "pairs")
            listed = 0
            for sign in a.signs:
                best = linear_topk(
                    a.unit(own, sign), packed, b.place(bias[cols.start : cols.stop]), k,
                    floor=a.place(floor[own]),
                )  # fmt: skip
                indices = best.indices.cpu().numpy()
                places, ranks = np.nonzero(indices >= 0)
                found.append((own[places], indices[places, ranks] + cols.start))
                listed += len(places)
            looked_at += len(own) * len(cols)
            if listed < k * len(own) / 4:
                break
        del packed  # before the next is made
    progress("pricing", looked_at, looked_at, "pairs")
    return _above(a, b, prices, delta, *(np.concatenate(side) for side in zip(*found, strict=True)))


def _above(
    a: Selection, b: Selection, prices: Prices, delta: float, rows: Indices, cols: Indices
) -> Graph:
    graph = graph_of(a, b, rows, cols)
    above = graph.excess(*prices) > -delta
    return Graph(graph.shape, graph.rows[above], graph.cols[above], graph.weights[above])


def _growing(size: int, most: int) -> Iterator[range]:
    """Cut [0, size) in spans, each twice as long as the one before, of ``most`` at most."""
    start, length = 0, min(_FIRST_ROWS, most)
    while start < size:
        yield range(start, min(start + length, size))
        start, length = start + length, min(2 * length, most)
