"""What a larger SAE's latents do in a smaller one's reconstruction: inserted, or swapped in.

With e_t the smaller SAE's error on token t and b_tj u_j what latent j of the larger one contributes
there, inserting j alone makes the error e_t + b_tj u_j. Swapping a family takes a parent's own
contribution out and puts those of all its reconstruction children in. Biases stay the smaller
SAE's. The idea is that of Leask et al., arXiv 2502.04878.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..substitution.observed import Observed, squares
from ..substitution.replacement import Floats, Replacement, changes, group_changes
from .trees import Parents


class Stitched(NamedTuple):
    """Changes of the smaller SAE's FVU by single latents and families, and the FVU with all."""

    inserted: Floats
    """(L_large,): the change when the latent alone is inserted; below 0 it helps."""
    swapped: Floats
    """(L_small,): the change when the family alone is swapped; NaN for latents without children."""
    with_novel: float
    """FVU with all novel latents inserted."""
    with_families: float
    """FVU with all families swapped."""
    with_both: float
    """FVU with both. Latents of the smaller SAE without children stay."""


def stitch(observed: Observed, small: Floats, large: Floats, parents: Parents) -> Stitched:
    """Insert and swap the latents of a larger SAE.

    Args:
        observed: the smaller SAE as A and the larger as B, on the same tokens.
        small: (L_small, D), decoder rows at length 1.
        large: (L_large, D), those of the larger SAE.
        parents: of the larger SAE's latents.
    """
    error, variance = observed.error, observed.variance
    inserted = changes(Replacement(observed.b, large), error) / variance
    split = parents.children > 0
    both = Replacement(
        sparse.csc_array(sparse.hstack([observed.a, observed.b])), np.concatenate([-small, large])
    )
    family = np.concatenate(
        [
            np.where(split, np.arange(len(small)), -1),
            np.where(parents.novel, -1, parents.parent),
        ]
    )
    swapped = group_changes(both, error, family, len(small)) / variance
    novel = np.concatenate([np.zeros(len(small), dtype=bool), parents.novel])

    def fvu(chosen: np.ndarray) -> float:
        return squares(error + both.coefficients[:, chosen] @ both.vectors[chosen]) / variance

    return Stitched(
        inserted,
        np.where(split, swapped, np.nan),
        *(fvu(np.flatnonzero(chosen)) for chosen in (novel, family >= 0, novel | (family >= 0))),
    )
