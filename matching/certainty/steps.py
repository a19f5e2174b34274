"""What each latent could take instead of its partner at the least reduced cost u_i + v_j - S_ij."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.progress import Progress
from ..solver.candidates import find_candidates
from ..solver.resume import WorkFolder
from ..solver.selection import Selection, edge_cosines, scan_error

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Problem = tuple[Selection, Selection, tuple[Floats, Floats]]  # rows, columns, and prices u and v


@dataclass(frozen=True)
class Steps:
    """For each of n rows some columns, by ascending reduced cost."""

    cols: NDArray[np.int32]
    """(n, width), -1 where there are no more."""
    costs: Floats
    """(n, width), 0 or more; infinity where there are no more."""
    unlisted: Floats
    """(n,) what the reduced cost of no other column is below; infinity if there are none."""


def cheapest_steps(
    problem: Problem, rows: Indices, cols: Indices, width: int, progress: Progress
) -> tuple[Steps, Steps]:
    """Find for each matched row the best columns apart from its partner, and for each column rows.

    One scan ranks all pairs of both sides in float32, with the prices in two more coordinates of
    each vector. The reduced costs of what it lists are then computed in float64 from the stored
    values; its rounding counts in ``unlisted``.

    Args:
        problem: (n rows, m columns, their prices).
        rows: (M,) the matched rows.
        cols: (M,) their partners.
        width: how many of each to list, the partner included; all, where there are fewer.
        progress: told how many pairs are scanned.

    Returns:
        Of each of ``rows`` the columns, and of each of ``cols`` the rows.
    """
    a, b, (u, v) = problem
    if min(len(a), len(b)) < width:
        # Lists of a scan are no longer than the shorter side, which would leave too little here.
        costs = _all_costs(problem)
        listed = [_least(part, width) for part in (costs[rows], costs.T[cols])]
    else:
        listed = _scanned(problem, rows, cols, width, progress)
    return (
        _steps(problem, rows, cols, *listed[0]),
        _steps((b, a, (v, u)), cols, rows, *listed[1]),
    )


@dataclass(frozen=True)
class _PricedRows(Selection):
    """Rows of length 1 with two more coordinates, which bring the prices into the products."""

    more: Tensor
    """(n, 2) float32, on the rows' device."""

    def unit(self, rows: Indices, sign: int = 1) -> Tensor:
        """Return rows with both coordinates, (len(rows), D + 2) float32."""
        return torch.cat([super().unit(rows, sign), self.more[self.place(rows)]], dim=1)


def _scanned(
    problem: Problem, rows: Indices, cols: Indices, width: int, progress: Progress
) -> list[tuple[NDArray[np.int32], Floats]]:
    """Return the best columns of the rows (M, width) and what others cost at least, and likewise.

    With x = u_i - mean(u), y = v_j - mean(v) and any s, the product of [a_i, s, -x / s] and
    [b_j, -y / s, s] is S_ij - x - y. The smaller the new coordinates, the better the scan's bounds.
    """
    a, b, prices = problem
    means = [float(price.mean()) for price in prices]
    x, y = (price - mean for price, mean in zip(prices, means, strict=True))
    scale = max(float(np.sqrt(max(x.std(), y.std()))), 2.0**-10)
    sides = (
        _priced(a, np.stack([np.full(len(a), scale), -x / scale], axis=1)),
        _priced(b, np.stack([-y / scale, np.full(len(b), scale)], axis=1)),
    )
    found = find_candidates(*sides, width, "scan", WorkFolder(None, {}), progress)
    # Of the product's D + 2 terms, the sizes add up to 1 + |x| + |y| at most.
    error = scan_error(a.stored.d_in + 2) * (1 + np.abs(x).max() + np.abs(y).max())
    listed = []
    for lists, members in zip(found, (rows, cols), strict=True):
        last = lists.values[:, -1].numpy().astype(np.float64)[members]
        unlisted = sum(means) - last - error
        listed.append((lists.partners.numpy()[members], np.maximum(unlisted, 0.0)))
    return listed


def _priced(side: Selection, more: Floats) -> _PricedRows:
    return _PricedRows(side.stored, side.index, side.place(more.astype(np.float32)))


def _all_costs(problem: Problem) -> Floats:
    a, b, (u, v) = problem
    rows, cols = (part.ravel() for part in np.indices((len(a), len(b)), dtype=np.int32))
    cosine = edge_cosines(a, b, rows, cols).reshape(len(a), len(b))
    return np.add.outer(u, v) - cosine


def _least(costs: Floats, width: int) -> tuple[NDArray[np.int32], Floats]:
    """Return the columns of each row's least costs, and what others cost at least."""
    order = np.argsort(costs, axis=1, kind="stable").astype(np.int32)
    unlisted = np.full(len(costs), np.inf)
    if width < costs.shape[1]:
        unlisted = np.take_along_axis(costs, order[:, width, None], axis=1)[:, 0].clip(min=0.0)
    return order[:, :width], unlisted


def _steps(
    problem: Problem, rows: Indices, partner: Indices, cols: NDArray[np.int32], unlisted: Floats
) -> Steps:
    """Compute the costs of listed columns, (n, width), and put them in order."""
    a, b, (u, v) = problem
    owner = rows.astype(np.int32).repeat(cols.shape[1])
    cosine = edge_cosines(a, b, owner, cols.ravel()).reshape(cols.shape)
    costs = np.maximum(u[rows, None] + v[cols] - cosine, 0.0)
    own = cols == partner[:, None]
    costs, cols = np.where(own, np.inf, costs), np.where(own, -1, cols)
    order = np.argsort(costs, axis=1, kind="stable")
    return Steps(
        np.take_along_axis(cols, order, axis=1), np.take_along_axis(costs, order, axis=1), unlisted
    )
