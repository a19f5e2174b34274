"""What a pricing pass lists, against the dense matrix of cosines."""

import numpy as np
import pytest
import torch
from twinsae.common.progress import silent
from twinsae.matching.rows import StoredRows
from twinsae.matching.solver import prices as pricing
from twinsae.matching.solver import underpriced
from twinsae.matching.solver.prices import CosineBound, price
from twinsae.matching.solver.selection import Selection
from twinsae.matching.solver.underpriced import underpriced_pairs


def selected(matrix) -> Selection:
    return Selection(StoredRows(matrix, "rows"), torch.arange(len(matrix)))


@pytest.fixture
def sides(make_pair, cosines):
    a, b = make_pair(300, 340, 24)
    return selected(a), selected(b), cosines(a, b)


def nothing_known(num_a: int, num_b: int) -> CosineBound:
    return CosineBound(np.ones(num_a), np.zeros(num_b))


def pairs_of(graph) -> set[tuple[int, int]]:
    return set(zip(graph.rows.tolist(), graph.cols.tolist(), strict=True))


def above(excess, bar: float) -> set[tuple[int, int]]:
    return set(zip(*(side.tolist() for side in np.nonzero(excess > bar)), strict=True))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(pricing, "_TILE_ROWS", 32)
    monkeypatch.setattr(pricing, "_TILE_COLS", 16)
    monkeypatch.setattr(pricing, "_ROW_BYTES", 64 * 4 * 24)
    monkeypatch.setattr(pricing, "_COL_BYTES", 100 * 4 * 24)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("fitting", [0, 1, 2])
def test_too_many_pairs_make_the_margin_smaller(sides, fitting):
    a, b, similarity = sides
    prices = np.full(300, 0.3), np.full(340, 0.2)
    excess = similarity - 0.5
    deltas = [0.3, 0.1, 0.0]
    limit = len(above(excess, -deltas[fitting]))
    found = price(a, b, prices, deltas, [nothing_known(300, 340)], limit, silent)
    assert found.complete
    assert found.delta == deltas[fitting]
    assert pairs_of(found.pairs) == above(excess, -found.delta)
    assert len(found.pairs) == limit  # none twice
    assert found.share == 1.0


@pytest.mark.usefixtures("small_blocks")
def test_the_smallest_margin_ends_the_pass(sides):
    a, b, similarity = sides
    prices = np.full(300, 0.3), np.full(340, -0.2)
    found = price(a, b, prices, [0.1, 0.0], [nothing_known(300, 340)], 2000, silent)
    assert not found.complete
    assert found.delta == 0.0
    assert found.share < 0.5
    assert len(found.pairs) > 2000
    assert pairs_of(found.pairs) <= above(similarity - 0.1, 0.0)


@pytest.mark.usefixtures("small_blocks")
def test_progress_comes_to_an_end_when_the_margin_falls(sides):
    a, b, similarity = sides
    prices = np.full(300, 0.3), np.full(340, 0.2)
    bound = CosineBound(np.linspace(0.2, 0.6, 300), np.zeros(340))
    limit, told = len(above(similarity - 0.5, 0.0)), []
    found = price(
        a, b, prices, [0.3, 0.0], [bound], limit,
        lambda _, done, total, __: told.append((done, total)),
    )  # fmt: skip
    assert found.complete
    assert found.delta == 0.0
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] < told[0][1] / 2  # much was no longer needed
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.usefixtures("small_blocks")
def test_bounds_rule_out_tiles(sides):
    a, b, similarity = sides
    u, v = similarity.max(1) - 0.05, np.zeros(340)
    known = [CosineBound(similarity.max(1), v), CosineBound(np.zeros(300), similarity.max(0))]
    found = price(a, b, (u, v), [0.0], known, 10**6, silent)
    assert pairs_of(found.pairs) == above(similarity - u[:, None], 0.0)
    nearly_all = CosineBound(u - 0.01, v)
    found = price(a, b, (u, v), [0.0], [*known, nearly_all], 10**6, silent)
    assert found.share == 0.0
    assert not len(found.pairs)


def test_crowded_rows_list_their_best(sides, monkeypatch):
    a, b, similarity = sides
    monkeypatch.setattr(underpriced, "_FIRST_ROWS", 8)
    monkeypatch.setattr(underpriced, "_PAIRS_OF_ROW", 20)
    u, v = similarity.max(1) + 0.2, np.linspace(-0.1, 0.1, 340)
    low = np.array([5, 17, 80, 81, 299])
    u[low] = -0.5
    looked_at = []
    found = underpriced_pairs(
        a, b, (u, v), 0.01, CosineBound(np.ones(300), np.zeros(340)),
        lambda _, done, *__: looked_at.append(done),
    )  # fmt: skip
    excess = similarity - u[:, None] - v
    best = {(int(row), int(col)) for row in low for col in np.argsort(-excess[row])[:20]}
    assert pairs_of(found) == best
    np.testing.assert_allclose(found.weights, similarity[found.rows, found.cols], atol=1e-12)
    assert looked_at[-1] == (8 + 16) * 340  # the second lot of rows had few


def test_no_row_is_crowded(sides):
    a, b, similarity = sides
    prices = similarity.max(1) + 0.1, np.zeros(340)
    found = underpriced_pairs(a, b, prices, 0.01, nothing_known(300, 340), silent)
    assert not len(found)


def test_every_row_is_crowded(sides, monkeypatch):
    a, b, similarity = sides
    monkeypatch.setattr(underpriced, "_FIRST_ROWS", 7)
    monkeypatch.setattr(underpriced, "_ROW_BYTES", 50 * 4 * 24)
    monkeypatch.setattr(underpriced, "_COL_BYTES", 100 * 4 * 24)
    prices = np.full(300, -1.0), np.full(340, -1.0)
    found = underpriced_pairs(a, b, prices, 0.01, nothing_known(300, 340), silent)
    best = {
        (row, start + int(col))
        for start in range(0, 340, 100)
        for row in range(300)
        for col in np.argsort(-similarity[row, start : start + 100])[:64]
    }
    assert pairs_of(found) == best
