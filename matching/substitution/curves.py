"""How much of a reconstruction is left while more and more latents are replaced."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .replacement import Floats, Ints

RANKS = 20
"""Points of a curve."""


def by_cosine(cosine: Floats, live: NDArray[np.bool_]) -> Ints:
    """Return the live latents in the order in which they are replaced.

    Args:
        cosine: (L,), of each latent with its partner; NaN where there is none: these come last.
        live: (L,), which latents fire. Others change nothing, and would flatten a curve.

    Returns:
        (n,) latents by falling cosine, of equal ones the lower first.
    """
    falling = np.argsort(np.where(np.isnan(cosine), np.inf, -cosine), kind="stable")
    return falling[live[falling]]


def cuts(number: int) -> list[int]:
    """Return how many of so many latents are replaced at each of the `RANKS` points."""
    return [number * rank // RANKS for rank in range(1, RANKS + 1)]


def quality(loss: ArrayLike, first: float, worst: float) -> Floats:
    """Return (worst - loss) / (worst - first): the share of what the SAE achieves that is left.

    It is 1 where nothing is lost, 0 where the mean in place of the reconstruction is as good, and
    may be negative.

    Args:
        loss: (n,), with latents replaced: FVU, cross-entropy or KL.
        first: with none replaced.
        worst: with the mean of the activations in place of the reconstruction; 1 for FVU.
    """
    found: Floats = (worst - np.asarray(loss, dtype=np.float64)) / (worst - first)
    return found


def area(left: Sequence[float] | Floats) -> float:
    """Return the area under a curve of quality, 1 where nothing is lost at any point.

    Args:
        left: (RANKS,), the quality at equal steps; before the first, with none replaced, it is 1.
    """
    points = np.concatenate([[1.0], left])
    return float((points[:-1] + points[1:]).mean() / 2)
