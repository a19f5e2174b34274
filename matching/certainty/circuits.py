"""The graph whose cycles are the changes of a matching.

Its nodes are the matched pairs, numbered by their rows. An edge from pair p to pair q, of cost
u_i + v_l - S_il, says that the row i of p takes the column l of q. A cycle is a change that leaves
all rows matched, and costs what the objective loses.

If there are more columns than rows, those left over wait in one more node, the reserve. An edge
from a pair to the reserve says that its row takes a free column; one from the reserve to pair q, of
cost v_l >= 0, that the column l of q becomes free. It stands for rows of zeros at the price 0 that
would make the problem square: as these are all equal, no cheapest cycle passes them twice.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .steps import Steps


class Edges(NamedTuple):
    """The cheapest edges of each node in one direction, as C++ takes them (cycles.h)."""

    ends: NDArray[np.int32]
    """(nodes, width) their other ends, -1 where there are no more."""
    costs: NDArray[np.float64]
    """(nodes, width) ascending."""
    unlisted: NDArray[np.float64]
    """(nodes,) what no other edge of the node is below."""


class Circuits(NamedTuple):
    """The cheapest edges of the graph, by the node that they leave, and that they enter."""

    leaving: Edges
    entering: Edges


def circuits_of(
    cols: NDArray[np.int64], col_price: NDArray[np.float64], leaving: Steps, entering: Steps
) -> Circuits:
    """Return the graph of a matching of M rows, which are all matched, with N >= M columns.

    Args:
        cols: (M,) the column of each row.
        col_price: (N,) prices v; if M < N they are 0 or more, and 0 where unmatched.
        leaving: of each row the cheapest columns.
        entering: of each row's column the cheapest rows.
    """
    pairs = len(cols)
    node_of = np.full(len(col_price) + 1, pairs, dtype=np.int32)  # free columns: the reserve
    node_of[cols] = np.arange(pairs)
    node_of[-1] = -1
    out = Edges(node_of[leaving.cols], leaving.costs, leaving.unlisted)
    into = Edges(entering.cols, entering.costs, entering.unlisted)
    if pairs == len(col_price):
        return Circuits(out, into)
    return _with_reserve(out, into, col_price[cols])


def _with_reserve(out: Edges, into: Edges, price: NDArray[np.float64]) -> Circuits:
    """Add the reserve and its edges; the columns of the pairs have the prices (M,)."""
    pairs, reserve = len(price), np.int32(len(price))
    free = out.ends == reserve
    # Of rows that list no free column, the edge to the reserve is not known.
    to_reserve = np.where(free, out.costs, np.inf).min(axis=1)
    hidden = np.where(free.any(axis=1), np.inf, out.unlisted)
    freed = Edges(
        np.append(into.ends, np.full((pairs, 1), reserve), axis=1),
        np.append(into.costs, price[:, None], axis=1),
        into.unlisted,
    )
    return Circuits(
        _joined(out, _cheapest(price, out.ends.shape[1])),
        _joined(freed, _cheapest(to_reserve, freed.ends.shape[1], hidden.min())),
    )


def _cheapest(costs: NDArray[np.float64], width: int, hidden: float = np.inf) -> Edges:
    """Return the list of one node whose edges to all others have these costs, (M,)."""
    order = np.argsort(costs, kind="stable")
    listed = order[:width]
    ends = np.where(np.isfinite(costs[listed]), listed, -1).astype(np.int32)
    beyond = costs[order[width]] if len(order) > width else np.inf
    return Edges(ends[None], costs[listed][None], np.array([min(beyond, hidden)]))


def _joined(edges: Edges, last: Edges) -> Edges:
    """Return the lists, each sorted, with those of one more node."""
    missing = edges.ends.shape[1] - last.ends.shape[1]
    ends = np.append(edges.ends, np.pad(last.ends, ((0, 0), (0, missing)), constant_values=-1), 0)
    costs = np.append(
        edges.costs, np.pad(last.costs, ((0, 0), (0, missing)), constant_values=np.inf), 0
    )
    order = np.argsort(costs, axis=1, kind="stable")
    return Edges(
        np.take_along_axis(ends, order, axis=1),
        np.take_along_axis(costs, order, axis=1),
        np.append(edges.unlisted, last.unlisted),
    )
