from typing import Any, TypeAlias

import numpy as np

Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Longs: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Ends: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
Codes: TypeAlias = tuple[Longs, Ends, Floats]

def best_pairs(
    tokens_of_row: Codes,
    cols_of_token: Codes,
    row_shift: Doubles,
    row_scale: Doubles,
    col_shift: Doubles,
    col_scale: Doubles,
    row_price: Doubles,
    col_price: Doubles,
    floor: float,
    threads: int,
    row_cols: Ends,
    row_values: Doubles,
    col_rows: Ends,
    col_values: Doubles,
    row_max: Doubles,
    col_max: Doubles,
) -> float: ...
def edge_cosines(
    a: np.ndarray[Any, Any],
    a_dtype: str,
    a_scale: Doubles,
    a_norm: Doubles,
    b: np.ndarray[Any, Any],
    b_dtype: str,
    b_scale: Doubles,
    b_norm: Doubles,
    rows: Ends,
    cols: Ends,
    threads: int,
    out: Doubles,
) -> None: ...
def measure_rows(
    matrix: np.ndarray[Any, Any], dtype: str, scale: Doubles, norm: Doubles, threads: int
) -> int: ...
def pair_counts(
    tokens_of_row: Codes,
    cols_of_token: Codes,
    row_shift: Doubles,
    row_scale: Doubles,
    col_shift: Doubles,
    col_scale: Doubles,
    rows: Ends,
    cols: Ends,
    threads: int,
    out: Longs,
) -> None: ...
def pair_similarities(
    tokens_of_row: Codes,
    cols_of_token: Codes,
    row_shift: Doubles,
    row_scale: Doubles,
    col_shift: Doubles,
    col_scale: Doubles,
    rows: Ends,
    cols: Ends,
    threads: int,
    out: Doubles,
) -> None: ...
def sum_codes(
    offsets: Longs,
    latents: Ends,
    values: Floats,
    fired: Longs,
    total: Doubles,
    squares: Doubles,
) -> None: ...
def unit_rows(
    matrix: np.ndarray[Any, Any],
    dtype: str,
    scale: Doubles,
    norm: Doubles,
    names: Longs,
    threads: int,
    out: Floats,
) -> None: ...
