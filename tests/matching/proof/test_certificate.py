"""`verify` accepts what is right and objects to everything that is not."""

import re
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from twinsae.common.progress import silent
from twinsae.matching import Matching, match, verify
from twinsae.matching.proof import full_pass
from twinsae.matching.rows import StoredRows


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


def test_many_tiles_are_as_one(monkeypatch, case):
    whole = verify(*case)
    monkeypatch.setattr(full_pass, "_TILE", 7)
    monkeypatch.setattr(full_pass, "_STRIPE_ELEMENTS", 1)
    monkeypatch.setattr("twinsae.matching.rows._BLOCK_ROWS", 5)
    parts = verify(*case)
    assert parts.valid
    assert parts.objective == pytest.approx(whole.objective, abs=1e-13)
    assert parts.worst_violation == pytest.approx(whole.worst_violation, abs=1e-14)


def test_the_pass_tells_its_progress(case):
    told = []
    verify(*case, progress=lambda *call: told.append(call))
    pairs = 39 * 53  # of rows that are not zero
    assert told == [("verify", 0, pairs, "pairs"), ("verify", pairs, pairs, "pairs")]


def test_nothing_of_the_solver_or_of_the_kernels_is_used(monkeypatch, case):
    def broken(*_):
        raise AssertionError("the solver's own arithmetic")

    monkeypatch.setattr("twinsae.matching.solver.on_matrix._similarity", broken)
    for kernel in ("linear_topk", "mutual_topk", "pairs_above"):
        monkeypatch.setattr(f"twinsae.kernels.topk.api.{kernel}", broken)
    assert verify(*case).valid
    assert not any("kernels" in name for name in vars(full_pass))


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
    "a price that is no price of cosines": (
        lambda m: {"row_price": altered(m.row_price, 3, -1e300)},
        "row_price goes beyond 1,000,000 either way",
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
    "the objective of another matching": (
        lambda m: {"objective": 0.9 * m.objective, "upper_bound": 0.9 * m.upper_bound},
        "objective is recorded",
    ),
    "a NaN bound": (lambda _: {"upper_bound": np.nan}, "upper_bound is recorded as nan"),
    "cosines of other pairs": (lambda m: {"cosine": m.cosine[::-1]}, r"cosine\[\d+\] is recorded"),
    "a best cosine of A, too low": (
        lambda m: {"row_max": altered(m.row_max, 7, -9.0)},
        r"row_max\[7\]",
    ),
    "the bound": (lambda m: {"upper_bound": m.upper_bound - 1e-6}, "upper_bound is recorded"),
    "a row price too low": (
        lambda m: {"row_price": altered(m.row_price, 4, m.row_price[4] - 1e-6)},
        "the prices are exceeded by a cosine, by 1e-06",
    ),
    "a row price too high": (
        lambda m: {"row_price": altered(m.row_price, 4, m.row_price[4] + 1e-6)},
        "the gap is 1e-06",
    ),
    "a column price too low": (
        lambda m: {"col_price": altered(m.col_price, m.cols[4], m.col_price[m.cols[4]] - 2e-9)},
        "the prices are exceeded by a cosine, by 2e-09",
    ),
    "all row prices a little too low": (
        lambda m: {"row_price": m.row_price - 2e-9},
        "the prices are exceeded by a cosine, by 2e-09",
    ),
    "all row prices a little too high": (
        lambda m: {"row_price": m.row_price + 2e-9},
        "the gap is 8e-08",
    ),
    "two prices exchanged": (
        lambda m: {"row_price": altered(m.row_price, [0, 1], m.row_price[[1, 0]])},
        "the prices are exceeded",
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


def test_prices_of_equal_sides_may_be_shifted(make_pair):
    a, b = make_pair(30, 30, 12)
    matching = match(a, b)
    row_price, col_price = matching.row_price + 0.5, matching.col_price - 0.5
    assert verify(a, b, replace(matching, row_price=row_price, col_price=col_price)).valid


def pass_over(a, b, row_price, col_price, floors=(-np.inf, -np.inf)):
    """Worst violation, and best cosines above the floors, by the pass."""
    stored = StoredRows(a, "a"), StoredRows(b, "b")
    floors = [np.full(len(rows), floor) for rows, floor in zip((a, b), floors, strict=True)]
    look = full_pass.FullPass(*stored, full_pass.Claims(row_price, col_price, *floors))
    look.look_at(np.array([0]), np.array([0]))
    look.run(silent)
    return look


SIZES = st.integers(1, 12)


@settings(deadline=None)  # the machine may be busy
@given(num_a=SIZES, num_b=SIZES, d_in=st.integers(1, 5), tile=st.integers(1, 5), data=st.data())
def test_the_pass_finds_the_worst_violation_and_the_best_cosines(num_a, num_b, d_in, tile, data):
    """Against float64 written out; small integers give ties, zero rows and equal rows."""
    numbers = st.integers(-2, 2).map(float)
    a, b, u, v = (
        data.draw(arrays(np.float64, shape, elements=numbers))
        for shape in ((num_a, d_in), (num_b, d_in), num_a, num_b)
    )
    u, v = u * 0.7, v + 1e-9 * np.arange(num_b)
    rows, cols = np.indices((num_a, num_b)).reshape(2, -1)
    expected = true_cosines(a, b, rows, cols).reshape(num_a, num_b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full_pass, "_TILE", tile)
        patch.setattr(full_pass, "_STRIPE_ELEMENTS", 2 * tile * d_in)
        patch.setattr(full_pass, "_CROWD", data.draw(st.sampled_from([0, 1, 64])))
        look = pass_over(a, b, u, v)
        prices_alone = pass_over(a, b, u, v, floors=(2, 2))
    worst = (expected - u[:, None] - v).max()
    assert look.worst_violation == pytest.approx(worst, abs=1e-14)
    assert prices_alone.worst_violation == pytest.approx(worst, abs=1e-14)
    np.testing.assert_allclose(look.row_max, expected.max(axis=1), rtol=0, atol=1e-14)
    np.testing.assert_allclose(look.col_max, expected.max(axis=0), rtol=0, atol=1e-14)


@pytest.fixture
def alike(monkeypatch):
    """Two dictionaries whose 10,000 cosines a product as bad as its bound cannot tell apart."""

    def bad_product(left, right):
        exact = left.double() @ right.double()
        errors = torch.rand(exact.shape, dtype=torch.float64) * 2 - 1
        return (exact + 0.95 * errors * full_pass.product_rounding(left.shape[1])).float()

    monkeypatch.setattr(torch, "mm", bad_product)
    monkeypatch.setattr(full_pass, "_true_float32", lambda _: nullcontext())
    monkeypatch.setattr(full_pass, "_CROWD", 0)  # each pair on its own, none by chance
    monkeypatch.setattr(full_pass, "_TILE", 10)
    monkeypatch.setattr(full_pass, "_STRIPE_ELEMENTS", 1)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(300) + 1e-4 * rng.standard_normal((2, 100, 300))
    rows, cols = np.indices((100, 100)).reshape(2, -1)
    return a, b, true_cosines(a, b, rows, cols).reshape(100, 100)


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("pair", [(63, 17), (1, 99), (99, 1), (40, 41)])
def test_a_violation_far_below_float32_is_found(pair, shift, alike):
    a, b, cosine = alike
    row_price = np.full(100, 0.001 + shift)
    col_price = (cosine - row_price[:, None]).max(axis=0) + 1e-9
    row_price[pair[0]] = cosine[pair] - col_price[pair[1]] - 1e-10
    look = pass_over(a, b, row_price, col_price, floors=(2, 2))
    worst = (cosine - row_price[:, None] - col_price).max()
    assert worst > 0.99e-10
    assert look.worst_violation == pytest.approx(worst, abs=1e-12)


def test_best_cosines_that_float32_cannot_tell_from_others(alike):
    a, b, cosine = alike
    row_price = np.append(0, np.ones(99))  # row 0 alone comes close to its prices
    look = pass_over(a, b, row_price, np.ones(100), floors=(-2, 2))
    np.testing.assert_allclose(look.row_max, cosine.max(axis=1), rtol=0, atol=1e-15)
    look = pass_over(a, b, row_price, np.ones(100), floors=(2, -2))
    np.testing.assert_allclose(look.col_max, cosine.max(axis=0), rtol=0, atol=1e-15)


def test_few_pairs_need_float64_even_if_nothing_is_known(monkeypatch, make_pair):
    looked = []
    closer = full_pass.FullPass._look_closer

    def counting(self, rows, cols):
        looked.append(len(rows))
        closer(self, rows, cols)

    monkeypatch.setattr(full_pass.FullPass, "_look_closer", counting)
    monkeypatch.setattr(full_pass, "_TILE", 20)
    a, b = make_pair(400, 400, 12)
    pass_over(a, b, np.zeros(400), np.zeros(400))
    assert sum(looked) < 0.2 * 400 * 400


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e300])
def test_rows_of_extreme_length(scale, make_pair):
    a, b = (rows.astype(np.float64) for rows in make_pair(20, 30, 12))
    matching = match(a, b)
    assert verify(a * scale, b / scale, matching).valid
    assert verify(a * scale, b * scale, matching).valid


