from typing import Any, TypeAlias

import numpy as np

Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Indices: TypeAlias = np.ndarray[Any, np.dtype[np.int32]] | np.ndarray[Any, np.dtype[np.int64]]
Partners: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

def maximum_matching(
    rows: Indices,
    cols: Indices,
    num_rows: int,
    num_cols: int,
    row_members: Partners | None,
    col_members: Partners | None,
    partner: Partners,
) -> None: ...
def solve(
    rows: Indices,
    cols: Indices,
    weights: Doubles,
    row_members: Partners | None,
    col_members: Partners | None,
    warm: bool,
    bid_limit: int,
    threads: int,
    partner: Partners,
    row_price: Doubles,
    col_price: Doubles,
) -> tuple[int, int, int]: ...
def centre_prices(
    rows: Indices,
    cols: Indices,
    weights: Doubles,
    row_members: Partners | None,
    col_members: Partners | None,
    threads: int,
    partner: Partners,
    row_price: Doubles,
    col_price: Doubles,
) -> None: ...
def solve_dense(
    weights: Doubles, equal: Partners, partner: Partners, col_price: Doubles
) -> None: ...
def cheapest_cycles(
    out_ends: np.ndarray[Any, np.dtype[np.int32]],
    out_costs: Doubles,
    out_unlisted: Doubles,
    in_ends: np.ndarray[Any, np.dtype[np.int32]],
    in_costs: Doubles,
    in_unlisted: Doubles,
    most_settled: int,
    threads: int,
    lower: Doubles,
    upper: Doubles,
) -> None: ...
