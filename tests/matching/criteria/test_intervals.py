"""Bootstrap intervals, against scipy's bootstrap, and against draws that are written out."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import bootstrap
from twinsae.matching.criteria.intervals import (
    mean_over_latents,
    mean_over_seeds,
    share_over_latents,
)


def test_a_share_s_interval_is_that_of_drawn_latents() -> None:
    shared = np.arange(400) < 130
    drawn = np.random.default_rng(1).choice(shared, size=(20_000, 400)).mean(axis=1)
    expected = np.quantile(drawn, [0.05, 0.95])
    assert share_over_latents(130, 400, level=0.9) == pytest.approx(expected, abs=1 / 400)


@pytest.mark.parametrize("count", [0, 7])
def test_none_or_all_of_the_latents_leave_no_doubt(count: int) -> None:
    assert share_over_latents(count, 7) == (count / 7, count / 7)


def test_a_mean_s_interval_is_scipy_s() -> None:
    values = np.random.default_rng(2).gamma(2.0, size=301)
    found = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=3)
    expected = found.confidence_interval
    interval = mean_over_latents(values)
    assert interval is not None
    width = expected.high - expected.low
    assert interval == pytest.approx(tuple(expected), abs=0.08 * width)
    assert interval == mean_over_latents(values)  # the same draws again


def test_one_latent_and_no_latents() -> None:
    assert mean_over_latents([0.25]) == (0.25, 0.25)
    assert mean_over_latents([]) is None
    assert share_over_latents(0, 0) is None


def test_seeds_are_drawn_and_not_pairs() -> None:
    rng = np.random.default_rng(4)
    pairs = rng.random((4, 4))
    # All 4^4 draws, one by one.
    means = [
        np.mean(found)
        for draw in product(range(4), repeat=4)
        if (found := [pairs[i, j] for i in draw for j in draw if i != j])
    ]
    expected = np.quantile(means, [0.025, 0.975])
    interval = mean_over_seeds(pairs)
    assert interval == pytest.approx(expected, abs=0.03)
    # Drawn pairs would give a narrower one.
    assert interval is not None
    alone = mean_over_latents(pairs[~np.eye(4, dtype=bool)])
    assert alone is not None
    assert interval.high - interval.low > 1.1 * (alone.high - alone.low)


def test_pairs_that_are_not_known_are_left_out() -> None:
    pairs = np.full((5, 5), 0.5)
    pairs[0, 3] = np.nan
    assert mean_over_seeds(pairs) == pytest.approx((0.5, 0.5))
    assert mean_over_seeds(np.full((5, 5), np.nan)) is None


def test_two_seeds_have_no_interval() -> None:
    assert mean_over_seeds([[0, 1], [1, 0]]) is None


@pytest.mark.parametrize("level", [0.0, 1.0, -3.0])
def test_a_level_is_a_part(level: float) -> None:
    with pytest.raises(ValueError, match="level: expected a number above 0 and below 1, got"):
        share_over_latents(1, 2, level)
