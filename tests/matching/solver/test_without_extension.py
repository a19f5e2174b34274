"""Without the C++ extension the assignment is scipy's, with prices that prove it all the same."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from twinsae.matching import extension as of_rows
from twinsae.matching import match, match_memory, verify
from twinsae.matching.assignment import by_scipy
from twinsae.matching.assignment import extension as of_solver
from twinsae.matching.solver.on_matrix import matrix_memory

Alter = Callable[[np.ndarray, np.ndarray], None]


def nothing(_a: np.ndarray, _b: np.ndarray) -> None:
    pass


def zero_rows(a: np.ndarray, b: np.ndarray) -> None:
    a[[0, 5]], b[[1, 2, 7]] = 0, 0


def ties(a: np.ndarray, b: np.ndarray) -> None:
    a[4:12], b[3:9], b[10] = a[4], b[3], a[4]


def all_alike(a: np.ndarray, b: np.ndarray) -> None:
    a[:], b[:] = a[0], b[0]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the rest of the test find no extension."""

    def block() -> None:
        for module in (of_rows, of_solver):
            monkeypatch.setattr(module, "MISSING", "No module named '_native'")

    return block


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("alter", [nothing, zero_rows, ties, all_alike])
@pytest.mark.parametrize("sizes", [(40, 40), (31, 47), (47, 31), (1, 13)])
def test_it_is_as_good_and_as_proved(
    make_pair, cosines, assert_optimal, without, sizes, alter, absolute
) -> None:
    a, b = make_pair(*(max(size, 13) for size in sizes), 12)
    alter(a, b)
    a, b = a[: sizes[0]], b[: sizes[1]]
    expected = match(a, b, absolute=absolute)
    without()
    found = match(a, b, absolute=absolute)
    similarity = cosines(a, b)
    assert_optimal(found, np.abs(similarity) if absolute else similarity)
    assert verify(a, b, found).valid
    assert abs(found.objective - expected.objective) <= 1e-9 * min(sizes)
    assert found.stats["method"] == "dense"
    if alter is nothing:
        assert np.array_equal(found.cols, expected.cols)


def test_prices_prove_matchings_of_few_different_weights() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, more = rng.integers(1, 9, size=2)
        weights = rng.integers(-3, 4, size=(rows, rows + more - 1)) / 3
        cols, price = by_scipy.assignment_by_scipy(weights)
        matched = weights[np.arange(rows), cols].sum()
        assert len(set(cols)) == rows
        assert price.min() >= 0
        assert not np.delete(price, cols).any()
        assert abs((weights - price).max(axis=1).sum() + price.sum() - matched) < 1e-12


def test_a_chain_raises_each_price_in_turn() -> None:
    # Row i has column i, and would rather have column i - 1 by 0.001, were it free: the first price
    # is the sum of all steps.
    size = 150
    weights = np.diag(np.full(size, 0.5)) + np.diag(np.full(size - 1, 0.501), k=-1)
    cols, price = by_scipy.assignment_by_scipy(weights)
    assert np.array_equal(cols, np.arange(size))
    np.testing.assert_allclose(price, 0.001 * np.arange(size)[::-1], rtol=0, atol=1e-12)


def test_more_latents_than_that_need_the_extension(without) -> None:
    ones = torch.ones(8193, 1)
    without()
    with pytest.raises(ImportError, match=r"^matching 8,193 x 8,192 .* at most 8,192 x 8,192 lat"):
        match(ones, ones[:8192])
    with pytest.raises(ImportError, match=r"'scan' only.*Install a wheel"):
        match(ones[:5], ones[:5], candidates="faiss")


def test_memory_counts_the_copy_of_scipy(make_pair, without) -> None:
    a, b = make_pair(1500, 1600, 8)
    one = matrix_memory(1500, 1600, 8)
    without()
    peak, needed = match(a, b).stats["peak_memory_bytes"], match_memory(1500, 1600, 8).host
    assert 16 * 1500 * 1600 <= peak <= needed
    assert needed == one + 8 * 1500 * 1600
