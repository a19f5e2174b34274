"""Makes sure that the graph has a full assignment, which the lists of the best may lack."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..kernels.topk import mutual_topk
from .assignment import maximum_matching
from .graph import Graph, graph_of
from .selection import Selection

_PARTNERS = 16


def complete(a: Selection, b: Selection, graph: Graph) -> Graph:
    """Return the graph with enough pairs for an assignment of its whole smaller side.

    Duplicates and clusters of unequal size leave members over, whatever the length of the lists.
    These are joined to each other, with true cosines: each to the best among what is left, and in
    pairs, which makes a full assignment.
    """
    rows, cols = maximum_matching(graph.rows, graph.cols, graph.shape)
    left = _others(rows, graph.shape[0]), _others(cols, graph.shape[1])
    missing = min(graph.shape) - len(rows)
    if not missing:
        return graph
    best = mutual_topk(a.unit(left[0]), b.unit(left[1]), min(_PARTNERS, *map(len, left)))
    pairs = np.arange(missing)
    rows, cols = (
        np.concatenate([pairs, _members(best.row_indices), best.col_indices.cpu().ravel()]),
        np.concatenate([pairs, best.row_indices.cpu().ravel(), _members(best.col_indices)]),
    )
    return graph.joined(graph_of(a, b, left[0][rows], left[1][cols]).outside(graph))


def _members(partners: Tensor) -> NDArray[np.int64]:
    """Return whose each entry of lists (n, m) is."""
    return np.repeat(np.arange(len(partners)), partners.shape[1])


def _others(members: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    free = np.ones(size, dtype=bool)
    free[members] = False
    return np.flatnonzero(free)
