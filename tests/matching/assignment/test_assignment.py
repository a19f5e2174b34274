import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from twinsae.matching import (
    Assignment,
    assignment_bounds,
    centre_prices,
    maximum_matching,
    sparse_assignment,
)
from twinsae.matching.assignment import _native
from twinsae.matching.assignment.api import _solve
from twinsae.matching.assignment.members import centred_assignment

Floats = NDArray[np.float64]
Shape = tuple[int, int]
CASES = settings(max_examples=400, deadline=None, derandomize=True)


class Graph(NamedTuple):
    rows: NDArray[Any]
    cols: NDArray[Any]
    weights: Floats
    shape: Shape

    def dense(self) -> Floats:
        """The weights, -inf where there is no edge; of edges given twice the larger."""
        out = np.full(self.shape, -np.inf)
        np.maximum.at(out, (self.rows, self.cols), self.weights)
        return out

    @property
    def scale(self) -> float:
        return float(np.abs(self.weights).max(initial=1e-300))


def random_weights(rng: np.random.Generator, kind: str, shape: Shape) -> Floats:
    normal = rng.standard_normal(shape)
    if kind == "ties":
        return rng.integers(-2, 3, shape).astype(float)
    if kind == "negative":
        return -np.abs(normal) - 1
    if kind == "identical":  # several rows and several columns alike
        rows, cols = (rng.integers(0, (size + 2) // 2, size) for size in shape)
        return normal[rows][:, cols]
    if kind == "zeros":
        return normal * rng.integers(0, 2, shape[0])[:, None] * rng.integers(0, 2, shape[1])
    if kind == "clusters":
        rows, cols = (rng.integers(0, 3, size) for size in shape)
        return 0.1 * normal + (rows[:, None] == cols)
    if kind == "far from zero":
        return normal * 1e-3 + 1e3
    if kind == "constant":
        return np.full(shape, -0.25)
    scales = {"normal": 1.0, "tiny": 1e-300, "huge": 1e290}
    return normal * scales[kind]


KINDS = ("normal", "ties", "negative", "identical", "zeros", "clusters", "far from zero",
         "constant", "tiny", "huge")  # fmt: skip


def make_graph(kind: str, shape: Shape, density: float, seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    weights = random_weights(rng, kind, shape)
    rows, cols = np.nonzero(rng.random(shape) < density)
    weights = weights[rows, cols]
    twice = rng.random(len(rows)) < 0.1
    rows, cols = np.append(rows, rows[twice]), np.append(cols, cols[twice])
    weights = np.append(weights, weights[twice] - rng.random(twice.sum()) * 0.1)
    order = rng.permutation(len(rows))
    dtype = np.int32 if seed % 2 else np.int64
    return Graph(rows[order].astype(dtype), cols[order].astype(dtype), weights[order], shape)


sizes = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(1, 12).map(lambda size: (size, size)),
    st.integers(1, 12).map(lambda size: (1, size)),
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
)
graphs = st.builds(
    make_graph,
    st.sampled_from(KINDS),
    sizes,
    st.sampled_from((0.15, 0.4, 0.7, 1.0)),
    st.integers(0, 2**32 - 1),
)


def dense_optimum(graph: Graph) -> float | None:
    try:
        rows, cols = linear_sum_assignment(graph.dense(), maximize=True)
    except ValueError:  # infeasible
        return None
    return math.fsum(graph.dense()[rows, cols])


def assert_best(graph: Graph, found: Assignment, optimum: float) -> None:
    """Check the pairs against the dense optimum and the prices against the definitions."""
    num_rows, num_cols = graph.shape
    pairs, scale = min(graph.shape), graph.scale
    dense = graph.dense()
    assert found.rows.dtype == found.cols.dtype == np.int64
    assert list(found.rows) == sorted(set(found.rows.tolist()))
    assert len(set(found.cols.tolist())) == len(found.rows) == len(found.cols) == pairs
    matched = dense[found.rows, found.cols]
    assert abs(found.objective - math.fsum(matched)) <= 1e-15 * scale * pairs
    assert abs(found.objective - optimum) <= 1e-12 * scale * pairs
    u, v = found.row_price, found.col_price
    assert u.shape == (num_rows,)
    assert v.shape == (num_cols,)
    slack = u[:, None] + v - dense
    assert slack.min() >= -1e-14 * scale  # feasible
    assert slack[found.rows, found.cols].max(initial=0) <= 1e-13 * scale  # complementary slackness
    if num_rows != num_cols:
        prices, side = (v, found.cols) if num_rows < num_cols else (u, found.rows)
        assert prices.min() >= 0
        assert not np.delete(prices, side).any()
    objective, worst, upper = assignment_bounds(*graph[:3], found)
    assert objective == found.objective
    assert worst == pytest.approx((dense - u[:, None] - v).max(), abs=1e-15 * scale)
    assert abs(upper - optimum) <= 1e-12 * scale * pairs


@pytest.mark.parametrize("bids", [0, 2, 200])  # paths alone, an auction cut short, the usual
def test_the_optimum_of_dense_solvers_with_prices_that_prove_it(bids: int) -> None:
    outcomes = {True: 0, False: 0}

    @CASES
    @given(graphs)
    def check(graph: Graph) -> None:
        optimum = dense_optimum(graph)
        outcomes[optimum is not None] += 1
        if optimum is None:
            with pytest.raises(ValueError, match="cannot be matched"):
                _solve(*graph, None, bids)
        else:
            found = _solve(*graph, None, bids)
            assert_best(graph, found, optimum)
            assert_best(graph, centre_prices(*graph[:3], found), optimum)

    check()
    assert min(outcomes.values()) > 50


@CASES
@given(graphs, st.sampled_from(("own", "centred", "near", "random", "far", "enormous")))
def test_any_prices_to_start_from_lead_to_the_optimum(graph: Graph, kind: str) -> None:
    optimum = dense_optimum(graph)
    if optimum is None:
        return
    rng = np.random.default_rng(0)
    own = sparse_assignment(*graph)
    centred = centre_prices(*graph[:3], own)
    noise = [rng.standard_normal(size) * graph.scale for size in graph.shape]
    u, v = centred.row_price, centred.col_price
    prices = {
        "own": (own.row_price, own.col_price),
        "centred": (u, v),
        "near": (u + 1e-3 * noise[0], v + 1e-3 * noise[1]),
        "random": (noise[0], noise[1]),
        "far": (30 * noise[0], -30 * noise[1]),
        "enormous": (np.full(len(u), 1e307), np.full(len(v), -1e307)),
    }[kind]
    kept = [price.copy() for price in prices]
    assert_best(graph, sparse_assignment(*graph, prices=prices), optimum)
    assert all((a == b).all() for a, b in zip(prices, kept, strict=True))  # not written to


def planted(size: int, degree: int, seed: int) -> Graph:
    """A sparse graph with a full matching, most of it heavier than the rest."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([np.arange(size), rng.integers(0, size, size * degree)])
    cols = np.concatenate([rng.permutation(size), rng.integers(0, size, size * degree)])
    weights = rng.random(len(rows)) + (np.arange(len(rows)) < size // 2)
    return Graph(rows, cols, weights, (size, size))


@pytest.mark.parametrize("cut", [(900, 900), (700, 900), (900, 700)])
@pytest.mark.parametrize("digits", [1, 15])
def test_larger_graphs(cut: Shape, digits: int) -> None:
    whole = planted(900, 8, seed=3)
    inside = (whole.rows < cut[0]) & (whole.cols < cut[1])
    # A second edge for each, so that what was cut off is made up for.
    rng = np.random.default_rng(4)
    extra = [rng.integers(0, size, 20_000) for size in cut]
    graph = Graph(
        np.append(whole.rows[inside], extra[0]),
        np.append(whole.cols[inside], extra[1]),
        np.append(whole.weights[inside], rng.random(20_000)).round(digits),
        cut,
    )
    optimum = dense_optimum(graph)
    assert optimum is not None
    found = sparse_assignment(*graph)
    assert_best(graph, found, optimum)
    again = sparse_assignment(*graph)
    for name in ("rows", "cols", "row_price", "col_price"):
        assert getattr(found, name).tobytes() == getattr(again, name).tobytes()
    centred = centre_prices(*graph[:3], found)
    assert_best(graph, centred, optimum)
    warm = sparse_assignment(*graph, prices=(centred.row_price, centred.col_price))
    assert_best(graph, warm, optimum)


@pytest.mark.parametrize("cut", [(9000, 9000), (7000, 9000)])
def test_any_number_of_threads_gives_the_same_bits(cut: Shape) -> None:
    whole = planted(9000, 40, seed=5)
    order = np.random.default_rng(6).permutation(len(whole.rows))  # edges come in any order
    inside = order[(whole.rows[order] < cut[0]) & (whole.cols[order] < cut[1])]
    assert len(inside) > 4 * 65536  # so that threads share them
    edges = whole.rows[inside], whole.cols[inside], whole.weights[inside]
    members = tuple(np.ones(size, np.int64) for size in cut)
    alone = centred_assignment(*edges, members, None, 1)
    apart = centre_prices(*edges, sparse_assignment(*edges, cut))
    assert apart.row_price.tobytes() == alone[1].tobytes()
    assert apart.col_price.tobytes() == alone[2].tobytes()
    for threads in (2, 5):
        found = centred_assignment(*edges, members, None, threads)
        for part, other in zip(found, alone, strict=True):
            assert part.tobytes() == other.tobytes()
        again = centred_assignment(*edges, members, alone[1:], threads)
        assert again[0].tobytes() == alone[0].tobytes()


def test_the_auction_leaves_no_paths_to_search() -> None:
    """Its rows see all that they could bid for: nothing is left but to correct the prices."""
    rows, cols, weights, shape = planted(2000, 40, seed=1)
    partner, row_price, col_price = np.empty(shape[0], np.int64), *map(np.empty, shape)
    left, bids, paths = _native.solve(
        rows, cols, weights, None, None, False, False, 10**6, 1, partner, row_price, col_price
    )
    assert (left, paths) == (0, 0)
    assert 2000 <= bids < 10**6
    spent = _native.solve(
        rows, cols, weights, None, None, False, False, 10, 1, partner, row_price, col_price
    )
    assert spent[1] == -1
    assert spent[2] > 0


def test_centred_prices_stand_in_the_middle() -> None:
    weights = np.array([[5.0, 1.0], [2.0, 4.0]])
    rows, cols = np.indices((2, 2)).reshape(2, -1)
    corner = Assignment(np.arange(2), np.arange(2), np.array([5.0, 4.0]), np.zeros(2), 9.0)
    found = centre_prices(rows, cols, weights.ravel(), corner)
    slack = found.row_price[:, None] + found.col_price - weights
    np.testing.assert_allclose(slack, [[0, 3], [3, 0]], atol=1e-2)
    assert corner.row_price.tolist() == [5.0, 4.0]
    lone = Assignment(np.arange(1), np.arange(1), np.array([3.0]), np.array([-1.0]), 2.0)
    assert centre_prices([0], [0], [2.0], lone).row_price.tolist() == [3.0]  # no middle


def test_centring_leaves_more_slack() -> None:
    graph = planted(300, 12, seed=0)
    found = sparse_assignment(*graph)
    centred = centre_prices(*graph[:3], found)

    def tight(prices: Assignment) -> int:
        slack = prices.row_price[graph.rows] + prices.col_price[graph.cols] - graph.weights
        return int((slack < 1e-9).sum())

    assert tight(centred) < tight(found)
    assert tight(centred) >= 300


@CASES
@given(graphs)
def test_as_many_matched_as_scipy_matches(graph: Graph) -> None:
    rows, cols = maximum_matching(graph.rows, graph.cols, graph.shape)
    structure = csr_array((np.ones(len(graph.rows)), (graph.rows, graph.cols)), graph.shape)
    best = (maximum_bipartite_matching(structure, perm_type="column") >= 0).sum()
    assert len(rows) == len(cols) == best
    assert list(rows) == sorted(set(rows.tolist()))
    assert len(set(cols.tolist())) == len(cols)
    edges = set(zip(graph.rows.tolist(), graph.cols.tolist(), strict=True))
    assert edges >= set(zip(rows.tolist(), cols.tolist(), strict=True))


def test_a_matching_that_takes_long_paths() -> None:
    """The first edge of each row but the last leads to the column that the next row needs."""
    size = 20_000
    rows = np.concatenate([np.arange(size - 1), np.arange(size)])
    cols = np.concatenate([np.arange(1, size), np.arange(size)])
    order = np.argsort(rows, kind="stable")
    matched, partners = maximum_matching(rows[order], cols[order], (size, size))
    assert (matched == partners).all()
    assert len(matched) == size
    weights = np.where(rows == cols, 0.0, 1.0)
    assert sparse_assignment(rows, cols, weights, (size, size)).objective == 0


def test_an_assignment_names_how_many_are_left_over() -> None:
    rows, cols = [0, 1, 2, 3], [0, 0, 0, 1]
    with pytest.raises(ValueError, match="2 of the 4 rows cannot be matched"):
        sparse_assignment(rows, cols, np.ones(4), (4, 5))
    with pytest.raises(ValueError, match="2 of the 4 columns cannot be matched"):
        sparse_assignment(cols, rows, np.ones(4), (5, 4))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(shape: Shape) -> None:
    found = sparse_assignment([], [], [], shape)
    assert len(found.rows) == len(found.cols) == found.objective == 0
    assert (len(found.row_price), len(found.col_price)) == shape
    assert not found.row_price.any()
    assert not found.col_price.any()
    assert assignment_bounds([], [], [], found) == (0, -math.inf, 0)
    assert centre_prices([], [], [], found).objective == 0
    rows, cols = maximum_matching([], [], shape)
    assert len(rows) == len(cols) == 0
    warm = sparse_assignment([], [], [], shape, prices=(np.ones(shape[0]), np.ones(shape[1])))
    assert not warm.col_price.any()
    assert not warm.row_price.any()


def test_one_pair() -> None:
    found = sparse_assignment([0], [0], [-7.5], (1, 1))
    assert (found.rows.tolist(), found.cols.tolist(), found.objective) == ([0], [0], -7.5)
    assert found.row_price[0] + found.col_price[0] == -7.5


def test_explicit_zeros_are_edges_and_other_types_are_taken() -> None:
    weights = np.array([0.0, -1.0, -1.0, 0.0], dtype=np.float32)
    rows, cols = np.indices((2, 2)).reshape(2, -1)
    for dtype in (np.uint8, np.int16, np.uint64):
        found = sparse_assignment(rows.astype(dtype), cols, weights, (2, 2))
        assert (found.cols.tolist(), found.objective) == ([0, 1], 0)
    assert sparse_assignment([0, 1], [1, 0], [3, 4], (2, 2)).objective == 7


EDGE = ([0, 1], [0, 1], [1.0, 2.0], (2, 2))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, [0, 2], "rows: entry 1 is 2, expected 0 to 1"),
        (0, [-1, 1], "rows: entry 0 is -1"),
        (1, [0, 2**40], "cols: entry 1 is 1099511627776"),
        (0, np.array([0, 2**64 - 1], dtype=np.uint64), "rows: entry 1 is"),
        (0, [0, 1, 1], r"cols: expected shape \(3\), got \(2\)"),
        (2, [1.0], r"weights: expected shape \(2\), got \(1\)"),
        (0, [[0, 1]], "rows: expected a 1-D array"),
        (2, [1.0, math.nan], "weights: entry 1 is nan"),
        (2, [math.inf, 1.0], "weights: entry 0 is inf"),
        (2, [1.0, -1e301], "weights: entry 1 is -1.*expected finite numbers of at most 1e300"),
        (3, (2, -1), "shape: expected two whole numbers"),
        (3, (2.5, 2), "shape: expected two whole numbers"),
        (3, (2, 2, 2), "shape: expected two whole numbers"),
        (3, (2, 2**30 + 1), "shape: expected 0 to 2\\^30"),
    ],
)
def test_wrong_graphs_are_refused(place: int, value: object, message: str) -> None:
    arguments: list[Any] = list(EDGE)
    arguments[place] = value
    with pytest.raises(ValueError, match=message):
        sparse_assignment(*arguments)


@pytest.mark.parametrize(
    ("place", "value"), [(0, [0.0, 1.0]), (1, [True, False]), (2, [1j, 2]), (2, ["a", "b"])]
)
def test_wrong_types_are_refused(place: int, value: object) -> None:
    arguments: list[Any] = list(EDGE)
    arguments[place] = value
    with pytest.raises(TypeError, match="expected"):
        sparse_assignment(*arguments)


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (([0, math.nan], [0, 0]), "row_price: entry 1 is nan"),
        (([0, 0], [math.inf, 0]), "col_price: entry 0 is inf"),
        (([0, 0], [0, 0, 0]), "col_price: expected 2 prices, got 3"),
        (([0, 0],), "prices: expected"),
    ],
)
def test_wrong_prices_are_refused(prices: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparse_assignment(*EDGE, prices=prices)


def test_bounds_of_prices_that_prove_nothing() -> None:
    rows, cols = np.indices((2, 3)).reshape(2, -1)
    weights = np.array([3.0, 1, 0, 1, 3, 0])
    best = sparse_assignment(rows, cols, weights, (2, 3))
    low = replace(best, row_price=best.row_price - 0.5)
    assert assignment_bounds(rows, cols, weights, low) == (6, 0.5, 6)
    worse = replace(best, cols=best.cols[::-1])
    assert assignment_bounds(rows, cols, weights, worse)[::2] == (2, 6)
    negative = replace(best, row_price=np.array([3.0, 3]), col_price=np.array([0.0, 0, -1]))
    assert assignment_bounds(rows, cols, weights, negative).upper_bound == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cols": np.array([0, 0])}, "one to one"),
        ({"cols": np.array([0, 5])}, "one to one"),
        ({"rows": np.array([0])}, "one to one"),
        ({"row_price": np.array([0, math.nan])}, "row_price: entry 1"),
    ],
)
def test_assignments_of_no_graph_are_refused(change: dict[str, Any], message: str) -> None:
    wrong = replace(sparse_assignment(*EDGE), **change)
    for function in (assignment_bounds, centre_prices):
        with pytest.raises(ValueError, match=message):
            function(*EDGE[:3], wrong)


def test_a_pair_that_is_no_edge_is_refused() -> None:
    crossed = replace(sparse_assignment(*EDGE), cols=np.array([1, 0]))
    with pytest.raises(ValueError, match=r"pair 0, \[0, 1\], is no edge"):
        assignment_bounds(*EDGE[:3], crossed)
