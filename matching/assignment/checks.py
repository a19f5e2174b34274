"""What comes in as a sparse graph, checked and in the types that the C++ solver takes."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int32] | NDArray[np.int64]
Shape = tuple[int, int]


def as_indices(rows: ArrayLike, cols: ArrayLike) -> tuple[Indices, Indices]:
    """Return both as contiguous arrays of one type, int32 where both are, or int64.

    Raises:
        TypeError: they are not integers.
        ValueError: they are not 1-D.
    """
    given = [_vector("rows", rows, "iu"), _vector("cols", cols, "iu")]
    narrow = all(values.dtype == np.int32 for values in given)
    dtype = np.int32 if narrow else np.int64
    first, second = (np.require(values, dtype, ["C", "A"]) for values in given)
    return first, second


def as_floats(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return numbers as a contiguous float64 array, the same one where it is that already.

    Raises:
        TypeError: they are not real numbers.
        ValueError: they are not 1-D.
    """
    return np.require(_vector(name, values, "fiu"), np.float64, ["C", "A"])


def as_prices(name: str, values: ArrayLike, size: int) -> NDArray[np.float64]:
    """Return a copy of ``size`` prices, to be written to.

    Raises:
        TypeError: they are not real numbers.
        ValueError: they are not ``size`` finite numbers.
    """
    price = np.array(as_floats(name, values))
    if len(price) != size:
        raise ValueError(f"{name}: expected {size:,} prices, got {len(price):,}")
    finite = np.isfinite(price)
    if not finite.all():
        entry = int(finite.argmin())
        raise ValueError(f"{name}: entry {entry} is {price[entry]}, expected finite numbers")
    return price


def as_shape(shape: Shape) -> Shape:
    """Return the shape in Python's own integers.

    Raises:
        ValueError: it is not two whole numbers of 0 or more.
    """
    if len(shape) != 2 or any(int(size) != size or size < 0 for size in shape):
        raise ValueError(f"shape: expected two whole numbers of 0 or more, got {shape}")
    return int(shape[0]), int(shape[1])


def as_start(
    prices: tuple[ArrayLike, ArrayLike] | None, shape: Shape
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return copies of row and column prices, zeros for None.

    Raises:
        TypeError: they are not real numbers.
        ValueError: they are not finite, or not as many as rows and columns.
    """
    if prices is None:
        return np.zeros(shape[0]), np.zeros(shape[1])
    if len(prices) != 2:
        raise ValueError(f"prices: expected (row_price, col_price), got {len(prices)} of them")
    row_price, col_price = prices
    return as_prices("row_price", row_price, shape[0]), as_prices("col_price", col_price, shape[1])


def as_pairs(
    partner: NDArray[np.int64], shape: Shape
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs, rows ascending, of the smaller side's partners (-1: none)."""
    matched = np.flatnonzero(partner >= 0)
    if shape[0] <= shape[1]:
        return matched, partner[matched]
    rows = partner[matched]
    order = np.argsort(rows)
    return rows[order], matched[order]


def as_partners(rows: ArrayLike, cols: ArrayLike, shape: Shape) -> NDArray[np.int64]:
    """Return the partner of each member of the smaller side: the inverse of `as_pairs`.

    Raises:
        TypeError: the pairs are not integers.
        ValueError: they are not a one-to-one map of the whole smaller side into the larger one.
    """
    sides = as_indices(rows, cols)
    for side, size in zip(sides, shape, strict=True):
        inside = ((side >= 0) & (side < size)).all()
        if len(side) != min(shape) or not inside or len(np.unique(side)) != len(side):
            raise ValueError(
                f"assignment: expected {min(shape):,} pairs, one to one, of a graph of "
                f"{shape[0]:,} rows and {shape[1]:,} columns"
            )
    small, large = sides if shape[0] <= shape[1] else sides[::-1]
    partner = np.empty(min(shape), dtype=np.int64)
    partner[small] = large
    return partner


def matched_weights(
    edge_rows: Indices,
    edge_cols: Indices,
    weights: NDArray[np.float64],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    num_rows: int,
) -> NDArray[np.float64]:
    """Return the weight of each pair's edge, the largest of those given twice; -inf: no edge."""
    rows, cols = pairs
    col_of = np.full(num_rows, -1, dtype=np.int64)
    col_of[rows] = cols
    hits = np.flatnonzero(col_of[edge_rows] == edge_cols)
    found = np.full(num_rows, -np.inf)
    np.maximum.at(found, edge_rows[hits], weights[hits])
    return found[rows]


def _vector(name: str, values: ArrayLike, kinds: str) -> NDArray[Any]:
    given = np.asarray(values)
    if given.ndim != 1:
        raise ValueError(f"{name}: expected a 1-D array, got shape {given.shape}")
    # An empty list comes as float64.
    if given.size and given.dtype.kind not in kinds:
        wanted = "integers" if kinds == "iu" else "real numbers"
        raise TypeError(f"{name}: expected {wanted}, got {given.dtype}")
    return given
