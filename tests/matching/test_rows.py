"""Stored rows: their cosines, and the rows at length 1, against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from twinsae.matching.rows import StoredRows, check_double
from twinsae.matching.solver.selection import (
    Selection,
    edge_cosines,
    edge_cosines_by_torch,
    scan_error,
)

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(params=["", "avx2", "portable"])
def instructions(request, monkeypatch):
    monkeypatch.setenv("TWINSAE_CPU_ISA", request.param)


def select(matrix, name="a"):
    stored = StoredRows(matrix, name)
    return Selection(stored, torch.arange(stored.num_latents))


def exact(side):
    """The rows in numpy's widest floats."""
    return side.stored.matrix.double().numpy().astype(np.longdouble)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("d_in", [1, 7, 8, 31, 32, 45, 130])
@pytest.mark.parametrize("of_b", DTYPES, ids=str)
@pytest.mark.parametrize("of_a", DTYPES, ids=str)
def test_cosines_are_those_of_the_stored_values(of_a, of_b, d_in):
    rng = np.random.default_rng(d_in)
    a = select(torch.from_numpy(rng.standard_normal((20, d_in))).to(of_a))
    b = select(torch.from_numpy(1000 * rng.standard_normal((30, d_in))).to(of_b))
    rows, cols = (part.ravel().astype(np.int32) for part in np.indices((20, 30)))
    norms = [np.sqrt((exact(side) ** 2).sum(1)) for side in (a, b)]
    expected = (exact(a) @ exact(b).T / np.outer(*norms)).ravel().astype(np.float64)
    for order in (slice(None), rng.permutation(600)):
        for compute in (edge_cosines, edge_cosines_by_torch):
            found = compute(a, b, rows[order], cols[order])
            np.testing.assert_allclose(found, expected[order], rtol=0, atol=1e-15)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_of_length_one_are_rounded_once(dtype):
    rng = np.random.default_rng(0)
    side = select(torch.from_numpy(rng.standard_normal((70, 37))).to(dtype))
    rows = rng.permutation(70)[:65]
    unit = exact(side) / np.sqrt((exact(side) ** 2).sum(1, keepdims=True))
    found = side.unit(rows)
    assert found.dtype == torch.float32
    # A number halfway between two float32 may go either way after float64's own rounding.
    np.testing.assert_allclose(found, unit[rows].astype(np.float64), rtol=2**-24 * 1.0001, atol=0)
    wide = side.stored.unit_wide(torch.from_numpy(rows))
    np.testing.assert_allclose(wide, unit[rows].astype(np.float64), rtol=1e-15)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_smallest_and_largest_numbers(dtype):
    info = torch.finfo(dtype)
    tiny = info.smallest_normal * info.eps  # the smallest that is not zero
    rows = torch.tensor(
        [[3, 4], [tiny, 0], [0, 5 * tiny], [info.max, -info.max], [0, 0]], dtype=torch.float64
    )
    side = select(rows.to(dtype))
    half = math.sqrt(0.5)
    unit = np.array([[0.6, 0.8], [1, 0], [0, 1], [half, -half], [0, 0]])
    np.testing.assert_allclose(side.unit(np.arange(5)), unit, rtol=1e-7)
    ends = [part.ravel().astype(np.int32) for part in np.indices((5, 5))]
    for compute in (edge_cosines, edge_cosines_by_torch):
        found = compute(side, side, *ends).reshape(5, 5)
        np.testing.assert_allclose(found, unit @ unit.T, rtol=0, atol=1e-15)


@pytest.fixture(params=[1, 3, None], ids=["1 thread", "3 threads", "torch"])
def measured_by(request, monkeypatch):
    """C++ with so many threads, or torch, as without the extension."""
    if request.param is None:
        monkeypatch.setattr(StoredRows, "for_native", False)
        return
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)


