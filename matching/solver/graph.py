"""The sparse graph on which the assignment is solved: pairs and their cosines."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..assignment import extension as _native
from .selection import Indices, Selection, edge_cosines

Shape = tuple[int, int]


@dataclass(frozen=True)
class Graph:
    """Pairs (row, column), sorted, each once, and their weights."""

    shape: Shape
    rows: NDArray[np.int32]  # (E,)
    cols: NDArray[np.int32]  # (E,)
    weights: NDArray[np.float64]  # (E,)

    def __len__(self) -> int:
        """Return E."""
        return len(self.rows)

    def excess(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much each pair exceeds its prices, (E,): w_ij - u_i - v_j."""
        excess = self.weights - u[self.rows]
        excess -= v[self.cols]
        return excess

    def weights_of(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weights of some of its pairs, (n,)."""
        weights: NDArray[np.float64] = self.weights[self._places(rows, cols)[0]]
        return weights

    def outside(self, other: "Graph") -> "Graph":
        """Return the pairs that ``other`` does not have."""
        new = ~other._places(self.rows, self.cols)[1]
        return Graph(self.shape, self.rows[new], self.cols[new], self.weights[new])

    def joined(self, other: "Graph") -> "Graph":
        """Return the union with a graph that has none of these pairs."""
        size = len(self) + len(other)
        out = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size)
        _native.join_edges(
            self.rows, self.cols, self.weights, other.rows, other.cols, other.weights,
            self._places(other.rows, other.cols)[0], torch.get_num_threads(), *out,
        )  # fmt: skip
        return Graph(self.shape, *out)

    def transposed(self) -> "Graph":
        """Return the same pairs with rows for columns."""
        return sorted_graph(self.shape[::-1], self.cols, self.rows, self.weights)

    def maxima(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the largest weight of each row and of each column, minus infinity for none."""
        best = np.full(self.shape[0], -np.inf), np.full(self.shape[1], -np.inf)
        np.maximum.at(best[0], self.rows, self.weights)
        np.maximum.at(best[1], self.cols, self.weights)
        return best

    def _places(self, rows: Indices, cols: Indices) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return how many pairs come before each of some, and whether it is one of them, (n,)."""
        places, present = np.empty(len(rows), np.int64), np.empty(len(rows), np.bool_)
        wanted = rows.astype(np.int32, copy=False), cols.astype(np.int32, copy=False)
        _native.find_edges(self.rows, self.cols, *wanted, torch.get_num_threads(), places, present)
        return places, present


def graph_of(a: Selection, b: Selection, rows: Indices, cols: Indices) -> Graph:
    """Return the graph of some pairs, which may come in any order and repeatedly."""
    shape = len(a), len(b)
    keys = _keys(rows, cols, shape)
    keys.sort()
    keys = keys[np.diff(keys, prepend=-1) > 0]
    own_rows, own_cols = (part.astype(np.int32) for part in np.divmod(keys, shape[1]))
    return Graph(shape, own_rows, own_cols, edge_cosines(a, b, own_rows, own_cols))


def sorted_graph(shape: Shape, rows: Indices, cols: Indices, weights: NDArray[np.float64]) -> Graph:
    """Return the graph of pairs that come in any order, each once."""
    order = np.argsort(_keys(rows, cols, shape))
    own_rows, own_cols = rows[order].astype(np.int32), cols[order].astype(np.int32)
    return Graph(shape, own_rows, own_cols, weights[order])


def _keys(rows: Indices, cols: Indices, shape: Shape) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = rows.astype(np.int64)
    keys *= shape[1]
    keys += cols
    return keys
