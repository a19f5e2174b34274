"""`verify` accepts what is right and objects to everything that is not."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from twinsae.matching import Matching, match, verify


@pytest.fixture
def case(make_pair):
    """More latents in B than in A; some of them dead."""
    a, b = make_pair(40, 55, 12)
    a[3], b[[7, 8]] = 0, 0
    return a, b, match(a, b)


def altered(values, index, value):
    values = values.copy()
    values[index] = value
    return values


@pytest.mark.parametrize(("num_a", "num_b"), [(1, 1), (1, 6), (6, 1), (30, 30), (30, 50), (50, 30)])
def test_a_right_matching_is_valid(num_a, num_b, make_pair, cosines, best_objective):
    a, b = make_pair(num_a, num_b, 12)
    certificate = verify(a, b, match(a, b))
    optimum = best_objective(cosines(a, b))
    assert certificate.valid
    assert certificate.reasons == ()
    assert certificate.objective == pytest.approx(optimum, abs=1e-10)
    assert certificate.upper_bound == pytest.approx(optimum, abs=1e-10)
    assert abs(certificate.gap) < 1e-10
    assert abs(certificate.worst_violation) < 1e-14


def test_another_optimal_matching_is_valid_too():
    a, b = np.eye(2, 3), np.array([[0.0, 0, 1], [0, 0, 2]])  # every cosine is 0
    matching = match(a, b)
    assert verify(a, b, matching).valid
    assert verify(a, b, replace(matching, cols=matching.cols[::-1])).valid


def test_a_matching_read_from_its_file_is_valid(case, tmp_path):
    a, b, matching = case
    matching.save(tmp_path / "decoder.npz")
    assert verify(a, b, Matching.load(tmp_path / "decoder.npz")).valid


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tensors_of_low_precision(dtype, make_pair):
    a, b = (torch.from_numpy(rows).to(dtype) for rows in make_pair(30, 40, 12))
    assert verify(a, b, match(a, b)).valid
    assert not verify(a.float() * 1.001, b.to(torch.float64) + 1e-3, match(a, b)).valid


def test_many_blocks_are_as_one(monkeypatch, case):
    whole = verify(*case)
    monkeypatch.setattr("twinsae.matching.rows._BLOCK_ROWS", 7)
    parts = verify(*case)
    assert parts.valid
    assert parts.objective == pytest.approx(whole.objective, abs=1e-13)
    assert parts.worst_violation == pytest.approx(whole.worst_violation, abs=1e-14)


def test_the_pass_tells_its_progress(case):
    told = []
    verify(*case, progress=lambda *call: told.append(call))
    assert told == [("verify", 0, 40, "latents"), ("verify", 40, 40, "latents")]


def test_nothing_of_the_solver_is_used(monkeypatch, case):
    def broken(*_):
        raise AssertionError("the solver's own arithmetic")

    monkeypatch.setattr("twinsae.matching.similarity.unit_rows", broken)
    monkeypatch.setattr("twinsae.matching.dense.similarity_tiles", broken)
    assert verify(*case).valid


def swap_two(m):
    return {"cols": altered(m.cols, [0, 1], m.cols[[1, 0]])}


def true_cosines(a, b, rows, cols):
    a, b = a[rows].astype(np.float64), b[cols].astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.where(norms > 0, norms, 1)


FORM = {
    "a pair too few": (
        lambda m: {name: getattr(m, name)[:-1] for name in ("rows", "cols", "cosine")},
        "rows has 39 entries, not 40",
    ),
    "no pair": (
        lambda m: {name: getattr(m, name)[:0] for name in ("rows", "cols", "cosine")},
        "cols has 0 entries, not 40",
    ),
    "a latent of B twice": (
        lambda m: {"cols": altered(m.cols, 5, m.cols[6])},
        "cols names a latent twice",
    ),
    "a latent of A twice": (
        lambda m: {"rows": altered(m.rows, 5, m.rows[6])},
        "rows names a latent twice",
    ),
    "an index below 0": (lambda m: {"cols": altered(m.cols, 5, -1)}, "outside 0 to 54"),
    "an index beyond the end": (lambda m: {"rows": altered(m.rows, 39, 40)}, "outside 0 to 39"),
    "rows that descend": (
        lambda m: {"rows": m.rows[::-1], "cols": m.cols[::-1], "cosine": m.cosine[::-1]},
        "rows do not ascend",
    ),
    "a row price too few": (lambda m: {"row_price": m.row_price[:-1]}, "row_price has 39"),
    "a column price too many": (
        lambda m: {"col_price": np.append(m.col_price, 0.0)},
        "col_price has 56",
    ),
    "a NaN price": (
        lambda m: {"row_price": altered(m.row_price, 3, np.nan)},
        "row_price holds NaN",
    ),
    "an infinite price": (
        lambda m: {"col_price": altered(m.col_price, 3, np.inf)},
        "col_price holds NaN or an infinity",
    ),
    "a NaN cosine": (lambda m: {"cosine": altered(m.cosine, 3, np.nan)}, "cosine holds NaN"),
    "maxima of the other side": (
        lambda m: {"row_max": m.col_max, "col_max": m.row_max},
        "row_max has 55 entries, not 40",
    ),
}

CONTENT = {
    "two matches swapped": (swap_two, r"cosine\[\d+\] is recorded as"),
    "a cosine": (lambda m: {"cosine": altered(m.cosine, 9, m.cosine[9] + 3e-7)}, r"cosine\[9\]"),
    "a best cosine of A": (lambda m: {"row_max": m.row_max - 3e-7}, r"row_max\["),
    "a best cosine of B": (lambda m: {"col_max": altered(m.col_max, 54, 1)}, r"col_max\[54\]"),
    "the objective": (lambda m: {"objective": m.objective + 1e-6}, "objective is recorded"),
    "a NaN objective": (lambda _: {"objective": np.nan}, "objective is recorded as nan"),
    "the bound": (lambda m: {"upper_bound": m.upper_bound - 1e-6}, "upper_bound is recorded"),
    "a row price too low": (
        lambda m: {"row_price": altered(m.row_price, 4, m.row_price[4] - 1e-6)},
        "the prices are exceeded by a cosine, by 1e-06",
    ),
    "a row price too high": (
        lambda m: {"row_price": altered(m.row_price, 4, m.row_price[4] + 1e-6)},
        "the gap is 1e-06",
    ),
    "row prices of nothing": (lambda m: {"row_price": 0 * m.row_price}, "the prices are exceeded"),
    "a column price below 0": (
        lambda m: {"col_price": altered(m.col_price, m.cols[2], -1e-3)},
        "col_price is negative, down to -0.001",
    ),
    "a price where unmatched": (
        lambda m: {
            "col_price": altered(m.col_price, np.setdiff1d(np.arange(55), m.cols)[0], 1e-12)
        },
        "col_price is not 0 for 1 unmatched latents",
    ),
    "prices shifted by a constant": (
        lambda m: {"row_price": m.row_price - 0.01, "col_price": m.col_price + 0.01},
        "col_price is not 0 for 15 unmatched",
    ),
    "the sides' prices exchanged": (
        lambda m: {
            "row_price": m.col_price[:40],
            "col_price": np.append(m.row_price, np.zeros(15)),
        },
        "exceeded|gap",
    ),
}


@pytest.mark.parametrize("name", FORM)
def test_a_matching_of_wrong_form_is_not_valid(name, case):
    a, b, matching = case
    corrupt, reason = FORM[name]
    certificate = verify(a, b, replace(matching, **corrupt(matching)))
    assert not certificate.valid
    assert any(reason in given for given in certificate.reasons), certificate.reasons
    assert np.isnan([certificate.objective, certificate.upper_bound, certificate.gap]).all()


@pytest.mark.parametrize("name", CONTENT)
def test_a_matching_of_wrong_content_is_not_valid(name, case):
    a, b, matching = case
    corrupt, reason = CONTENT[name]
    certificate = verify(a, b, replace(matching, **corrupt(matching)))
    assert not certificate.valid
    assert any(re.search(reason, given) for given in certificate.reasons), certificate.reasons


def test_a_consistent_but_worse_matching_is_not_valid(case):
    """All that is recorded is true, but another matching is better."""
    a, b, matching = case
    cols = swap_two(matching)["cols"]
    cosine = true_cosines(a, b, matching.rows, cols)
    worse = replace(matching, cols=cols, cosine=cosine, objective=cosine.sum())
    certificate = verify(a, b, worse)
    assert len(certificate.reasons) == 1
    assert certificate.reasons[0].startswith("the gap is")
    assert certificate.gap == pytest.approx(matching.objective - cosine.sum())


def test_the_larger_sides_prices_are_checked_when_it_is_a(make_pair):
    a, b = make_pair(55, 40, 12)
    matching = match(a, b)
    unmatched = np.setdiff1d(np.arange(55), matching.rows)[0]
    wrong = replace(matching, row_price=altered(matching.row_price, unmatched, 0.5))
    assert "row_price is not 0 for 1 unmatched latents" in verify(a, b, wrong).reasons


def test_other_dictionaries_than_those_matched(case):
    a, b, matching = case
    changed = altered(b, (5, 2), b[5, 2] + 0.1)
    assert not verify(a, changed, matching).valid
    assert not verify(a[::-1], b, matching).valid
    assert not verify(b, a, matching).valid
    assert not verify(a, b[:-1], matching).valid


def test_dictionaries_that_are_none_are_refused(case):
    a, b, matching = case
    with pytest.raises(ValueError, match=r"^b holds NaN or an infinity in row 5$"):
        verify(a, altered(b, 5, np.nan), matching)
    with pytest.raises(ValueError, match="same d_in"):
        verify(a, b[:, :-1], matching)
