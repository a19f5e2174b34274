"""What the scans return."""

from typing import NamedTuple

from torch import Tensor


class ScanStats(NamedTuple):
    """How a scan got its result. A backend that scores everything in float32 reports two zeros."""

    survivors: Tensor
    """() int64: scores that the cheap scan could not rule out and that float32 re-scored."""
    rows_redone: Tensor
    """() int64: rows that the scan's bound did not prove and that float32 redid."""


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
