"""The cosine similarity matrix S, in float64 and tile by tile."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .rows import StoredRows

Tile = tuple[slice, slice, NDArray[np.float64]]


def similarity_tiles(a: StoredRows, b: StoredRows) -> Iterator[Tile]:
    """Yield S in tiles, stripe of rows by stripe of rows.

    S_ij = <a_i, b_j> / (|a_i| |b_j|) of the stored values, in float64; a zero row has cosine 0
    with everything.

    Args:
        a: (L_A, D).
        b: (L_B, D), the same D.

    Yields:
        (rows, cols, tile): two slices and S[rows, cols], (len(rows), len(cols)) float64.
    """
    for rows in a.blocks():
        unit_a = unit_rows(a.read(rows))
        for cols in b.blocks():
            # Normalising b's rows again for each stripe costs 1 / len(rows) of the product, and
            # saves holding them all in float64.
            yield rows, cols, unit_a @ unit_rows(b.read(cols)).T


def unit_rows(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows (n, D) divided by their Euclidean norms; zero rows stay zero."""
    # Scaled by the largest entry first, so that no square overflows or underflows.
    scaled = block / _one_for_zero(np.abs(block).max(axis=1))[:, None]
    norms = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))
    return scaled / _one_for_zero(norms)[:, None]


def _one_for_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values == 0, 1.0, values)
