"""The contract of mutual_topk, for every backend: see test_topk_contract.py."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from twinsae.kernels.topk import mutual_topk, pack


@pytest.mark.parametrize(
    ("rows", "cols", "dim", "m"),
    [(1, 1, 3, 1), (1, 50, 4, 1), (50, 7, 4, 7), (131, 131, 5, 131),
     pytest.param(40, 290, 9, 16, marks=pytest.mark.first_contact),
     pytest.param(40, 3000, 9, 32, marks=pytest.mark.cpu_sizes),
     pytest.param(3300, 45, 6, 20, marks=pytest.mark.cpu_sizes),
     (13, 37, 0, 5), (0, 9, 3, None)],
)  # fmt: skip
def test_both_sides_equal_a_full_sort(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str,
    rows: int, cols: int, dim: int, m: int | None,
) -> None:  # fmt: skip
    a, b = make.integers(rows, dim), make.integers(cols, dim)
    if m is None:
        with pytest.raises(ValueError, match="m: expected 1 to 0"):
            mutual_topk(a, b, 1, backend=backend)
        return
    result = mutual_topk(a, b, m, backend=backend)
    scores = oracle.scores(a, b, None)
    for side, values, indices in (
        (scores, result.row_values, result.row_indices),
        (scores.T, result.col_values, result.col_indices),
    ):
        expected = oracle.topk(side, m, -np.inf)
        np.testing.assert_array_equal(indices.cpu().numpy(), expected[1])
        np.testing.assert_array_equal(values.cpu().numpy(), expected[0])


@pytest.mark.parametrize("floor", [-math.inf, 0.3])
@pytest.mark.parametrize(
    ("rows", "cols", "dim", "m"),
    [(1, 1, 3, 1), (50, 7, 4, 7), (40, 290, 70, 9),
     pytest.param(131, 131, 5, 131, marks=pytest.mark.cpu_sizes),
     pytest.param(40, 3000, 9, 32, marks=pytest.mark.cpu_sizes),
     pytest.param(200, 700, 1500, 12, marks=pytest.mark.cpu_sizes)],
)  # fmt: skip
def test_bounds_rule_out_what_is_not_listed(
    make: SimpleNamespace, backend: str, rows: int, cols: int, dim: int, m: int, floor: float
) -> None:
    a, b = (functional.normalize(make.reals(n, dim)) for n in (rows, cols))
    a[0], b[-1] = 0.0, b[0]
    result = mutual_topk(a, b, m, row_floor=floor, col_floor=floor, exact=False, backend=backend)
    scores = (a.double() @ b.double().T).cpu().numpy()
    for side, values, indices in (
        (scores, result.row_values.cpu().numpy(), result.row_indices.cpu().numpy()),
        (scores.T, result.col_values.cpu().numpy(), result.col_indices.cpu().numpy()),
    ):
        here = indices >= 0
        own = np.take_along_axis(side, indices.clip(0), 1)
        assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in indices)
        assert (values >= own - 1e-6)[here].all()
        assert (values <= own + 0.03)[here].all()
        assert (values > floor)[here].all()
        assert (np.diff(values, axis=1) <= 0)[here[:, 1:]].all()
        rest = side.copy()
        for row, listed in zip(rest, indices, strict=True):
            row[listed[listed >= 0]] = -np.inf
        known = np.where(here[:, -1], values[:, -1], floor)
        assert (rest.max(1) <= known + 1e-6).all()


@pytest.mark.first_contact
def test_what_has_no_bound_is_listed(make: SimpleNamespace, backend: str) -> None:
    a, b = make.integers(40, 5), make.integers(280, 5)
    a[7], b[3], b[30, 2] = math.nan, math.inf, math.nan  # all scores of a[7] and b[30] are NaN
    result = mutual_topk(a, b, 6, exact=False, backend=backend)
    finite = make.arange(280)[(make.arange(280) != 3) & (make.arange(280) != 30)]
    listed = (result.col_indices[finite] == 7).nonzero()
    assert len(listed) == len(finite)
    assert not result.col_values[finite][tuple(listed.T)].isfinite().any()
    assert (result.row_indices[make.arange(40) != 7] == 30).any(1).all()


@pytest.mark.parametrize("m", [9, 40])
def test_only_scores_above_the_floors_are_listed(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, m: int
) -> None:
    a, b = make.integers(40, 5), make.integers(90, 5)
    a[3], b[8, 1] = math.nan, math.inf
    scores = oracle.scores(a, b, None)
    # Some floors equal scores, which must not be listed; some rule out no score, and some all.
    row_floor, col_floor = np.nanmax(scores[:, 10:], 1, initial=-9), scores[7].copy()
    row_floor[4], row_floor[5], col_floor[6], col_floor[7] = -np.inf, np.inf, -np.inf, np.inf
    floors = {
        "row_floor": make.given(row_floor).float(),
        "col_floor": make.given(col_floor).float(),
    }
    result = mutual_topk(a, b, m, **floors, backend=backend)
    for side, floor, values, indices in (
        (scores, row_floor, result.row_values, result.row_indices),
        (scores.T, col_floor, result.col_values, result.col_indices),
    ):
        expected = oracle.topk(side, m, np.where(np.isnan(floor), np.inf, floor))
        np.testing.assert_array_equal(indices.cpu().numpy(), expected[1])
        np.testing.assert_array_equal(values.cpu().numpy(), expected[0])
    same = mutual_topk(a, b, m, row_floor=2.0, backend=backend)
    assert (same.row_values[same.row_indices >= 0].nan_to_num(nan=9.0) > 2).all()
    assert torch.equal(same.col_indices, mutual_topk(a, b, m, backend=backend).col_indices)


@pytest.mark.first_contact
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str, dtype: torch.dtype
) -> None:
    a, b = make.integers(60, 8, dtype=dtype), make.integers(70, 8, dtype=dtype)
    served = "auto" if dtype == torch.float64 else backend
    result = mutual_topk(a, b, 6, backend=served)
    scores = oracle.scores(a, b, None)
    np.testing.assert_array_equal(
        result.row_indices.cpu().numpy(), oracle.topk(scores, 6, -np.inf)[1]
    )
    np.testing.assert_array_equal(
        result.col_indices.cpu().numpy(), oracle.topk(scores.T, 6, -np.inf)[1]
    )
    assert result.col_values.dtype == dtype


@pytest.mark.first_contact
def test_non_finite_numbers(make: SimpleNamespace, oracle: SimpleNamespace, backend: str) -> None:
    a, b = make.integers(40, 5), make.integers(50, 5)
    a[7], a[20], b[3], b[30, 2] = math.nan, math.inf, -math.inf, math.nan
    result = mutual_topk(a, b, 40, backend=backend)
    scores = oracle.scores(a, b, None)
    rows, cols = oracle.topk(scores, 40, -np.inf), oracle.topk(scores.T, 40, -np.inf)
    np.testing.assert_array_equal(result.row_indices.cpu().numpy(), rows[1])
    np.testing.assert_array_equal(result.row_values.cpu().numpy(), rows[0])
    np.testing.assert_array_equal(result.col_indices.cpu().numpy(), cols[1])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", ["reals", "integers"])  # integers have many ties
def test_bits_do_not_depend_on_threads_or_packing(
    make: SimpleNamespace, backend: str, threads, kind: str, exact: bool
) -> None:
    draw, width = (make.reals, 1000) if kind == "reals" else (make.integers, 5)
    a, b = draw(190, width), draw(220, width)
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(mutual_topk(a, b, 12, exact=exact, backend=backend))
        results.append(mutual_topk(a, pack(b), 12, exact=exact, backend=backend))
    for other in results[1:]:
        assert all(torch.equal(p, q) for p, q in zip(results[0][:4], other[:4], strict=True))
        assert other.stats == results[0].stats  # each list has met the same scores in their order


def test_real_values_agree_with_float64(
    make: SimpleNamespace, oracle: SimpleNamespace, backend: str
) -> None:
    a, b = make.reals(70, 64), make.reals(90, 64)
    result = mutual_topk(a, b, 10, backend=backend)
    exact, size = oracle.scores(a, b, None), oracle.scores(a.abs(), b.abs(), None)
    bound = 66 * 2.0**-24 * size.max()
    np.testing.assert_allclose(
        result.row_values.cpu().numpy(), -np.sort(-exact, 1)[:, :10], rtol=0, atol=bound
    )
    np.testing.assert_allclose(
        result.col_values.cpu().numpy(), -np.sort(-exact.T, 1)[:, :10], rtol=0, atol=bound
    )


def test_wrong_arguments_are_named(backend: str) -> None:
    a, b = torch.ones(5, 3), torch.ones(4, 3)
    for m in (0, 5):
        with pytest.raises(ValueError, match="m: expected 1 to 4"):
            mutual_topk(a, b, m, backend=backend)
    for name, length in (("row_floor", 5), ("col_floor", 4)):
        with pytest.raises(ValueError, match=rf"{name}: expected shape \({length},\)"):
            mutual_topk(a, b, 1, **{name: torch.ones(3)}, backend=backend)
        with pytest.raises(ValueError, match=f"{name}: expected a number, got nan"):
            mutual_topk(a, b, 1, **{name: math.nan}, backend=backend)
    with pytest.raises(ValueError, match=r"b: expected shape \(4, 2\)"):
        mutual_topk(a[:, :2], b, 1, backend=backend)
    with pytest.raises(TypeError, match=r"b: expected torch\.float32"):
        mutual_topk(a, b.double(), 1, backend=backend)


def test_parameters_are_taken_as_they_are(make: SimpleNamespace, backend: str) -> None:
    a = make.reals(5, 3).requires_grad_()
    assert not mutual_topk(a, a, 2, backend=backend).row_values.requires_grad
