"""Every change of the squared error against a dense decode in float64 with the latent replaced."""

import numpy as np
import pytest
from scipy import sparse
from twinsae.matching.substitution.replacement import (
    Replacement,
    activation_replaced,
    changes,
    cumulative_errors,
    direction_replaced,
    group_changes,
    removed,
)

NUM_A, NUM_B, TOKENS, WIDTH = 13, 9, 301, 7
DEAD_A, DEAD_B, ZERO_ROW = 4, 2, 5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def units(rng: np.random.Generator, number: int) -> np.ndarray:
    rows = rng.standard_normal((number, WIDTH))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def coefficients(rng: np.random.Generator, number: int, dead: int) -> np.ndarray:
    """Sparse numbers of both signs, as an AbsTopK has them."""
    dense = rng.standard_normal((TOKENS, number)) * (rng.random((TOKENS, number)) < 0.3)
    dense[:, dead] = 0
    return dense


@pytest.fixture
def case(rng: np.random.Generator) -> dict[str, np.ndarray]:
    a, b = coefficients(rng, NUM_A, DEAD_A), coefficients(rng, NUM_B, DEAD_B)
    u, p = units(rng, NUM_A), units(rng, NUM_B)
    u[ZERO_ROW] = 0
    partner = rng.integers(0, NUM_B, NUM_A)  # many to one
    partner[[1, 6]] = -1
    partner[[0, DEAD_A]] = DEAD_B
    p[partner[3]] = u[3]  # a tie: the same direction
    return {
        "a": a,
        "b": b,
        "u": u,
        "p": p,
        "partner": partner,
        "x": rng.standard_normal((TOKENS, WIDTH)),
    }


def replaced(case: dict[str, np.ndarray], kind: str, latents: list[int]) -> np.ndarray:
    """Return the error with some latents replaced: each token written out."""
    error = -case["x"]
    for i in range(NUM_A):
        coefficient, direction, j = case["a"][:, i], case["u"][i], case["partner"][i]
        if i in latents and (kind == "removed" or j < 0):
            continue
        if i in latents and kind == "direction":
            direction = case["p"][j]
        if i in latents and kind == "activation":
            coefficient = case["b"][:, j]
        error = error + np.outer(coefficient, direction)
    return error


def made(case: dict[str, np.ndarray], kind: str) -> Replacement:
    a, b = sparse.csc_array(case["a"]), sparse.csc_array(case["b"])
    if kind == "removed":
        return removed(a, case["u"])
    if kind == "direction":
        return direction_replaced(a, case["u"], case["p"], case["partner"])
    return activation_replaced(a, b, case["u"], case["partner"])


KINDS = ("removed", "direction", "activation")


@pytest.mark.parametrize("kind", KINDS)
def test_each_change_is_that_of_a_dense_decode(case: dict[str, np.ndarray], kind: str):
    error = replaced(case, kind, [])
    before = (error**2).sum()
    found = changes(made(case, kind), error)
    wanted = [(replaced(case, kind, [i]) ** 2).sum() - before for i in range(NUM_A)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
    assert np.abs(found).max() > 1
    if kind != "activation":
        assert found[DEAD_A] == 0
    assert abs(found[ZERO_ROW]) > 1 if kind == "direction" else found[ZERO_ROW] == 0
    if kind == "direction":
        assert found[3] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_replacing_many_is_that_of_a_dense_decode(
    case: dict[str, np.ndarray], kind: str, rng: np.random.Generator
):
    order = rng.permutation(NUM_A)
    error = replaced(case, kind, [])
    kept = error.copy()
    cuts = [0, 1, 5, 5, NUM_A]
    found = [rows.copy() for rows in cumulative_errors(made(case, kind), error, order, cuts)]
    for cut, rows in zip(cuts, found, strict=True):
        np.testing.assert_allclose(
            rows, replaced(case, kind, list(order[:cut])), rtol=0, atol=1e-12
        )
    np.testing.assert_array_equal(error, kept)


def test_the_change_of_a_group_counts_what_its_latents_do_together(
    case: dict[str, np.ndarray], rng: np.random.Generator
):
    error = replaced(case, "removed", [])
    before = (error**2).sum()
    group = rng.integers(-1, 3, NUM_A)
    for kind in KINDS:
        found = group_changes(made(case, kind), error, group, 5)
        wanted = [
            (replaced(case, kind, list(np.flatnonzero(group == g))) ** 2).sum() - before
            for g in range(5)
        ]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
        assert found[3] == found[4] == 0
        alone = changes(made(case, kind), error)
        summed = np.bincount(group[group >= 0], alone[group >= 0], minlength=5)
        assert np.abs(found - summed).max() > 1  # they fire together


def test_the_error_of_one_token_and_of_none():
    a = sparse.csc_array(np.array([[2.0, 0.0]]))
    u = np.eye(2)
    error = np.array([[1.0, 3.0]])
    # |(1 - 2, 3)|^2 - |(1, 3)|^2 = 10 - 10.
    assert changes(removed(a, u), error).tolist() == [0, 0]
    # The direction (1, 0) becomes (0, 1): |(1 - 2, 3 + 2)|^2 - 10 = 16.
    swapped = direction_replaced(a, u, u[::-1], np.array([0, 1]))
    assert changes(swapped, error).tolist() == [16, 0]
    none = removed(sparse.csc_array((0, 2)), u)
    assert changes(none, np.empty((0, 2))).tolist() == [0, 0]
    assert group_changes(none, np.empty((0, 2)), np.array([0, -1]), 1).tolist() == [0]
