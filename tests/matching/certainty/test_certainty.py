"""The fall of the optimum without a pair, beside the problem solved without that pair."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from twinsae.matching import match
from twinsae.matching.certainty import bounds, certainty

SIZES = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 60), (30, 30), (60, 60), (23, 41), (41, 23), (59, 60)]


def normal(_, a, b):
    return a, b


def tied(_, a, b):
    return np.sign(a[:, :3] @ np.ones((3, a.shape[1]))), np.sign(b)


def with_zeros(rng, a, b):
    return a * (rng.random((len(a), 1)) < 0.6), b * (rng.random((len(b), 1)) < 0.7)


def with_equal_rows(rng, a, b):
    return a[rng.integers(0, (len(a) + 1) // 2, len(a))], b[rng.integers(0, len(b), len(b))]


def all_zero(_, a, b):
    return a * 0, b * 0


KINDS = (normal, tied, with_zeros, with_equal_rows, all_zero)


@pytest.fixture
def falls(cosines):
    """Solve each problem without the pair by another solver."""

    def solve(a, b, matching):
        similarity = cosines(a, b)
        best = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
        found = []
        for row, col in zip(matching.rows, matching.cols, strict=True):
            without = similarity.copy()
            without[row, col] = -1e6
            rest = without[linear_sum_assignment(without, maximize=True)].sum()
            found.append(best - rest if rest > -1e5 else np.inf)
        return np.array(found)

    return solve


@pytest.mark.parametrize("limits", [(13, 500), (3, 500), (3, 4), (2, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_fall_lies_between_its_bounds(kind, limits, make_pair, falls, monkeypatch):
    monkeypatch.setattr(bounds, "_LISTED", limits[0])
    monkeypatch.setattr(bounds, "_MOST_SETTLED", limits[1])
    rng = np.random.default_rng(0)
    for seed, (num_a, num_b) in enumerate(SIZES):
        a, b = kind(rng, *make_pair(num_a, num_b, 12, seed))
        matching = match(a, b)
        found, fall = certainty(a, b, matching), falls(a, b, matching)
        np.testing.assert_array_equal(found.rows, matching.rows)
        np.testing.assert_array_equal(found.cols, matching.cols)
        assert (found.lower >= 0).all()
        assert (found.lower <= fall + 1e-11).all()
        assert (fall <= found.upper + 1e-11).all()
        if limits == (13, 500) and kind is normal:
            assert found.exact.mean() > 0.9


def test_whole_lists_and_searches_give_the_fall_itself(make_pair, falls, monkeypatch):
    monkeypatch.setattr(bounds, "_LISTED", 100)
    for num_a, num_b in SIZES:
        a, b = make_pair(num_a, num_b, 12, seed=num_a)
        matching = match(a, b)
        found, fall = certainty(a, b, matching), falls(a, b, matching)
        assert found.exact.all()
        np.testing.assert_allclose(found.lower, fall, rtol=0, atol=1e-10)


def test_by_hand():
    # Cosines 1 and 0.6 with the first column, 0.8 and 0 with the second; the optimum is 0.8 + 0.6.
    a = np.array([[0.6, 0.8], [1.0, 0.0]])
    b = np.array([[0.6, 0.8], [0.0, 1.0]])
    found = certainty(a, b, match(a, b))
    np.testing.assert_allclose(found.lower, [0.4, 0.4], atol=1e-10)
    assert found.exact.all()
    # A third column of cosines -0.8 and 0: nothing changes. One like the second: no pair matters.
    for third, fall in (([0.0, -1.0], [0.4, 0.4]), ([0.0, 1.0], [0.0, 0.4])):
        wide = np.append(b, [third], axis=0)
        for pair in ((a, wide), (wide, a)):
            found = certainty(*pair, match(*pair))
            np.testing.assert_allclose(sorted(found.upper), sorted(fall), atol=1e-10)


def test_a_gap_widens_the_bounds(make_pair):
    a, b = make_pair(30, 40, 12)
    matching = match(a, b)
    found = certainty(a, b, matching)
    loose = certainty(a, b, replace(matching, upper_bound=matching.upper_bound + 0.01))
    np.testing.assert_allclose(loose.upper, found.upper + 0.01, atol=1e-9)
    np.testing.assert_allclose(loose.lower, (found.lower - 0.01).clip(min=0), atol=1e-9)
    assert not loose.exact.any()


def test_threads_and_storage_change_nothing(make_pair):
    a, b = (torch.from_numpy(rows).bfloat16() for rows in make_pair(900, 1000, 16))
    matching = match(a, b)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(certainty(a, b, matching))
    finally:
        torch.set_num_threads(before)
    results.append(certainty(a.double().numpy(), b.double().numpy(), matching))
    for other in results[1:]:
        np.testing.assert_allclose(other.lower, results[0].lower, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.upper, results[0].upper, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(results[1].upper, results[0].upper)


def test_a_matching_of_other_sizes_is_refused(make_pair):
    a, b = make_pair(6, 9, 4)
    with pytest.raises(ValueError, match=r"^matching: expected one of 6 and 8 latents, got 6"):
        certainty(a, b[:8], match(a, b))
    matching = match(a, b)
    twice = replace(matching, cols=matching.cols[[0, 0, 1, 2, 3, 4]])
    with pytest.raises(ValueError, match=r"^matching: cols must name latents below 9, each"):
        certainty(a, b, twice)
    turned = replace(matching, rows=matching.rows[::-1], cols=matching.cols[::-1])
    with pytest.raises(ValueError, match="rows must ascend"):
        certainty(a, b, turned)


def test_the_summary_counts_pairs():
    found = bounds.Certainty(
        rows=np.arange(4),
        cols=np.arange(4),
        lower=np.array([0.0, 0.005, 0.5, np.inf]),
        upper=np.array([0.0, 0.5, 0.5 + 1e-7, np.inf]),
    )
    assert found.summary() == {"exact": 0.75, "replaceable": 0.25, "needed": 0.5}
