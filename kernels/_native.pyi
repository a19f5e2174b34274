from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Codes: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
Halves: TypeAlias = np.ndarray[Any, np.dtype[np.uint16]]
Bools: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

PANEL: int
QUAD: int
BOUNDS_OF_PANEL: int
MAX_CODES_DEPTH: int

def isa() -> str: ...
def codes_planes(depth: int) -> int: ...
def codes_quads(depth: int) -> int: ...
def codes_products(depth: int) -> int: ...
def codes_roofline(threads: int) -> float: ...
def pack_panels(weight: Floats, threads: int, panels: Floats) -> None: ...
def linear_topk(
    x: Floats,
    weight: Floats | None,
    panels: Floats | None,
    bias: Floats | None,
    floor: Floats,
    mask: Bools | None,
    threads: int,
    values: Floats,
    indices: Ints,
    num_latents: int,
) -> None: ...
def pack_codes(weight: Floats, threads: int, codes: Codes, bounds: Floats) -> None: ...
def linear_topk_codes(
    x: Floats,
    weight: Floats,
    codes: Codes | None,
    bounds: Floats | None,
    bias: Floats | None,
    floor: Floats,
    mask: Bools | None,
    threads: int,
    values: Floats,
    indices: Ints,
) -> tuple[int, int]: ...
def mutual_topk(
    a: Floats,
    b: Floats | None,
    panels: Floats | None,
    row_floor: Floats,
    col_floor: Floats,
    threads: int,
    row_values: Floats,
    row_indices: Ints,
    col_values: Floats,
    col_indices: Ints,
) -> None: ...
def mutual_topk_codes(
    a: Floats,
    b: Floats,
    codes: Codes | None,
    bounds: Floats | None,
    row_floor: Floats,
    col_floor: Floats,
    exact: bool,
    threads: int,
    row_values: Floats,
    row_indices: Ints,
    col_values: Floats,
    col_indices: Ints,
) -> tuple[int, int]: ...
def linear_above(
    x: Floats,
    weight: Floats | None,
    panels: Floats | None,
    bias: Floats | None,
    threshold: Floats,
    threads: int,
) -> tuple[Ints, Ints, Floats]: ...
def linear_above_codes(
    x: Floats,
    weight: Floats,
    codes: Codes | None,
    bounds: Floats | None,
    bias: Floats | None,
    threshold: Floats,
    threads: int,
) -> tuple[Ints, Ints, Floats, int]: ...
def pairs_above(
    a: Floats,
    b: Floats,
    panels: Floats | None,
    row_price: Doubles,
    col_price: Doubles,
    margin: float,
    tiles: Ints,
    capacity: int,
    threads: int,
) -> tuple[Ints, Ints, int]: ...
def pairs_above_codes(
    a: Floats,
    b: Floats,
    codes: Codes | None,
    bounds: Floats | None,
    row_price: Doubles,
    col_price: Doubles,
    margin: float,
    tiles: Ints,
    capacity: int,
    exact: bool,
    threads: int,
) -> tuple[Ints, Ints, int, int]: ...
def sparse_decode(
    values: Floats,
    indices: Ints,
    row_offsets: Ints | None,
    weight: Floats,
    bias: Floats | None,
    threads: int,
    out: Floats,
) -> None: ...
def gather_dot(
    rows: Floats,
    indices: Ints,
    row_offsets: Ints | None,
    weight: Floats,
    threads: int,
    out: Floats,
) -> None: ...
def decode_error(
    values: Floats,
    indices: Ints,
    row_offsets: Ints | None,
    weight: Floats,
    bias: Floats | None,
    target: Floats,
    scale: float,
    threads: int,
    squares: Floats,
    g: Floats,
    d_values: Floats,
) -> None: ...
def decode_squares(
    values: Floats,
    indices: Ints,
    weight: Floats,
    bias: Floats | None,
    target: Floats,
    centre: Floats,
    threads: int,
    out: Floats,
    squares: Floats,
    deviations: Floats,
) -> None: ...
def latent_grads(
    values: Floats | None,
    d_values: Floats | None,
    indices: Ints,
    row_offsets: Ints | None,
    x: Floats | None,
    g: Floats | None,
    accumulate: bool,
    threads: int,
    num_latents: int,
    dW_dec: Floats | None,
    dW_enc: Floats | None,
    db_enc: Floats | None,
    fired: Ints | None,
) -> None: ...

SparseTerm: TypeAlias = tuple[Floats, Ints, Ints | None, Floats]

def latent_adam(
    weight: Floats,
    exp_avg: Floats | Halves,
    exp_avg_sq: Floats | Halves,
    terms: list[SparseTerm],
    decay: Floats | None,
    unit_rows: bool,
    rule: list[float],
    key: int | None,
    threads: int,
    sums: Floats,
    weighted: Floats,
    fired: Ints,
) -> None: ...
def latent_squares(
    weight: Floats,
    terms: list[SparseTerm],
    decay: Floats | None,
    unit_rows: bool,
    threads: int,
) -> float: ...
