"""`match` by the dense matrix against scipy's solver, on instances of every shape."""

import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from twinsae.matching import match
from twinsae.matching.solver.on_matrix import matrix_memory

# The fixtures that hypothesis complains about are pure functions.


@pytest.fixture(autouse=True)
def always_dense(monkeypatch):
    monkeypatch.setattr("twinsae.matching.solver.on_matrix._FASTER_UP_TO", 4096)


quiet = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
sizes = st.integers(1, 9)


@st.composite
def dictionaries(draw, entries):
    width = draw(st.integers(1, 4))
    return tuple(draw(arrays(np.float64, (draw(sizes), width), elements=entries)) for _ in "ab")


@quiet
@given(pair=dictionaries(st.integers(-1, 1).map(float)))
def test_matches_scipy_where_rows_tie_repeat_and_vanish(pair, cosines, assert_optimal):
    assert_optimal(match(*pair), cosines(*pair))


@quiet
@given(pair=dictionaries(st.floats(-1, 1, width=32).filter(lambda x: abs(x) > 1e-6)))
def test_matches_scipy_on_real_values(pair, cosines, assert_optimal):
    assert_optimal(match(*pair), cosines(*pair))


@pytest.mark.parametrize(
    ("num_a", "num_b"), [(1, 1), (1, 2), (2, 1), (2, 2), (1, 7), (7, 1), (3, 5), (5, 3)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_matches_scipy_on_tiny_shapes_of_one_sign(num_a, num_b, sign, cosines, assert_optimal):
    rng = np.random.default_rng(num_a * 10 + num_b)
    a, b = rng.uniform(0.1, 1, (num_a, 3)), sign * rng.uniform(0.1, 1, (num_b, 3))
    assert_optimal(match(a, b), cosines(a, b))


@pytest.mark.parametrize(("num_a", "num_b"), [(301, 301), (301, 187), (187, 301), (5, 301)])
def test_matches_scipy_on_dictionaries_with_dead_and_tied_rows(
    num_a, num_b, make_pair, cosines, assert_optimal
):
    a, b = make_pair(num_a, num_b, 24)
    a[: num_a // 10] = 0
    b[: num_b // 7] = 0
    b[-num_b // 5 :] = b[-1]
    assert_optimal(match(a, b), cosines(a, b))


def test_all_zero_rows_have_cosine_zero_with_everything(assert_optimal):
    matching = match(np.zeros((3, 2)), np.zeros((5, 2)))
    assert_optimal(matching, np.zeros((3, 5)))
    assert matching.objective == 0


@pytest.mark.slow
@pytest.mark.parametrize(("num_a", "num_b"), [(2304, 2304), (2304, 2048)])
def test_same_objective_as_scipy_at_two_thousand_latents(
    num_a, num_b, make_pair, cosines, assert_optimal
):
    a, b = make_pair(num_a, num_b, 96)
    assert_optimal(match(a, b), cosines(a, b))


def test_a_permuted_copy_is_recovered(make_pair):
    a, _ = make_pair(200, 200, 32)
    order = np.random.default_rng(1).permutation(200)
    matching = match(a, 2.5 * a[order])
    np.testing.assert_array_equal(order[matching.cols], np.arange(200))
    np.testing.assert_allclose(matching.cosine, 1, atol=1e-14)
    assert matching.certified


def test_an_identical_dictionary_is_matched_to_itself(make_pair):
    a, _ = make_pair(100, 100, 32)
    np.testing.assert_array_equal(match(a, a).cols, np.arange(100))


def test_swapping_the_dictionaries_swaps_the_matching(make_pair):
    a, b = make_pair(40, 60, 16)
    forth, back = match(a, b), match(b, a).swapped()
    np.testing.assert_array_equal(forth.cols, back.cols)
    np.testing.assert_array_equal(forth.row_price, back.row_price)
    np.testing.assert_array_equal(forth.col_price, back.col_price)
    assert forth.objective == back.objective


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_are_matched_from_their_stored_values(dtype, make_pair, cosines, assert_optimal):
    a, b = (
        torch.from_numpy(np.pi * rows.astype(np.float64)).to(dtype)
        for rows in make_pair(70, 50, 16)
    )
    matching = match(a, b)
    # Cosines of rows normalised in float32 are off by 3e-8, those of other dtypes by much more.
    assert_optimal(matching, cosines(a.double().numpy(), b.double().numpy()))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays_are_matched_from_their_stored_values(dtype, make_pair, cosines, assert_optimal):
    a, b = ((np.pi * rows.astype(np.float64)).astype(dtype) for rows in make_pair(50, 70, 16))
    assert_optimal(match(a, b), cosines(a, b))


def test_non_contiguous_inputs(make_pair, cosines, assert_optimal):
    a, b = make_pair(60, 60, 32)
    views = torch.from_numpy(a.T.copy()).T[::2, 1::3], b[::-1, 1::3]
    assert_optimal(match(*views), cosines(a[::2, 1::3], b[::-1, 1::3]))


def test_tensors_that_require_gradients(make_pair):
    a, b = make_pair(10, 10, 8)
    parameter = torch.nn.Parameter(torch.from_numpy(a))
    np.testing.assert_array_equal(match(parameter, b).cols, match(a, b).cols)


def test_memory_mapped_inputs(tmp_path, make_pair, cosines, assert_optimal):
    a, b = make_pair(80, 90, 16)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    mapped = (np.load(tmp_path / name, mmap_mode="r") for name in ("a.npy", "b.npy"))
    assert_optimal(match(*mapped), cosines(a, b))


def test_rows_beyond_the_range_of_squares(cosines, assert_optimal):
    a = np.array([[3e200, 4e200], [1e-200, 0.0], [0.0, 5e-324]])
    scaled = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 1.0]])
    assert_optimal(match(a, a[::-1]), cosines(scaled, scaled[::-1]))


def test_more_rows_than_a_block(monkeypatch, make_pair, cosines, assert_optimal):
    monkeypatch.setattr("twinsae.matching.rows._BLOCK_ROWS", 7)
    monkeypatch.setattr("twinsae.matching.solver.on_matrix._STRIPE", 5)
    a, b = make_pair(40, 33, 12)
    assert_optimal(match(a, b), cosines(a, b))


def test_stats_tell_method_seconds_and_memory(monkeypatch, make_pair):
    monkeypatch.setattr("twinsae.matching.solver.on_matrix._FASTER_UP_TO", 2000**2)
    start = time.perf_counter()
    stats = match(*make_pair(2000, 2000, 16)).stats
    taken = time.perf_counter() - start
    assert stats["method"] == "dense"
    assert set(stats["seconds"]) == {"similarity", "assignment", "prices"}
    assert 0 < sum(stats["seconds"].values()) <= taken
    assert 8 * 2000 * 2000 * 0.5 < stats["peak_memory_bytes"] <= matrix_memory(2000, 2000, 16)


def test_progress_tells_each_phase_from_start_to_end(make_pair):
    told = []
    a, b = make_pair(30, 40, 8)
    matching = match(a, b, progress=lambda *call, **facts: told.append((call, facts)))
    calls = [call for call, facts in told if not facts]
    for phase in matching.stats["seconds"]:
        mine = [(done, total) for name, done, total, unit in calls if name == phase]
        assert mine[0] == (0, 30)
        assert mine[-1] == (30, 30)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["a", "b"])
def test_values_that_are_not_finite_are_refused_with_their_row(name, value, make_pair):
    pair = dict(zip("ab", make_pair(3000, 3000, 4), strict=True))
    pair[name][2741, 2] = value
    with pytest.raises(ValueError, match=f"^{name} holds NaN or an infinity in row 2,741$"):
        match(**pair)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            np.ones((3, 5)),
            ValueError,
            r"^a and b must have the same d_in \(columns\), not 5 and 4$",
        ),
        (np.ones(4), ValueError, r"^a must be 2-D .* \(4,\)$"),
        (np.ones((2, 3, 4)), ValueError, r"^a must be 2-D .* \(2, 3, 4\)$"),
        (np.ones((0, 4)), ValueError, r"^a is empty: its shape is \(0, 4\)$"),
        (np.ones((4, 0)), ValueError, r"^a is empty: its shape is \(4, 0\)$"),
        (np.ones((3, 4), dtype=np.int64), TypeError, "^a must be float16.*, not int64$"),
        (np.ones((3, 4), dtype=np.complex64), TypeError, "^a must be float16.*, not complex64$"),
        (np.ones((3, 4), dtype=np.longdouble), TypeError, "^a must be float16"),
        (torch.ones(3, 4, dtype=torch.int8), TypeError, "^a must be float16.*, not torch.int8$"),
        ([[1.0, 2.0]], TypeError, "^a must be a torch tensor or numpy array, not list$"),
    ],
)
def test_what_is_no_dictionary_is_refused(bad, error, message):
    with pytest.raises(error, match=message):
        match(bad, np.ones((3, 4)))


