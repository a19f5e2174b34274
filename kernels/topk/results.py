"""The results of the scans: named tuples of tensors."""

from typing import NamedTuple

from torch import Tensor


class ScanStats(NamedTuple):
    """How a scan got its result; two zeros where a backend scored all pairs in float32."""

    survivors: Tensor
    """() int64: how many pairs the cheap scan did not rule out, so that float32 scored them."""
    rows_redone: Tensor
    """() int64: how many rows the bound did not prove, so that float32 scored all of them."""


class TopK(NamedTuple):
    """The largest scores of each row, in descending order."""

    values: Tensor
    """(N, k), or (N, S, k) for S > 1 groups, in x's dtype; 0 in missing places."""
    indices: Tensor
    """The same shape, int64, local to each group; -1 in missing places."""
    stats: ScanStats


class MutualTopK(NamedTuple):
    """The m best partners of both sides, each in descending order."""

    row_values: Tensor
    """(L_A, m): scores of each row's best columns, in a's dtype."""
    row_indices: Tensor
    """(L_A, m) int64: rows of b."""
    col_values: Tensor
    """(L_B, m): scores of each column's best rows."""
    col_indices: Tensor
    """(L_B, m) int64: rows of a."""
    stats: ScanStats


class Pairs(NamedTuple):
    """A list of pairs, sorted by (row, col)."""

    rows: Tensor
    """(P,) int64: rows of a."""
    cols: Tensor
    """(P,) int64: rows of b."""
    overflow: Tensor
    """() int64: how many pairs there are beyond `capacity`; when not 0, the lists are empty."""
    stats: ScanStats


class CSR(NamedTuple):
    """A sparse matrix (N, L) in compressed rows: the scores of a scan that are above thresholds."""

    row_offsets: Tensor
    """(N + 1,) int64: row n has the places row_offsets[n] to row_offsets[n + 1] - 1."""
    indices: Tensor
    """(P,) int64: the latent of each place; ascending within a row."""
    values: Tensor
    """(P,): the score of each place, in x's dtype."""
    stats: ScanStats
