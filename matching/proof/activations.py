"""`verify_activations`: an independent proof of a matching by what latents do."""

import numpy as np
from numpy.typing import NDArray

from ...common.blocks import slices
from ...common.progress import Progress, silent
from ..codes import Codes
from ..matching import Matching
from .certificate import Certificate, Measured, judged, wrong_form

Floats = NDArray[np.float64]

_ROWS = 128  # of the similarity that are held at once
_CONSTANT = 1e-6


def verify_activations(
    a: Codes,
    b: Codes,
    matching: Matching,
    *,
    measure: str = "cosine",
    progress: Progress | None = None,
) -> Certificate:
    """Check a matching by activations and its prices against the codes, trusting nothing in it.

    All similarities are computed again, some rows at a time, by scipy's sparse products in float64;
    nothing of the solver is used. A sum of N products of float64 is rounded by 2^-53 N at most, of
    the product of both lengths: under "pearson", similarities of latents that are nearly constant
    are that much less exact.

    Args:
        a: the codes that were matched, as `match_activations` takes them.
        b: likewise.
        matching: what is said about them.
        measure: "cosine" or "pearson".
        progress: told how far the pass has come.

    Returns:
        The certificate. A wrong matching is no error: its ``reasons`` say what is wrong.

    Raises:
        ValueError: ``measure`` is not as above, or the numbers of tokens differ.
    """
    if measure not in ("cosine", "pearson"):
        raise ValueError(f"measure: expected 'cosine' or 'pearson', got {measure!r}")
    if a.tokens != b.tokens:
        raise ValueError(f"a and b: expected the same tokens, got {a.tokens:,} and {b.tokens:,}")
    reasons = wrong_form(matching, a.num_latents, b.num_latents)
    if reasons:
        return Certificate(tuple(reasons))
    return judged(
        matching, _measure(_Side(a, measure), _Side(b, measure), matching, progress or silent)
    )


class _Side:
    """One side's activations, (L, N) by latents, and what makes them comparable."""

    def __init__(self, codes: Codes, measure: str) -> None:
        from scipy.sparse import csr_array

        shape = codes.tokens, codes.num_latents
        arrays = codes.values.astype(np.float64), codes.latents, codes.offsets
        self.by_token = csr_array(arrays, shape=shape)
        mean_square = np.asarray(self.by_token.power(2).sum(axis=0)) / codes.tokens
        self.tokens = codes.tokens
        self.mean = np.zeros(codes.num_latents)
        variance = mean_square
        if measure == "pearson":
            self.mean = np.asarray(self.by_token.sum(axis=0)) / codes.tokens
            variance = mean_square - self.mean**2
        alike = variance <= (_CONSTANT * mean_square if measure == "pearson" else 0)
        self.deviation = np.where(alike, np.inf, np.sqrt(np.maximum(variance, 0)))


def _measure(a: _Side, b: _Side, matching: Matching, progress: Progress) -> Measured:
    num_a, num_b = len(a.mean), len(b.mean)
    found = Measured(
        np.empty(len(matching.rows)), np.empty(num_a), np.full(num_b, -np.inf), -np.inf
    )
    worst = -np.inf
    of_row = a.by_token.tocsc()
    progress("verify", 0, num_a, "latents")
    for rows in slices(num_a, _ROWS):
        products = (of_row[:, rows].T @ b.by_token).toarray()  # (rows, L_B)
        products /= a.tokens
        products -= a.mean[rows, None] * b.mean
        similarity = products / a.deviation[rows, None] / b.deviation
        found.row_max[rows] = similarity.max(axis=1)
        np.maximum(found.col_max, similarity.max(axis=0), out=found.col_max)
        own = (matching.rows >= rows.start) & (matching.rows < rows.stop)
        found.cosine[own] = similarity[matching.rows[own] - rows.start, matching.cols[own]]
        similarity -= matching.row_price[rows, None] + matching.col_price
        worst = max(worst, float(similarity.max()))
        progress("verify", rows.stop, num_a, "latents")
    return found._replace(worst_violation=worst)
