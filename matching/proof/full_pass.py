"""One look at every pair of two dictionaries: what `verify` knows about all of them.

Each pair is multiplied in float32, with a bound on the rounding; whatever the bound cannot rule
out is multiplied again in float64. Nothing here is shared with the solver or with its scans.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.progress import Progress
from ..rows import StoredRows, block_rows

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_TILE = 1024  # rows of either side at a time: their cosines, 4 MiB, stay in the cores' caches
_STRIPE_ELEMENTS = 2**25  # of A's float32 unit rows held at a time, 128 MiB; B's are made anew
_CROWD = 64  # a product of whole rows in float64 costs as much as one in so many pairs alone


@dataclass(frozen=True)
class Claims:
    """What a matching claims of every pair: its prices, and the best cosines that it recorded."""

    row_price: Floats  # (L_A,)
    col_price: Floats  # (L_B,)
    row_floor: Floats  # (L_A,) a row's best cosine need not be found where it is not above this
    col_floor: Floats  # (L_B,)
    absolute: bool = False  # whether cosines count by their absolute values


@dataclass(frozen=True)
class _Limits:
    """Float32 numbers of one tile above which a float32 cosine needs a closer look."""

    row: Tensor  # (rows,)
    col: Tensor  # (cols,)
    row_price: Tensor  # (rows,) for cosines less col_price
    col_price: Tensor  # (cols,)

    def exceeded(
        self, units: Tensor, columns: Tensor, rows: slice, absolute: bool
    ) -> tuple[Indices, Indices]:
        """Return the places of the pairs above a limit, rows counted from ``rows.start``.

        Args:
            units: (n, D) float32, unit rows of A.
            columns: (cols, D) float32, those of B.
            rows: which of the tile's rows ``units`` are.
            absolute: whether cosines count by their absolute values, which are as near as they are.
        """
        cosine = torch.mm(units, columns.T)  # (n, cols)
        if absolute:
            cosine.abs_()
        row, row_price = self.row[rows], self.row_price[rows]
        in_row = (cosine.amax(1) > row).nonzero().squeeze(1)
        in_col = (cosine.amax(0) > self.col).nonzero().squeeze(1)
        by_row = (cosine[in_row] > row[in_row, None]).nonzero()
        by_col = (cosine[:, in_col] > self.col[in_col]).nonzero()
        cosine -= self.col_price
        in_price = (cosine.amax(1) > row_price).nonzero().squeeze(1)
        by_price = (cosine[in_price] > row_price[in_price, None]).nonzero()
        hit_rows = torch.cat([in_row[by_row[:, 0]], by_col[:, 0], in_price[by_price[:, 0]]])
        hit_cols = torch.cat([by_row[:, 1], in_col[by_col[:, 1]], by_price[:, 1]])
        return hit_rows.numpy(), hit_cols.numpy()


class FullPass:
    """The worst violation of prices and the best cosines, raised by each pair looked at.

    After `run`, ``worst_violation`` is max S_ij - (u_i + v_j) over all pairs, and ``row_max`` and
    ``col_max`` are the best cosines wherever these are above their floors; elsewhere they are
    lower claims.
    """

    def __init__(self, a: StoredRows, b: StoredRows, claims: Claims) -> None:
        self._a, self._b, self._claims = a, b, claims
        self.worst_violation = -math.inf
        self.row_max = np.full(a.num_latents, -math.inf)  # (L_A,)
        self.col_max = np.full(b.num_latents, -math.inf)  # (L_B,)

    def look_at(self, rows: Indices, cols: Indices) -> Floats:
        """Look at single pairs, in float64, and return their cosines, (n,)."""
        cosine = np.empty(len(rows))
        for part in _pieces(np.arange(len(rows)), block_rows(self._a.d_in)):
            units = unit_rows(self._a, rows[part]), unit_rows(self._b, cols[part])
            cosine[part] = self._counted(torch.linalg.vecdot(*units))
        np.maximum.at(self.row_max, rows, cosine)
        np.maximum.at(self.col_max, cols, cosine)
        self._raise_worst(cosine - (self._claims.row_price[rows] + self._claims.col_price[cols]))
        return cosine

    def run(self, progress: Progress) -> None:
        """Look at all pairs, in float64 at those alone that could raise anything."""
        rows, cols = live_rows(self._a), live_rows(self._b)
        self._look_at_zeros(rows, cols)
        pairs, done = len(rows) * len(cols), 0
        progress("verify", done, pairs, "pairs")
        with _true_float32(self._a.d_in):
            for stripe in _pieces(rows, max(_TILE, _STRIPE_ELEMENTS // self._a.d_in)):
                units = torch.empty(len(stripe), self._a.d_in)
                for part, place in zip(_pieces(stripe), torch.split(units, _TILE), strict=True):
                    place.copy_(unit_rows(self._a, part))
                for tile in _pieces(cols):
                    self._look_at_tile(stripe, units, tile)
                    done += len(stripe) * len(tile)
                    progress("verify", done, pairs, "pairs")

    def _look_at_zeros(self, live_a: Indices, live_b: Indices) -> None:
        """Look at the pairs of zero rows, all of whose cosines are 0 exactly."""
        u, v = self._claims.row_price, self._claims.col_price
        sides = (
            (live_a, u, v, self.row_max, self.col_max),
            (live_b, v, u, self.col_max, self.row_max),
        )
        for live, price, other_price, best, other_best in sides:
            zero = np.ones(len(price), dtype=bool)
            zero[live] = False
            if zero.any():
                best[zero] = 0
                np.maximum(other_best, 0, out=other_best)
                self._raise_worst(-(price[zero] + other_price.min()))

    def _look_at_tile(self, rows: Indices, units: Tensor, cols: Indices) -> None:
        columns = unit_rows(self._b, cols).float()
        limits = self._limits(rows, cols)
        waiting: list[tuple[Indices, Indices]] = []
        for start in range(0, len(rows), _TILE):
            part = slice(start, start + _TILE)
            hit_rows, hit_cols = limits.exceeded(units[part], columns, part, self._claims.absolute)
            hits = rows[part][hit_rows], cols[hit_cols]
            if len(hit_rows) * _CROWD <= len(rows[part]) * len(cols):
                waiting.append(hits)
            else:
                # Where nearly all pairs are above the limits, these are far from what is there.
                self._look_closer(*hits)
                limits = self._limits(rows, cols)
        if waiting:
            self._look_closer(*(np.concatenate(side) for side in zip(*waiting, strict=True)))

    def _limits(self, rows: Indices, cols: Indices) -> _Limits:
        claims = self._claims
        rounding = product_rounding(self._a.d_in)
        prices = claims.col_price[cols]
        # Rounding v_j and S_ij - v_j to float32: 2^-24 |v_j| and 2^-24 (1.1 + |v_j|) at most.
        pricing = rounding + 2.0**-23 * (1 + float(np.abs(prices).max()))
        row = np.maximum(self.row_max[rows], claims.row_floor[rows])
        col = np.maximum(self.col_max[cols], claims.col_floor[cols])
        return _Limits(
            row=_below(row - rounding),
            col=_below(col - rounding),
            row_price=_below(claims.row_price[rows] + self.worst_violation - pricing),
            col_price=torch.from_numpy(prices).float(),
        )

    def _look_closer(self, rows: Indices, cols: Indices) -> None:
        """Look at pairs in float64: at these alone, or at all of their rows' and columns'."""
        all_rows, all_cols = np.unique(rows), np.unique(cols)
        if len(all_rows) * len(all_cols) > _CROWD * len(rows):
            self.look_at(rows, cols)
            return
        u, v = self._claims.row_price, self._claims.col_price[all_cols]
        columns = unit_rows(self._b, all_cols).T
        for part in _pieces(all_rows):
            cosine = self._counted(unit_rows(self._a, part) @ columns)
            self.row_max[part] = np.maximum(self.row_max[part], cosine.max(axis=1))
            self.col_max[all_cols] = np.maximum(self.col_max[all_cols], cosine.max(axis=0))
            self._raise_worst(cosine - np.add.outer(u[part], v))

    def _counted(self, cosine: Tensor) -> Floats:
        return (cosine.abs_() if self._claims.absolute else cosine).numpy()

    def _raise_worst(self, violations: Floats) -> None:
        self.worst_violation = max(self.worst_violation, float(violations.max()))


def product_rounding(d_in: int) -> float:
    """Bound how far a float32 product of float32 unit rows is from the cosine.

    Each of the D terms a_k b_k is rounded when a_k becomes float32, when b_k does, when they are
    multiplied, and in at most D - 1 additions, whatever their order, fused or not. With one more
    for what happened in float64 before, and u = 2^-24, the error is at most gamma_{D+3} times the
    sum of |a_k b_k|, gamma_n = n u / (1 - n u), and that sum at most 1 (Higham, "Accuracy and
    Stability of Numerical Algorithms", SIAM 2002, section 3.1). Numbers that underflow, or are
    flushed to zero, change a term by less than 2^-124.
    """
    relative = (d_in + 3) * 2.0**-24
    return relative / (1 - relative) + d_in * 2.0**-124


def unit_rows(rows: StoredRows, which: Indices) -> Tensor:
    """Return some rows divided by their Euclidean norms, (n, D) float64; zero rows stay zero."""
    stored = torch.from_numpy(rows.read(which))
    # Scaled by the largest entry first, so that no square overflows or underflows.
    scaled = stored / _one_for_zero(torch.linalg.vector_norm(stored, math.inf, 1, keepdim=True))
    return scaled.div_(_one_for_zero(torch.linalg.vector_norm(scaled, 2, 1, keepdim=True)))


def live_rows(rows: StoredRows) -> Indices:
    """Return the rows that are not zero, ascending."""
    live = [rows.read(block).any(axis=1) for block in rows.blocks()]
    return np.flatnonzero(np.concatenate(live))


def _pieces(indices: Indices, size: int | None = None) -> Iterator[Indices]:
    size = size or _TILE
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _below(values: Floats) -> Tensor:
    """Return the float32 numbers next below ``values``."""
    return torch.from_numpy(np.nextafter(values.astype(np.float32), np.float32(-math.inf)))


def _one_for_zero(values: Tensor) -> Tensor:
    return torch.where(values == 0, 1.0, values)


@contextmanager
def _true_float32(d_in: int) -> Iterator[None]:
    """Have torch multiply float32 as such, whatever it was told about faster products.

    Raises:
        RuntimeError: it does not.
    """
    backend: Any = torch.backends.mkldnn  # torch's type hints leave parts of it out
    matmul = backend.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        with torch.autocast("cpu", enabled=False):
            last_place = 1 + 2.0**-23
            product = torch.mm(torch.full((_TILE, d_in), last_place), torch.eye(d_in, _TILE))
            # In float64: beside a bfloat16 tensor a number becomes a bfloat16 one.
            if not (product[:, :d_in].double() == last_place).all():
                raise RuntimeError("torch rounds the factors of float32 products: no proof is made")
            yield
    finally:
        matmul.fp32_precision = before
