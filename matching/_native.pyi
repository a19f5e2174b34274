from typing import Any, TypeAlias

import numpy as np

Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Ends: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

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
def unit_rows(
    matrix: np.ndarray[Any, Any],
    dtype: str,
    scale: Doubles,
    norm: Doubles,
    names: np.ndarray[Any, np.dtype[np.int64]],
    threads: int,
    out: np.ndarray[Any, np.dtype[np.float32]],
) -> None: ...