def test_dictionaries_of_zeros():
    a, b = np.zeros((5, 3)), np.zeros((7, 3))
    matching = match(a, b)
    certificate = verify(a, b, matching)
    assert certificate.valid
    assert (certificate.objective, certificate.upper_bound) == (0, 0)
    wrong = replace(matching, row_price=altered(matching.row_price, 2, -1e-6))
    assert verify(a, b, wrong).worst_violation == pytest.approx(1e-6)


@pytest.mark.parametrize("d_in", [1, 2, 3, 17, 768, 5000])
def test_float32_products_stay_within_their_bound(d_in):
    rng = np.random.default_rng(d_in)
    for exponent in (0, 8):
        stored = rng.standard_normal((2, 200, d_in)) * np.exp(exponent * rng.random((2, 200, d_in)))
        units = [full_pass.unit_rows(StoredRows(rows, ""), np.arange(200)) for rows in stored]
        error = units[0].float() @ units[1].float().T - units[0] @ units[1].T
        assert error.abs().max() <= full_pass.product_rounding(d_in)
        same = units[0].float().square().sum(1) - 1
        assert same.abs().max() <= full_pass.product_rounding(d_in)


def test_torch_may_have_been_told_to_round_products(case):
    """bfloat16 factors, where the processor has instructions for them, would hide violations."""
    left, right = (torch.nn.functional.normalize(rows) for rows in torch.randn(2, 1024, 768))
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert verify(*case).valid
            with full_pass._true_float32(768):
                product = torch.mm(left, right.T)
        assert torch.get_float32_matmul_precision() == "medium"
        assert (product - left.double() @ right.double().T).abs().max() < 1e-6
    finally:
        torch.set_float32_matmul_precision("highest")


def test_products_of_rounded_factors_are_refused(monkeypatch, case):
    monkeypatch.setattr(
        torch, "mm", lambda left, right: (left.bfloat16() @ right.bfloat16()).float()
    )
    with pytest.raises(RuntimeError, match="rounds the factors"):
        verify(*case)
