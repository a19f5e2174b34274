from typing import Any, TypeAlias

import numpy as np

Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Int32s: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
Indices: TypeAlias = Int32s | np.ndarray[Any, np.dtype[np.int64]]
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
    centre: bool,
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
def find_edges(
    rows: Int32s,
    cols: Int32s,
    wanted_rows: Int32s,
    wanted_cols: Int32s,
    threads: int,
    places: Partners,
    present: np.ndarray[Any, np.dtype[np.bool_]],
) -> None: ...
def join_edges(
    rows: Int32s,
    cols: Int32s,
    weights: Doubles,
    added_rows: Int32s,
    added_cols: Int32s,
    added_weights: Doubles,
    places: Partners,
    threads: int,
    out_rows: Int32s,
    out_cols: Int32s,
    out_weights: Doubles,
) -> None: ...
def solve_dense(
    weights: Doubles, equal: Partners, partner: Partners, col_price: Doubles
) -> None: ...
def cheapest_cycles(
    out_ends: Int32s,
    out_costs: Doubles,
    out_unlisted: Doubles,
    in_ends: Int32s,
    in_costs: Doubles,
    in_unlisted: Doubles,
    most_settled: int,
    threads: int,
    lower: Doubles,
    upper: Doubles,
) -> None: ...
