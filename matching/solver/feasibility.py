"""Makes sure that the graph has a full assignment, which the lists of the best may lack."""

import numpy as np
from numpy.typing import NDArray

from ...kernels.topk import mutual_topk
from ..assignment.members import Members, largest_matching
from .graph import Graph, graph_of
from .selection import Selection

_PARTNERS = 16


def complete(a: Selection, b: Selection, members: Members, graph: Graph) -> Graph:
    """Return the graph with enough pairs for an assignment of all members of ``a``.

    Clusters of unequal size leave members over, whatever the length of the lists. These are joined
    to each other, with true cosines: each to the best among what is left, and in pairs, which makes
    a full assignment.

    Args:
        a: n_A rows.
        b: n_B rows.
        members: how many latents each row stands for, (n_A,) and (n_B,); those of ``a`` are not
            more in all.
        graph: some of their pairs.
    """
    partner = largest_matching(graph.rows, graph.cols, members)
    row_of, col_of = (np.repeat(np.arange(len(sizes)), sizes) for sizes in members)
    alone = row_of[partner < 0]
    if not len(alone):
        return graph
    free = np.delete(col_of, partner[partner >= 0])
    left = np.unique(alone), np.unique(free)
    best = mutual_topk(a.unit(left[0]), b.unit(left[1]), min(_PARTNERS, *map(len, left)))
    of_rows, of_cols = best.row_indices.cpu().numpy(), best.col_indices.cpu().numpy()
    rows = np.concatenate([alone, _each(left[0], of_rows), left[0][of_cols.ravel()]])
    cols = np.concatenate([free[: len(alone)], left[1][of_rows.ravel()], _each(left[1], of_cols)])
    return graph.joined(graph_of(a, b, rows, cols).outside(graph))


def _each(members: NDArray[np.int64], lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return whose each entry of the lists (n, m) is."""
    return np.repeat(members, lists.shape[1])