@pytest.mark.usefixtures("instructions", "measured_by")
@pytest.mark.parametrize("d_in", [1, 7, 8, 45, 260])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_lengths_are_those_of_scaled_rows(dtype, d_in):
    rng = np.random.default_rng(d_in)
    info = torch.finfo(dtype)
    rows = torch.from_numpy(rng.standard_normal((200, d_in))).to(dtype)
    rows[70], rows[71] = 0, torch.full((d_in,), -info.max, dtype=dtype)
    rows[199, -1] = info.smallest_normal * info.eps
    rows[199, :-1] = 0
    side = StoredRows(rows, "a")
    exact = rows.double().numpy().astype(np.longdouble)
    largest = np.abs(exact).max(1)
    scaled = exact * side.scale.numpy()[:, None]
    assert (np.frexp(side.scale.numpy())[0] == 0.5).all()
    usual = (largest > 2.0**-1022) & (largest < 2.0**1022)  # a power of two brings it near 1
    assert usual.sum() == (197 if dtype == torch.float64 else 199)
    assert (np.abs(scaled[usual]).max(1) >= 0.5).all()
    assert (np.abs(scaled[usual]) < 1).all()
    assert (np.abs(scaled) <= 4).all()
    assert side.scale[70] == 1
    np.testing.assert_allclose(side.norm, np.sqrt((scaled**2).sum(1)).astype(float), rtol=1e-15)


@pytest.mark.usefixtures("instructions", "measured_by")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_first_row_that_is_not_finite_is_named(dtype, bad):
    rng = np.random.default_rng(0)
    for row, place in ((0, 0), (63, 8), (64, 36), (299, 36), (131, 17)):
        rows = torch.from_numpy(rng.standard_normal((300, 37))).to(dtype)
        rows[row, place] = bad
        rows[-1, 5] = math.nan
        with pytest.raises(ValueError, match=f"^a holds NaN or an infinity in row {row}$"):
            StoredRows(rows, "a")


def test_a_selection_numbers_its_rows_anew():
    matrix = torch.randn(9, 5, dtype=torch.float64)
    stored = StoredRows(matrix, "a")
    side = Selection(stored, torch.tensor([7, 2, 3]))
    unit = matrix / matrix.norm(dim=1, keepdim=True)
    torch.testing.assert_close(side.unit(np.array([2, 0])), unit[[3, 7]].float())
    ends = np.array([0, 1, 2], np.int32), np.array([2, 1, 0], np.int32)
    expected = (unit[[7, 2, 3]] * unit[[3, 2, 7]]).sum(1)
    for compute in (edge_cosines, edge_cosines_by_torch):
        np.testing.assert_allclose(compute(side, side, *ends), expected, atol=1e-15)


def test_zero_rows_are_not_live():
    matrix = torch.tensor([[0.0, 1e-45], [0.0, 0.0], [-0.0, 0.0], [1.0, 0.0]])
    assert StoredRows(matrix, "a").live().tolist() == [0, 3]


def test_a_device_without_float64_is_refused():
    with pytest.raises(ValueError, match=r"^a must be on a device that has float64, .* mps: use"):
        check_double("a", torch.device("mps"))
    check_double("a", torch.device("cuda"))


def test_nothing_is_copied_or_written(make_pair):
    a, _ = make_pair(50, 50, 8)
    a.setflags(write=False)
    stored = StoredRows(a, "a")
    assert stored.matrix.data_ptr() == a.ctypes.data


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 64, 700]), st.booleans())
def test_scores_of_float32_rows_are_as_close_as_is_said(seed, d_in, same_sign):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 40, d_in))
    if same_sign:  # no rounding errors cancel
        a, b = abs(a), abs(b)
    a, b = select(a), select(b)
    ends = [part.ravel().astype(np.int32) for part in np.indices((40, 40))]
    cosine = edge_cosines(a, b, *ends).reshape(40, 40)
    left, right = a.unit(np.arange(40)).numpy(), b.unit(np.arange(40)).numpy()
    score = np.zeros((40, 40), np.float32)
    for d in range(d_in):  # one term after another, the worst order
        score += np.outer(left[:, d], right[:, d])
    assert np.abs(score - cosine).max() <= scan_error(d_in)


def test_rows_too_long_for_float32_sums_have_no_bound():
    assert scan_error(2**23) == math.inf
    assert scan_error(4096) < 3e-4
