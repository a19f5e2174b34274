"""The other choices of partners against all pairs, written out."""

import numpy as np
import pytest
from twinsae.matching.substitution.partners import (
    cosines,
    max_cosine_partners,
    random_partners,
)


def rows(rng: np.random.Generator, number: int, width: int, spread: int) -> np.ndarray:
    """Rows of small whole numbers: with a small spread, many scores are equal."""
    return rng.integers(-spread, spread + 1, (number, width)).astype(float)


@pytest.mark.parametrize(
    ("num_a", "num_b", "width", "spread"),
    [(1, 1, 3, 9), (70, 70, 5, 300), (90, 41, 4, 2), (41, 90, 4, 1), (60, 60, 2, 1)],
)
def test_the_largest_cosine_is_that_of_all_pairs(num_a: int, num_b: int, width: int, spread: int):
    rng = np.random.default_rng(0)
    a, b = rows(rng, num_a, width, spread), rows(rng, num_b, width, spread)
    a[0], b[0] = 0, 0
    scores = a @ b.T  # whole numbers: exact in float32, too
    np.testing.assert_array_equal(max_cosine_partners(a, b), scores.argmax(axis=1))


def test_random_partners_are_live_and_depend_on_the_seed_alone():
    live = np.zeros(100, dtype=bool)
    live[[3, 50, 99]] = True
    found = random_partners(200, live, 1)
    assert set(found) == {3, 50, 99}
    np.testing.assert_array_equal(found, random_partners(200, live, 1))
    assert (found != random_partners(200, live, 2)).any()
    assert (random_partners(4, ~np.ones(3, dtype=bool), 0) == -1).all()


def test_cosines_of_pairs():
    a, b = np.array([[1.0, 0], [0.6, 0.8], [0, 1]]), np.array([[0.0, 1], [1, 0]])
    found = cosines(a, b, np.array([1, 0, -1]))
    np.testing.assert_allclose(found, [1, 0.8, np.nan])
