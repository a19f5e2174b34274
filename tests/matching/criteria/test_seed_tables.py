"""The tables of several seeds, on a planted example that is worked out here.

Three SAEs, s0 with 3 latents, s1 with 3 and s2 with 2. Matches, as latent: cosine of the decoders /
cosine of the encoders:

- s0 with s1: 0-0: .9/.8, 1-1: .8/.2, 2-2: .1/.9
- s0 with s2: decoders 0-0: .9 and 1-1: .6; encoders 0-0: 1 and 2-1: .8; the rest has no match

By "and" at 0.7, latent 0 of s0 is in all three SAEs, and latents 1 and 2 in s0 alone.
"""

import numpy as np
import pytest
from twinsae.matching import Matching
from twinsae.matching.criteria.overlap import CRITERIA
from twinsae.matching.criteria.seed_counts import Others, exact_shares
from twinsae.matching.criteria.seed_tables import SeedTables, pair_matrix


def matching(rows, cols, cosine, num_a: int, num_b: int) -> Matching:
    best_a, best_b = np.zeros(num_a), np.zeros(num_b)
    best_a[rows], best_b[cols] = cosine, cosine
    return Matching(
        rows=np.array(rows), cols=np.array(cols), cosine=np.array(cosine),
        row_price=np.zeros(num_a), col_price=np.zeros(num_b), row_max=best_a, col_max=best_b,
        objective=float(sum(cosine)), upper_bound=float(sum(cosine)),
    )  # fmt: skip


@pytest.fixture
def planted() -> SeedTables:
    tables = SeedTables(3, "and")
    three = [0, 1, 2]
    tables.add(
        0,
        1,
        matching(three, three, [0.9, 0.8, 0.1], 3, 3),
        matching(three, three, [0.8, 0.2, 0.9], 3, 3),
    )
    tables.add(
        0, 2, matching([0, 1], [0, 1], [0.9, 0.6], 3, 2), matching([0, 2], [0, 1], [1.0, 0.8], 3, 2)
    )
    return tables  # fmt: skip


def test_latents_of_the_seed_that_met_all_others(planted):
    assert list(planted.complete()) == [0]
    rows = planted.latents({0: [7, 0, 2**40], 1: [1, 1, 1]})
    assert rows["seed"].tolist() == [0, 0, 0]
    assert rows["latent"].tolist() == [0, 1, 2]
    assert rows["in_seeds"].tolist() == [3, 1, 1]
    np.testing.assert_allclose(rows["decoder_cosine"], [0.9, 0.7, 0.1])
    np.testing.assert_allclose(rows["encoder_cosine"], [0.9, 0.2, 0.85])
    np.testing.assert_allclose(rows["similarity"], [0.9, 0.45, 0.475])
    assert rows["count"].tolist() == [7, 0, 2**40]
    assert planted.latents({})["count"].tolist() == [-1, -1, -1]
    assert {column.dtype for column in rows.values()} == {np.dtype("int64"), np.dtype("float64")}


def test_pairs_in_both_directions(planted):
    rows = planted.pairs()
    assert list(rows) == ["a", "b", "decoder_cosine", "encoder_cosine", *CRITERIA]
    order = list(zip(rows["a"].tolist(), rows["b"].tolist(), strict=True))
    assert order == [(0, 1), (0, 2), (1, 0), (2, 0)]
    np.testing.assert_allclose(rows["decoder_cosine"], [0.6, 0.75, 0.6, 0.75])
    np.testing.assert_allclose(rows["encoder_cosine"], [1.9 / 3, 0.9, 1.9 / 3, 0.9])
    np.testing.assert_allclose(rows["and"], [1 / 3, 1 / 3, 1 / 3, 1 / 2])
    np.testing.assert_allclose(rows["decoder"], [2 / 3, 1 / 3, 2 / 3, 1 / 2])
    np.testing.assert_allclose(rows["encoder"], [2 / 3, 2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(rows["equal"], [1, 1 / 3, 1, 1 / 2])
    matrix = pair_matrix(rows, "and", 3)
    nan = np.nan
    expected = [[nan, 1 / 3, 1 / 3], [1 / 3, nan, nan], [1 / 2, nan, nan]]
    np.testing.assert_allclose(matrix, expected)


def test_a_latent_without_any_match_has_no_cosine():
    tables = SeedTables(2, "and")
    alone = matching([0, 2], [0, 1], [0.9, 0.5], 3, 2)
    tables.add(0, 1, alone, alone)
    rows = tables.latents({})
    np.testing.assert_array_equal(rows["similarity"], [0.9, np.nan, 0.5, 0.9, 0.5])
    assert rows["seed"].tolist() == [0, 0, 0, 1, 1]
    assert rows["in_seeds"].tolist() == [2, 1, 1, 2, 1]


def test_tables_of_nothing():
    empty = SeedTables(3, "and")
    assert {len(column) for column in empty.latents({}).values()} == {0}
    assert {len(column) for column in empty.pairs().values()} == {0}


def test_exact_shares_of_two_bases():
    bases = [Others(4, 2), Others(2, 2)]
    bases[0].add(0, np.array([True, True, False, False]))
    bases[0].add(1, np.array([True, False, False, False]))  # in 3, 2, 1, 1
    bases[1].add(0, np.array([True, True]))
    bases[1].add(1, np.array([True, False]))  # in 3, 2
    shares = exact_shares(bases)
    assert [share["dictionaries"] for share in shares] == [1, 2, 3]
    assert [share["mean"] for share in shares] == [0.25, 0.375, 0.375]
    assert [share["std"] for share in shares] == [0.25, 0.125, 0.125]
    assert [(share["min"], share["max"]) for share in shares] == [
        (0, 0.5),
        (0.25, 0.5),
        (0.25, 0.5),
    ]
