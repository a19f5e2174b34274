"""Which latent of a smaller SAE each latent of a larger one comes from, and the trees they make.

The parent of a larger SAE's latent is the smaller one's latent of the largest decoder cosine. Below
a threshold of that cosine the latent is novel, else a reconstruction latent (Leask et al., arXiv
2502.04878, who call it a cheap stand-in for what inserting the latent does to the error).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..substitution.partners import cosines, max_cosine_partners
from ..substitution.replacement import Floats, Ints

THRESHOLD = 0.7


class Parents(NamedTuple):
    """Where the latents of a larger SAE come from."""

    parent: Ints
    """(L_large,) latents of the smaller SAE: the first of those with the largest cosine."""
    cosine: Floats
    """(L_large,): that cosine."""
    novel: NDArray[np.bool_]
    """(L_large,): whether it is below the threshold."""
    num_small: int
    """Latents of the smaller SAE."""

    @property
    def children(self) -> Ints:
        """(num_small,): how many reconstruction latents each parent has."""
        return np.bincount(self.parent[~self.novel], minlength=self.num_small)


class Roots(NamedTuple):
    """Where the trees begin that the latents of one SAE belong to."""

    level: Ints
    """(L,): the SAE that the root is a latent of, 0 for the smallest."""
    latent: Ints
    """(L,): the root."""


def find_parents(small: Floats, large: Floats, threshold: float = THRESHOLD) -> Parents:
    """Return the parent of each latent of a larger SAE.

    Args:
        small: (L_small, D), decoder rows at length 1.
        large: (L_large, D), those of the larger SAE.
        threshold: a latent is novel if its cosine is below.
    """
    parent = max_cosine_partners(large, small)
    cosine = cosines(large, small, parent)
    return Parents(parent, cosine, cosine < threshold, len(small))


def find_roots(levels: Sequence[Parents]) -> list[Roots]:
    """Return the roots of all latents of ascending SAEs: a forest.

    A latent of the smallest SAE is the root of a tree, and so is a novel latent. A reconstruction
    latent is in the tree of its parent.

    Args:
        levels: the parents of each SAE's latents in the one before, from the second SAE on.

    Returns:
        One more than there are ``levels``: the first is for the smallest SAE.
    """
    if not levels:
        return []
    first = levels[0].num_small
    found = [Roots(np.zeros(first, dtype=np.int64), np.arange(first))]
    for number, of in enumerate(levels, 1):
        before, own = found[-1], np.arange(len(of.parent))
        level = np.where(of.novel, number, before.level[of.parent])
        found.append(Roots(level, np.where(of.novel, own, before.latent[of.parent])))
    return found
