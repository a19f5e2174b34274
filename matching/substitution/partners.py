"""Which latent of B stands for each latent of A, besides the exact and the greedy matching."""

import numpy as np
import torch
from numpy.typing import NDArray

from ...kernels.topk import mutual_topk
from .replacement import Floats, Ints


def max_cosine_partners(units: Floats, other_units: Floats) -> Ints:
    """Return the latent of B of the largest cosine for each of A: many may take the same one.

    Args:
        units: (L_A, D), A's decoder rows at length 1.
        other_units: (L_B, D), B's.

    Returns:
        (L_A,) latents of B; of equal ones the first. Scores are ranked in float32.
    """
    a, b = (torch.from_numpy(rows.astype(np.float32)) for rows in (units, other_units))
    best: Ints = mutual_topk(a, b, 1).row_indices[:, 0].numpy()
    return best


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
