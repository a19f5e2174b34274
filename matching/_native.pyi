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
    partner: Partners,
    row_price: Doubles,
    col_price: Doubles,
) -> None: ...
def solve_dense(
    weights: Doubles, equal: Partners, partner: Partners, col_price: Doubles
) -> None: ...
def edge_cosines(
    a: np.ndarray[Any, Any],
    a_dtype: str,
    a_scale: Doubles,
    a_norm: Doubles,
    b: np.ndarray[Any, Any],
    b_dtype: str,
    b_scale: Doubles,
    b_norm: Doubles,
    rows: Indices,
    cols: Indices,
    threads: int,
    out: Doubles,
) -> None: ...
def unit_rows(
    matrix: np.ndarray[Any, Any],
    dtype: str,
    scale: Doubles,
    norm: Doubles,
    names: Partners,
    threads: int,
    out: np.ndarray[Any, np.dtype[np.float32]],
) -> None: ...
