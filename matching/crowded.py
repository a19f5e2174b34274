"""Rows with very many pairs above their prices: those that exceed most, and what others do not.

At the first prices a row of which all candidates went to others may be above its own with half of
all columns. A few of these are enough to give it a better price.
"""

import torch
from torch import Tensor

from ..kernels.topk import PackedWeight, linear_topk
from .selection import scan_error

_ROUNDING = 2.0**-22  # of a float32 price, and of its sum with a score: two roundings, twice each


def best_of_rows(
    a: Tensor, b: PackedWeight, row_price: Tensor, col_price: Tensor, margin: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """List, of each row's pairs with <a_i, b_j> > u_i + v_j - margin, those that exceed most.

    Args:
        a: (R, D) float32 rows of length 1 at most.
        b: (C, D) likewise, packed.
        row_price: u, (R,) float64.
        col_price: v, (C,) float64.
        margin: how far below its prices a pair may be.
        most: 1 or more: pairs of a row.

    Returns:
        rows and cols, (P,) int64, sorted by row, and slack (R,) float64: cosines of pairs that are
        not listed are at most u_i + v_j + slack_i; -infinity where none above the margin is left
        out.
    """
    error = _ROUNDING * (1.0 + float(col_price.abs().max())) + scan_error(a.shape[1])
    floor = row_price - margin - error
    lower = floor.float()
    lower = torch.where(lower > floor, lower.nextafter(torch.tensor(-torch.inf)), lower)
    most = min(most, len(col_price))
    best = linear_topk(a, b, -col_price.float(), most, floor=lower)
    rows, places = (best.indices >= 0).nonzero(as_tuple=True)
    least = best.values[:, -1].double() - row_price + error
    slack = least.where(best.indices[:, -1] >= 0, -torch.inf)
    return rows, best.indices[rows, places], slack
