"""The graph's nodes: each latent that has a say, and one node for all that have S = 0 with all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..solver.graph import Graph, sorted_graph


@dataclass(frozen=True)
class Side:
    """One side's latents as nodes: the live ones, then one node for all the others."""

    live: NDArray[np.int64]
    """(n,) latents whose scale is not 0."""
    num_latents: int

    @property
    def members(self) -> NDArray[np.int64]:
        """How many members each node has: (n,), or (n + 1,) where the last node has any."""
        rest = self.num_latents - len(self.live)
        members = np.ones(len(self.live) + (rest > 0), dtype=np.int64)
        members[len(self.live) :] = rest
        return members

    def node_of(self) -> NDArray[np.int64]:
        """Return each latent's node, (L,)."""
        node = np.full(self.num_latents, len(self.live))
        node[self.live] = np.arange(len(self.live))
        return node

    def rest(self) -> NDArray[np.int64]:
        """Return the latents that are not live."""
        return np.delete(np.arange(self.num_latents), self.live)


def with_rest(a: Side, b: Side, graph: Graph) -> Graph:
    """Return a graph of pairs of live latents as one of nodes, whose last are joined to all at 0.

    Args:
        a: the rows.
        b: the columns.
        graph: pairs of latents, all live.
    """
    n, m = len(a.live), len(b.live)
    num_rows, num_cols = len(a.members), len(b.members)
    rows, cols = [a.node_of()[graph.rows]], [b.node_of()[graph.cols]]
    if num_rows > n:
        rows.append(np.full(num_cols, n))
        cols.append(np.arange(num_cols))
    if num_cols > m:
        rows.append(np.arange(n))
        cols.append(np.full(n, m))
    weights = np.zeros(sum(map(len, rows)))
    weights[: len(graph)] = graph.weights
    return sorted_graph((num_rows, num_cols), np.concatenate(rows), np.concatenate(cols), weights)