def test_a_match_beyond_the_memory_limit_is_refused_with_both_figures():
    rows = np.ones((2000, 8), dtype=np.float32)
    needed = matrix_memory(2000, 2000, 8)
    with pytest.raises(
        ValueError,
        match=r"^matching 2,000 x 2,000 latents of width 8 takes \d\d\d MiB of memory, "
        r"but 30 MiB is allowed \(memory_limit\)$",
    ):
        match(rows, rows, memory_limit=30 * 2**20)
    with pytest.raises(ValueError, match="takes"):
        match(rows, rows, memory_limit=needed - 1)


def test_a_match_just_within_the_memory_limit_is_made(make_pair):
    a, b = make_pair(50, 60, 8)
    assert match(a, b, memory_limit=matrix_memory(50, 60, 8)).certified


def test_the_default_limit_is_a_share_of_the_available_memory(monkeypatch, make_pair):
    a, b = make_pair(50, 60, 8)
    needed = matrix_memory(50, 60, 8)
    monkeypatch.setattr("twinsae.common.memory.available_memory", lambda: int(needed / 0.74))
    assert match(a, b).certified
    monkeypatch.setattr("twinsae.common.memory.available_memory", lambda: int(needed / 0.76))
    with pytest.raises(ValueError, match=r"allowed \(75 % of what is available now\)$"):
        match(a, b)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_not_positive_is_refused(limit, make_pair):
    with pytest.raises(ValueError, match=r"^memory_limit must be a positive number of bytes"):
        match(*make_pair(3, 3, 2), memory_limit=limit)
