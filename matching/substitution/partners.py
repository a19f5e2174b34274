"""Which latent of B stands for each latent of A: other choices than the exact matching."""

import numpy as np
import torch
from numpy.typing import NDArray

from ...kernels.topk import mutual_topk
from .replacement import Floats, Ints

_LISTED = 32  # best partners of each row and column that one scan finds


def max_cosine_partners(units: Floats, other_units: Floats) -> Ints:
    """Return the latent of B of the largest cosine for each of A: many may take the same one.

    Args:
        units: (L_A, D), A's decoder rows at length 1.
        other_units: (L_B, D), B's.

    Returns:
        (L_A,) latents of B; of equal ones the first. Scores are ranked in float32.
    """
    return _lists(units, other_units, 1)[0][:, 0]


def greedy_partners(units: Floats, other_units: Floats) -> Ints:
    """Return one-to-one partners: of all pairs that are free, the one of the largest cosine first.

    A pair that is best for both of its latents among the free ones is the next greedy choice of
    both, whatever comes before it. All such pairs of a list of best partners are taken; the rest is
    scanned again. So the result is that of sorting all L_A L_B pairs, which are never held.

    Args:
        units: (L_A, D), A's decoder rows at length 1.
        other_units: (L_B, D), B's.

    Returns:
        (L_A,) latents of B; -1 where A has more latents and all of B's are taken. Scores are ranked
        in float32; of equal pairs the lower latent comes first.
    """
    partner = np.full(len(units), -1, dtype=np.int64)
    rows, cols = np.arange(len(units)), np.arange(len(other_units))
    while len(rows) and len(cols):
        listed = min(_LISTED, len(rows), len(cols))
        own, theirs = _best_for_both(*_lists(units[rows], other_units[cols], listed))
        partner[rows[own]] = cols[theirs]
        rows, cols = np.delete(rows, own), np.delete(cols, theirs)
    return partner


def random_partners(num_latents: int, live: NDArray[np.bool_], seed: int) -> Ints:
    """Return a random live latent of B for each latent of A, drawn with replacement.

    Args:
        num_latents: L_A.
        live: (L_B,), which latents of B fire.
        seed: the same one gives the same draw.

    Returns:
        (L_A,) latents of B; -1 everywhere if none is live.
    """
    alive = np.flatnonzero(live)
    if not len(alive):
        return np.full(num_latents, -1, dtype=np.int64)
    return np.random.default_rng(seed).choice(alive, size=num_latents).astype(np.int64)


def cosines(units: Floats, other_units: Floats, partner: Ints) -> Floats:
    """Return each pair's cosine, (L_A,); NaN where there is no partner."""
    found: Floats = np.einsum("ld,ld->l", units, other_units[partner])
    return np.where(partner >= 0, found, np.nan)


def _lists(units: Floats, other_units: Floats, listed: int) -> tuple[Ints, Ints]:
    """Return the best columns of each row (L_A, m) and the best rows of each column (L_B, m)."""
    a, b = (torch.from_numpy(rows.astype(np.float32)) for rows in (units, other_units))
    found = mutual_topk(a, b, listed)
    return found.row_indices.numpy(), found.col_indices.numpy()


def _best_for_both(row_lists: Ints, col_lists: Ints) -> tuple[Ints, Ints]:
    """Return the pairs that are each other's best free partner, until the lists show no more."""
    free_rows = np.ones(len(row_lists), dtype=bool)
    free_cols = np.ones(len(col_lists), dtype=bool)
    found: list[tuple[Ints, Ints]] = []
    while True:
        col_of, row_of = _first_free(row_lists, free_cols), _first_free(col_lists, free_rows)
        rows = np.flatnonzero(free_rows & (col_of >= 0))
        rows = rows[row_of[col_of[rows]] == rows]
        if not len(rows):
            break
        found.append((rows, col_of[rows]))
        free_rows[rows], free_cols[col_of[rows]] = False, False
    own, theirs = zip(*found, strict=True)
    return np.concatenate(own), np.concatenate(theirs)


def _first_free(lists: Ints, free: NDArray[np.bool_]) -> Ints:
    """Return the first free entry of each list, -1 where none is."""
    open_places = free[lists]  # (rows, m)
    first = open_places.argmax(axis=1)[:, None]
    entry = np.take_along_axis(lists, first, axis=1)[:, 0]
    return np.where(np.take_along_axis(open_places, first, axis=1)[:, 0], entry, -1)
