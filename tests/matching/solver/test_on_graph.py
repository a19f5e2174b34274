"""The sparse solver against scipy's on the dense matrix, on instances of every shape."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from twinsae.matching import match

# The fixtures that hypothesis complains about are pure functions.
quiet = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
sizes, lengths = st.integers(1, 12), st.sampled_from((1, 2, 3, 32))


@pytest.fixture(autouse=True)
def always_sparse(monkeypatch):
    monkeypatch.setattr("twinsae.matching.solver.on_matrix._FASTER_UP_TO", 0)


@pytest.fixture
def small_blocks(monkeypatch):
    """Everything that is cut in pieces is cut in many."""
    for name, value in {
        "candidates._LEAST_ROWS": 50,
        "candidates._ROW_BYTES": 1,
        "candidates._COL_BYTES": 1,
        "candidates._MERGED_ROWS": 7,
        "prices._TILE_ROWS": 8,
        "prices._TILE_COLS": 4,
        "prices._ROW_BYTES": 4 * 24 * 21,
        "prices._COL_BYTES": 4 * 24 * 33,
        "prices._PAIRS_AT_ONCE": 10,
        "selection._EDGES_AT_ONCE": 13,
    }.items():
        monkeypatch.setattr(f"twinsae.matching.solver.{name}", value)


@st.composite
def dictionaries(draw, entries):
    width = draw(st.integers(1, 4))
    return tuple(draw(arrays(np.float64, (draw(sizes), width), elements=entries)) for _ in "ab")


@st.composite
def clusters(draw):
    """Few different directions, many copies: short lists leave members without a partner."""
    width = draw(st.integers(2, 4))
    centres = draw(arrays(np.float64, (4, width), elements=st.integers(-2, 2).map(float)))
    return tuple(centres[draw(st.lists(st.integers(0, 3), min_size=1, max_size=24))] for _ in "ab")


@quiet
@given(pair=dictionaries(st.integers(-1, 1).map(float)), m=lengths)
def test_matches_scipy_where_rows_tie_repeat_and_vanish(pair, m, cosines, assert_optimal):
    assert_optimal(match(*pair, m=m), cosines(*pair))


@quiet
@given(pair=dictionaries(st.floats(-1, 1, width=32).filter(lambda x: abs(x) > 1e-6)), m=lengths)
def test_matches_scipy_on_real_values(pair, m, cosines, assert_optimal):
    assert_optimal(match(*pair, m=m), cosines(*pair))


@quiet
@given(pair=clusters(), m=lengths)
def test_matches_scipy_on_clusters_that_short_lists_cannot_match(pair, m, cosines, assert_optimal):
    assert_optimal(match(*pair, m=m), cosines(*pair))


@pytest.mark.parametrize(("num_a", "num_b"), [(1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (3, 5)])
@pytest.mark.parametrize("sign", [1, -1])
def test_matches_scipy_on_tiny_shapes_of_one_sign(num_a, num_b, sign, cosines, assert_optimal):
    rng = np.random.default_rng(num_a * 10 + num_b)
    a, b = rng.uniform(0.1, 1, (num_a, 3)), sign * rng.uniform(0.1, 1, (num_b, 3))
    assert_optimal(match(a, b), cosines(a, b))


# Rows that are zero: of the first, of the second. With sign -1 the others would rather have none.
@pytest.mark.parametrize("zeros", [(0, 3), (3, 0), (3, 3), (9, 2), (2, 9), (30, 30), (30, 1)])
@pytest.mark.parametrize(("num_a", "num_b"), [(30, 30), (30, 41), (41, 30)])
@pytest.mark.parametrize("sign", [1, -1])
def test_matches_scipy_with_zero_rows(zeros, num_a, num_b, sign, cosines, assert_optimal):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (num_a, 4)), sign * rng.uniform(0, 1, (num_b, 4))
    a[rng.permutation(num_a)[: zeros[0]]] = 0
    b[rng.permutation(num_b)[: zeros[1]]] = 0
    assert_optimal(match(a, b, m=3), cosines(a, b))


@pytest.mark.parametrize(("num_a", "num_b"), [(301, 301), (301, 187), (187, 301), (70, 301)])
@pytest.mark.parametrize("m", [1, 32])
@pytest.mark.usefixtures("small_blocks")
def test_matches_scipy_in_many_blocks(num_a, num_b, m, make_pair, cosines, assert_optimal):
    a, b = make_pair(num_a, num_b, 24)
    b[-num_b // 5 :] = b[-1]
    assert_optimal(match(a, b, m=m), cosines(a, b))


@pytest.mark.usefixtures("small_blocks")
def test_passes_that_end_at_their_limit_lead_to_the_optimum(
    monkeypatch, make_pair, cosines, assert_optimal
):
    monkeypatch.setattr("twinsae.matching.solver.loop._PAIRS_PER_LATENT", 0.05)
    a, b = make_pair(120, 120, 24)
    matching = match(a, b, m=1)
    assert_optimal(matching, cosines(a, b))
    assert matching.stats["passes"] > 8


@pytest.mark.slow
@pytest.mark.parametrize("duplicates", [0, 400])
def test_same_objective_as_scipy_at_two_thousand_latents(
    duplicates, make_pair, cosines, assert_optimal
):
    a, b = make_pair(2304, 2304, 96)
    a[:duplicates], b[: duplicates // 2] = a[0], b[0]
    matching = match(a, b)
    assert_optimal(matching, cosines(a, b))
    assert matching.stats["scanned"] < 3


def test_a_permuted_copy_is_recovered(make_pair):
    a, _ = make_pair(500, 500, 32)
    order = np.random.default_rng(1).permutation(500)
    matching = match(a, 2.5 * a[order])
    np.testing.assert_array_equal(order[matching.cols], np.arange(500))
    assert matching.certified


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_are_matched_from_their_stored_values(dtype, make_pair, cosines, assert_optimal):
    a, b = (
        torch.from_numpy(np.pi * rows.astype(np.float64)).to(dtype)
        for rows in make_pair(70, 50, 17)
    )
    before = a.clone()
    # Cosines of rows normalised in float32 are off by 3e-8, those of other dtypes by much more.
    assert_optimal(match(a, b, m=2), cosines(a.double().numpy(), b.double().numpy()))
    assert torch.equal(a, before)


def test_rows_beyond_the_range_of_squares(cosines, assert_optimal):
    a = np.array([[3e200, 4e200], [1e-200, 0.0], [0.0, 5e-324]])
    scaled = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 1.0]])
    assert_optimal(match(a, a[::-1]), cosines(scaled, scaled[::-1]))


def test_swapping_the_dictionaries_swaps_the_matching(make_pair):
    a, b = make_pair(40, 60, 16)
    forth, back = match(a, b), match(b, a).swapped()
    np.testing.assert_array_equal(forth.cols, back.cols)
    np.testing.assert_array_equal(forth.row_price, back.row_price)


def test_the_matching_depends_on_the_lists_in_nothing_but_rounding(make_pair):
    a, b = make_pair(400, 400, 32)
    short, long = match(a, b, m=2), match(a, b, m=64)
    np.testing.assert_array_equal(short.cols, long.cols)
    assert short.objective == pytest.approx(long.objective, abs=1e-11)


def test_stats_and_progress_tell_each_phase(make_pair):
    told = []
    a, b = make_pair(300, 400, 8)
    matching = match(a, b, m=1, progress=lambda *call, **_: told.append(call))
    assert matching.stats["method"] == "sparse"
    assert set(matching.stats["seconds"]) == {"candidates", "solve", "pricing"}
    assert matching.stats["passes"] >= 2
    assert 0 < matching.stats["scanned"] <= matching.stats["passes"]
    for phase in matching.stats["seconds"]:
        calls = [(done, total) for name, done, total, _ in told if name == phase]
        assert calls[0][0] == 0
        assert calls[-1][0] == calls[-1][1]


def test_the_peak_is_within_the_estimate(make_pair):
    from twinsae.matching.solver.on_graph import graph_memory

    peak = match(*make_pair(4000, 4000, 96)).stats["peak_memory_bytes"]
    estimate = graph_memory(4000, 4000, 96, 32).host
    assert 0.05 * estimate < peak <= estimate


@pytest.mark.parametrize("m", [0, -1, 1025])
def test_lists_of_no_use_are_refused(m, make_pair):
    with pytest.raises(ValueError, match=f"^m: expected 1 to 1,024, got {m}$"):
        match(*make_pair(5, 5, 2), m=m)


def test_unknown_sources_are_refused(make_pair):
    with pytest.raises(ValueError, match=r"^candidates: expected 'scan' or 'faiss', got 'x'$"):
        match(*make_pair(5, 5, 2), candidates="x")


def test_faiss_leads_to_the_same_matching(make_pair, cosines, assert_optimal):
    a, b = make_pair(200, 230, 24)
    found = match(a, b, m=4, candidates="faiss")
    assert_optimal(found, cosines(a, b))
    np.testing.assert_array_equal(found.cols, match(a, b).cols)


def test_faiss_on_a_gpu_needs_its_build_for_gpus(monkeypatch):
    from twinsae.matching.solver.candidates import _faiss

    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    with pytest.raises(ImportError, match=r"faiss-gpu-cu12: pip install 'twinsae\[faiss-gpu\]'$"):
        _faiss(on_gpu=True)
