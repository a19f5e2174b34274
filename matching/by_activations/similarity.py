"""The similarity of every pair of latents, from their activations on the same tokens.

With a_it the activation of latent i of A on token t (0 where it is not active), and b_jt of B:

- "cosine": S_ij = sum_t a_it b_jt / sqrt(sum_t a_it^2 sum_t b_jt^2)
- "pearson": the correlation of the two over all N tokens,
  S_ij = (sum_t a_it b_jt - N mu_i mu_j) / (N sigma_i sigma_j)

The sum over t has a term only for tokens on which both are active, so pairs that never are have
S = 0, or S = - mu_i mu_j / (sigma_i sigma_j). A latent that is never active has S = 0 with all.
So has, under "pearson", one that is constant. No matrix of S is held: rows are made one by one.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .. import extension as _native
from ..codes import Codes
from ..solver.graph import Graph, sorted_graph

Measure = Literal["cosine", "pearson"]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

CONSTANT = 1e-6
"""Under "pearson", a latent is constant if its variance is at most this times its mean square: less
could not be told from the rounding of the sums."""

LIST = 32
"""Pairs that are listed for each latent in one look at all pairs."""


class Scaled(NamedTuple):
    """What S needs of each latent: S_ij = (d_ij - shift_i shift_j) (scale_i scale_j)."""

    shift: Floats  # (L,)
    scale: Floats  # (L,), 0 for latents that have S = 0 with all


@dataclass(frozen=True)
class Best:
    """What a look at all pairs with both scales above 0 found."""

    pairs: Graph  # weights are S
    row_max: Floats  # (L_A,) the largest S with any latent; -inf where none was looked at
    col_max: Floats  # (L_B,)
    worst: float  # the largest S_ij - u_i - v_j; -inf if there are no pairs


class Similarity:
    """S of all pairs of latents of A and B.

    Args:
        a: A's activations.
        b: B's, on the same tokens.
        measure: "cosine" or "pearson".
    """

    def __init__(self, a: Codes, b: Codes, measure: Measure) -> None:
        self.shape = a.num_latents, b.num_latents
        self.rows, self.cols = scaled(a, measure), scaled(b, measure)
        self._arguments = (a.by_latent(), b.by_token, *self.rows, *self.cols)

    def best(self, row_price: Floats, col_price: Floats, floor: float) -> Best:
        """Look at all pairs, and list of each row and column those that exceed their prices most.

        Pairs with a latent that has S = 0 with all are left out.

        Args:
            row_price: u (L_A,).
            col_price: v (L_B,).
            floor: pairs are listed that have S_ij - u_i - v_j > floor.
        """
        lists = [
            (np.empty((size, LIST), dtype=np.int32), np.empty((size, LIST))) for size in self.shape
        ]
        row_max, col_max = np.empty(self.shape[0]), np.empty(self.shape[1])
        priced = np.where(self.cols.scale > 0, col_price, np.inf)
        worst = _native.best_pairs(
            *self._arguments, row_price, priced, floor, torch.get_num_threads(),
            *lists[0], *lists[1], row_max, col_max,
        )  # fmt: skip
        return Best(self._graph(*lists), row_max, col_max, worst)

    def at(self, rows: Indices, cols: Indices) -> Floats:
        """Return S of pairs, (n,).

        Args:
            rows: (n,) latents of A; pairs of one row should follow each other.
            cols: (n,) latents of B.
        """
        values = np.empty(len(rows))
        _native.pair_similarities(*self._arguments, *self._ends(rows, cols), values)
        return values

    def together(self, rows: Indices, cols: Indices) -> Indices:
        """Return on how many tokens both latents of pairs are active, (n,); as `at`."""
        counts = np.empty(len(rows), dtype=np.int64)
        _native.pair_counts(*self._arguments, *self._ends(rows, cols), counts)
        return counts

    def graph_at(self, rows: Indices, cols: Indices) -> Graph:
        """Return the graph of some pairs, which may come in any order and repeatedly."""
        keys = np.unique(rows * self.shape[1] + cols)
        own_rows, own_cols = np.divmod(keys, self.shape[1])
        weights = self.at(own_rows, own_cols)
        return Graph(self.shape, own_rows.astype(np.int32), own_cols.astype(np.int32), weights)

    def _ends(
        self, rows: Indices, cols: Indices
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
        return rows.astype(np.int32), cols.astype(np.int32), torch.get_num_threads()

    def _graph(self, of_rows: tuple[NDArray, Floats], of_cols: tuple[NDArray, Floats]) -> Graph:
        row, place = np.nonzero(of_rows[0] >= 0)
        by_row = sorted_graph(
            self.shape, row, of_rows[0][row, place], of_rows[1][row, place]
        )  # fmt: skip
        col, place = np.nonzero(of_cols[0] >= 0)
        by_col = sorted_graph(self.shape, of_cols[0][col, place], col, of_cols[1][col, place])
        return by_row.joined(by_col.outside(by_row))


def scaled(codes: Codes, measure: Measure) -> Scaled:
    """Return shifts and scales of one side's latents."""
    if measure == "cosine":
        spread, shift = codes.squares, np.zeros(codes.num_latents)
    else:
        shift = codes.total / np.sqrt(codes.tokens)
        spread = codes.squares - shift**2  # N sigma^2
        spread = np.where(spread > CONSTANT * codes.squares, spread, 0.0)
    scale = np.divide(1.0, np.sqrt(spread), out=np.zeros_like(spread), where=spread > 0)
    return Scaled(shift, scale)
