"""Dictionaries to match, and an independent idea of what their matching must be.

Every test here has a time limit: a solver that goes round for ever must fail, not wait.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.floating]
SECONDS = 300  # of a test, on a machine that is busy with others


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A thread ends the process: C++ code would not see a signal.
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS, method="thread"))


@pytest.fixture
def make_pair() -> Callable[..., tuple[Array, Array]]:
    """Dictionaries as two seeds give them: some latents shared, some alike, the rest unrelated."""

    def make(num_a: int, num_b: int, d_in: int, seed: int = 0) -> tuple[Array, Array]:
        rng = np.random.default_rng(seed)
        spectrum = np.arange(1, d_in + 1) ** -0.25
        a = rng.standard_normal((num_a, d_in)) * spectrum
        b = rng.standard_normal((num_b, d_in)) * spectrum
        common = min(num_a, num_b) // 2
        noise = rng.uniform(0.0, 1.5, (common, 1))
        b[:common] = a[:common] + noise * b[:common]
        b = b[rng.permutation(num_b)] * rng.uniform(0.1, 3.0, (num_b, 1))
        return a.astype(np.float32), b.astype(np.float32)

    return make


@pytest.fixture
def cosines() -> Callable[[Array, Array], Array]:
    """S in float64, written out as its definition."""

    def compute(a: Array, b: Array) -> Array:
        a, b = a.astype(np.float64), b.astype(np.float64)
        norms = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
        return np.divide(a @ b.T, norms, out=np.zeros_like(norms), where=norms > 0)

    return compute


@pytest.fixture
def best_objective() -> Callable[[Array], float]:
    """The optimum of the dense problem, by another solver."""

    def solve(similarity: Array) -> float:
        rows, cols = linear_sum_assignment(similarity, maximize=True)
        return float(similarity[rows, cols].sum())

    return solve


@pytest.fixture
def assert_optimal(best_objective: Callable[[Array], float]) -> Callable[..., None]:
    """Check a matching and its prices against S, by the definitions of the dual problem."""

    def check(matching, similarity: Array) -> None:
        num_a, num_b = similarity.shape
        pairs = min(num_a, num_b)
        rows, cols = matching.rows, matching.cols
        assert sorted(set(rows)) == list(rows)
        assert len(set(cols)) == len(cols) == len(rows) == pairs
        np.testing.assert_allclose(matching.cosine, similarity[rows, cols], rtol=0, atol=1e-12)
        np.testing.assert_allclose(matching.row_max, similarity.max(axis=1), rtol=0, atol=1e-12)
        np.testing.assert_allclose(matching.col_max, similarity.max(axis=0), rtol=0, atol=1e-12)
        u, v = matching.row_price, matching.col_price
        slack = u[:, None] + v - similarity
        assert slack.min() >= -1e-12  # feasible
        assert slack[rows, cols].max() <= 1e-9  # complementary slackness
        if num_a != num_b:
            prices, matched = (v, cols) if num_a < num_b else (u, rows)
            assert prices.min() >= 0
            assert not np.delete(prices, matched).any()
        optimum = best_objective(similarity)
        assert abs(matching.objective - optimum) <= 1e-9 * pairs
        assert abs(matching.upper_bound - optimum) <= 1e-9 * pairs
        assert matching.gap == matching.upper_bound - matching.objective
        assert matching.certified

    return check
