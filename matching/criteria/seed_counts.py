"""In how many of several dictionaries a latent is, from what each two of them share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Others = NDArray[np.int64]
"""(L,) of one dictionary: the sum of 2^p over those others, in their order p = 0, 1, ..., that
share the latent."""


def in_exactly(others: Sequence[Others]) -> list[list[int]]:
    """Return for each dictionary how many of its latents are in exactly 1, 2, ... dictionaries."""
    sizes = _sizes(len(others) - 1)
    found = (np.bincount(sizes[latents], minlength=len(others)) for latents in others)
    return [counts.tolist() for counts in found]


def only_in_base(others: Sequence[Others]) -> list[dict[str, Any]]:
    """Return which share of a base dictionary's latents is in none of n - 1 others, n = 2, 3, ...

    Mean, standard deviation and extremes are over all bases and all sets of n - 1 others.
    """
    num_others = len(others) - 1
    sizes = _sizes(num_others)
    shares = np.stack([_share_within(latents, num_others) for latents in others])  # (S, sets)
    curve = []
    for num_asked in range(1, num_others + 1):
        # In none of the others asked: only in some of those not asked.
        found = shares[:, sizes == num_others - num_asked]
        curve.append(
            {
                "dictionaries": num_asked + 1,
                "mean": float(found.mean()),
                "std": float(found.std()),
                "min": float(found.min()),
                "max": float(found.max()),
            }
        )
    return curve


def _share_within(latents: Others, num_others: int) -> NDArray[np.float64]:
    """Return for each set of others the share of latents that no other outside the set shares."""
    counts = np.bincount(latents, minlength=2**num_others).reshape((2,) * num_others)
    for axis in range(num_others):
        counts = counts.cumsum(axis)  # sums over subsets, one member after another
    return counts.reshape(-1) / len(latents)


def _sizes(num_others: int) -> NDArray[np.int64]:
    """Return how many members each set of others has."""
    return np.array([members.bit_count() for members in range(2**num_others)])
