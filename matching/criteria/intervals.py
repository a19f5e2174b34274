"""How far a share or a mean may be off, because latents or seeds are few: bootstrap intervals.

A percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13)
draws as many latents, or seeds, with replacement, and takes the statistic again: an interval of
level 0.95 reaches from the 2.5 % to the 97.5 % point of what the draws give. It says what another
sample of the same kind would show. Latents of one SAE are not independent of each other, so an
interval over latents is a lower bound on what another training would change; that one is over
seeds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
DRAWS = 2_000
_DRAWN_AT_ONCE = 2**22


class Interval(NamedTuple):
    """From ``low`` to ``high``."""

    low: float
    high: float


def share_over_latents(count: int, num_latents: int, level: float = LEVEL) -> Interval | None:
    """Return the interval of a share over latents, without drawing any.

    Of L drawn latents, the number that counts is binomial with chance count / L, so that its
    percentiles are known.

    Args:
        count: how many latents count, 0 to ``num_latents``.
        num_latents: L.
        level: of the interval, above 0 and below 1.

    Returns:
        The interval, as parts of L; None if L is 0.
    """
    from scipy.stats import binom  # here, so that a bare GPU machine can match without it

    if not num_latents:
        return None
    low, high = binom.ppf(_ends(level), num_latents, count / num_latents) / num_latents
    return Interval(float(low), float(high))


def mean_over_latents(values: ArrayLike, level: float = LEVEL) -> Interval | None:
    """Return the interval of a mean over latents, from 2,000 draws that are the same in every call.

    Args:
        values: (L,), one for each latent, finite.
        level: of the interval, above 0 and below 1.

    Returns:
        The interval; None if L is 0.
    """
    given = np.asarray(values, dtype=np.float64)
    if not len(given):
        return None
    rng = np.random.default_rng(0)
    at_once = max(1, _DRAWN_AT_ONCE // len(given))
    means = [
        given[rng.integers(len(given), size=(min(at_once, DRAWS - start), len(given)))].mean(axis=1)
        for start in range(0, DRAWS, at_once)
    ]
    return _between(np.concatenate(means), level)


def mean_over_seeds(pairs: ArrayLike, level: float = LEVEL) -> Interval | None:
    """Return the interval of a mean over pairs of seeds, from 2,000 draws of the seeds.

    A pair shares its seeds with others, so seeds are drawn, not pairs: of S drawn seeds, the mean
    is over all pairs of two different ones, each as often as it was drawn.

    Args:
        pairs: (S, S), the statistic of each seed with each other; NaN where it is not known. The
            diagonal is not read.
        level: of the interval, above 0 and below 1.

    Returns:
        The interval; None for fewer than three seeds, of which no draw differs from the sample.
    """
    given = np.array(pairs, dtype=np.float64)
    np.fill_diagonal(given, np.nan)
    seeds = len(given)
    if seeds < 3:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=DRAWS).astype(np.float64)
    known = np.isfinite(given)
    weights = np.einsum("ni,ij,nj->n", drawn, known, drawn)
    sums = np.einsum("ni,ij,nj->n", drawn, np.where(known, given, 0.0), drawn)
    any_pair = weights > 0  # there is none if one seed was drawn S times
    return _between(sums[any_pair] / weights[any_pair], level) if any_pair.any() else None


def _ends(level: float) -> NDArray[np.float64]:
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number above 0 and below 1, got {level}")
    return np.array([(1 - level) / 2, (1 + level) / 2])


def _between(statistics: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(statistics, _ends(level))
    return Interval(float(low), float(high))
