"""`match_activations`: the exact one-to-one matching of latents by what they do."""

import math

import numpy as np
from numpy.typing import NDArray

from ...common.memory import PeakMemory, check_memory
from ...common.progress import Progress, silent
from ..codes import Codes
from ..matching import Matching
from .loop import Account, Optimum, find_optimum
from .similarity import LIST, Measure, Similarity

MEASURES = ("cosine", "pearson")


def match_activations(
    a: Codes,
    b: Codes,
    *,
    measure: Measure = "cosine",
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Matching:
    """Match the latents of two SAEs by their activations on the same tokens.

    The matching is one to one, uses every latent of the smaller SAE, and has the largest sum of
    similarities S. With a_it the activation of latent i of A on token t, 0 where it is not active:

    - "cosine": S_ij = sum_t a_it b_jt / sqrt(sum_t a_it^2 sum_t b_jt^2), which is 0 for two latents
      that are never active together.
    - "pearson": the correlation over all N tokens, which is -mu_i mu_j / (sigma_i sigma_j) for two
      latents that are never active together (mu and sigma: mean and standard deviation over all
      tokens). A latent counts as constant if its variance is at most 1e-6 of its mean square.

    A latent that is never active, or constant under "pearson", has S = 0 with all. Sums are
    float64, over tokens in their order. The (L_A, L_B) matrix is never held: its rows are made one
    by one, in each pass. Lan et al. (https://arxiv.org/abs/2410.06981) pair latents by correlation
    too, without the proof.

    Args:
        a: the codes of A, on N tokens.
        b: the codes of B, on the same N tokens.
        measure: "cosine" or "pearson".
        memory_limit: bytes that may be taken beyond the codes; None allows three quarters of the
            memory that is available.
        progress: told how far each phase has come.

    Returns:
        The matching; its ``cosine``, ``row_max`` and ``col_max`` hold S, and its prices prove it
        optimal. ``stats`` are ``{"method", "measure", "seconds", "passes", "peak_memory_bytes"}``.
        `active_together` tells which pairs are there only because every latent gets a partner.

    Raises:
        ValueError: ``measure`` is not as above, the numbers of tokens differ, or the match would
            take more memory than is allowed.
    """
    check_pair(a, b, measure)
    swapped = a.num_latents > b.num_latents
    small, large = (b, a) if swapped else (a, b)
    what = f"matching {a.num_latents:,} x {b.num_latents:,} latents on {a.tokens:,} tokens"
    check_memory(what, _memory(small, large), memory_limit)
    account = Account()
    with PeakMemory() as memory:
        similarity = Similarity(small, large, measure)
        optimum = find_optimum(similarity, progress or silent, account)
    stats = {"method": "codes", "measure": measure, **vars(account)}
    matching = _matching(optimum, stats | {"peak_memory_bytes": memory.peak_bytes})
    return matching.swapped() if swapped else matching


def active_together(a: Codes, b: Codes, matching: Matching) -> NDArray[np.int64]:
    """Return on how many tokens both latents of each matched pair are active, (M,).

    Where that is 0, the two have been paired only because every latent of the smaller SAE gets a
    partner: report them as unmatched.

    Args:
        a: the codes that were matched.
        b: likewise.
        matching: the result, or any other matching of these two SAEs' latents, such as their
            weights'.

    Raises:
        ValueError: the numbers of tokens differ, or the matching names latents that are not there.
    """
    check_pair(a, b, "cosine")
    for name, latents, size in (
        ("rows", matching.rows, a.num_latents),
        ("cols", matching.cols, b.num_latents),
    ):
        if len(latents) and not 0 <= latents.min() <= latents.max() < size:
            raise ValueError(f"matching: {name} names a latent outside 0 to {size - 1:,}")
    return Similarity(a, b, "cosine").together(matching.rows, matching.cols)


def check_pair(a: Codes, b: Codes, measure: str) -> None:
    """Raise ValueError if the two cannot be compared so."""
    if measure not in MEASURES:
        raise ValueError(f"measure: expected 'cosine' or 'pearson', got {measure!r}")
    if a.tokens != b.tokens:
        raise ValueError(
            "a and b: expected codes of the same tokens, got those of "
            f"{a.tokens:,} and {b.tokens:,} tokens"
        )


def _memory(small: Codes, large: Codes) -> int:
    """Return the bytes that are taken beyond the codes: the index by latent, lists and graph."""
    latents = small.num_latents + large.num_latents
    index = 8 * len(small.values) + 16 * small.tokens
    return index + 400 * LIST * latents + 64 * 2**20


def _matching(optimum: Optimum, stats: dict[str, object]) -> Matching:
    row_price, col_price = optimum.prices
    prices = math.fsum(row_price) + math.fsum(col_price)
    return Matching(
        rows=np.arange(len(optimum.cols)),
        cols=optimum.cols,
        cosine=optimum.values,
        row_price=row_price,
        col_price=col_price,
        row_max=optimum.row_max,
        col_max=optimum.col_max,
        objective=math.fsum(optimum.values),
        upper_bound=prices + len(optimum.cols) * optimum.worst_violation,
        stats=stats,
    )
