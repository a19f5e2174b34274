"""Orders, points and areas of curves, and the draw of latents, on hand-made examples."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from twinsae.matching.substitution.curves import RANKS, area, by_cosine, cuts, quality
from twinsae.matching.substitution.sampling import PER_STRATUM, sample_latents


def test_the_order_is_live_latents_by_falling_cosine():
    cosine = np.array([0.2, np.nan, 0.9, 0.5, 0.9, -0.1])
    live = np.array([True, True, True, False, True, True])
    assert by_cosine(cosine, live).tolist() == [2, 4, 0, 5, 1]


def test_points_end_with_all_latents():
    assert cuts(40) == list(range(2, 41, 2))
    assert cuts(7)[-1] == 7
    assert cuts(7) == sorted(cuts(7))
    assert cuts(0) == [0] * RANKS


def test_the_area_of_a_straight_line_and_of_no_loss():
    assert area(np.ones(RANKS)) == 1
    assert area(1 - np.arange(1, RANKS + 1) / RANKS) == pytest.approx(0.5)
    assert area(np.array([0.0, -1.0])) == pytest.approx(0)  # 1, 0, -1 at 0, 1/2, 1


def test_quality_is_the_share_left():
    np.testing.assert_allclose(quality([0.2, 0.6, 1.0, 1.4], 0.2, 1.0), [1, 0.5, 0, -0.5])


def test_a_sample_has_as_many_latents_of_each_tenth_and_says_where_they_fire():
    rng = np.random.default_rng(0)
    number, tokens = 500, 60
    dense = rng.random((tokens, number)) * (rng.random((tokens, number)) < 0.1)
    dense[:, :50] = 0
    cosine = rng.random(number)
    cosine[50:70] = np.nan
    starts = np.array([0, 25, 26, 60])
    found = sample_latents(cosine, sparse.csc_array(dense), starts, 3)
    eligible = np.flatnonzero((dense != 0).any(axis=0) & ~np.isnan(cosine))
    assert np.bincount(found.stratum).tolist() == [PER_STRATUM] * 10
    assert len(set(found.latent)) == 200
    assert set(found.latent) <= set(eligible)
    tenths = np.array_split(eligible[np.argsort(-cosine[eligible])], 10)
    for stratum, tenth in enumerate(tenths):
        assert set(found.latent[found.stratum == stratum]) <= set(tenth)
    assert (np.diff(cosine[found.latent]) <= 0).all()
    for latent, sequence, firings in zip(found.latent, found.sequence, found.firings, strict=True):
        fires = [(dense[begin:end, latent] != 0).sum() for begin, end in pairwise(starts)]
        assert sequence == np.flatnonzero(fires)[0]
        assert firings == fires[sequence]
    again = sample_latents(cosine, sparse.csc_array(dense), starts, 3)
    np.testing.assert_array_equal(found.latent, again.latent)
    other = sample_latents(cosine, sparse.csc_array(dense), starts, 4)
    assert (found.latent != other.latent).any()


def test_a_sample_of_few_latents_takes_all():
    found = sample_latents(
        np.array([0.1, 0.9, 0.5]), sparse.csc_array(np.eye(3)), np.array([0, 3]), 0
    )
    assert found.latent.tolist() == [1, 2, 0]
    none = sample_latents(np.array([0.1]), sparse.csc_array((4, 1)), np.array([0, 4]), 0)
    assert none.latent.tolist() == []
