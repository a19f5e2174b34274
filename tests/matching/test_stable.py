"""Links, reappearance and groups, by hand, by brute force and on planted seeds."""

import json
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest
from twinsae.cli.main import main
from twinsae.common.tables import load_table
from twinsae.matching import Matching, match_all
from twinsae.matching.stable import (
    STABLE_FORMAT,
    Links,
    inconsistent,
    links,
    stable,
    stable_files,
)


def linked(*pairs: tuple[int, int, float]) -> Links:
    rows, cols, cosine = zip(*sorted(pairs), strict=True) if pairs else ((), (), ())
    return Links(np.array(rows, int), np.array(cols, int), np.array(cosine, float))


EXAMPLE = {(0, 1): linked((0, 0, 0.9)), (1, 2): linked((0, 0, 0.8)), (0, 2): linked((0, 1, 0.75))}
SIZES = (1, 1, 2)


def test_the_example_of_the_page() -> None:
    found = stable(SIZES, EXAMPLE)
    assert found.seed.tolist() == [0, 1, 2, 2]
    assert found.latent.tolist() == [0, 0, 0, 1]
    assert found.linked.tolist() == [2, 2, 1, 1]
    assert found.group.tolist() == [0, 0, 0, 1]
    assert found.group_size.tolist() == [3, 3, 3, 1]
    assert inconsistent(SIZES, EXAMPLE) == (2, 2)


def test_a_triangle_is_consistent() -> None:
    every = {pair: linked((0, 0, 0.9), (1, 1, 0.8)) for pair in combinations(range(3), 2)}
    assert inconsistent((2, 2, 2), every) == (0, 6)
    found = stable((2, 2, 2), every)
    assert found.group.tolist() == [0, 1] * 3
    assert (found.share == 1).all()


def test_intervals_are_those_of_scipy() -> None:
    every = {pair: linked() for pair in combinations(range(5), 2)}
    for other in range(1, 4):
        every[0, other] = linked((0, 0, 0.9))
    found = stable((1,) * 5, every)
    for latent, successes in enumerate([3, 1, 1, 1, 0]):
        expected = binomtest(successes, 4).proportion_ci(0.95, method="exact")
        assert found.linked[latent] == successes
        assert (found.low[latent], found.high[latent]) == pytest.approx(tuple(expected))


def groups_by_hand(sizes, found):
    """Join sets of (seed, latent) one link after another."""
    sets = {(s, i): {(s, i)} for s, size in enumerate(sizes) for i in range(size)}
    every = [
        (-cosine, (a, i), (b, j))
        for (a, b), pairs in found.items()
        for i, j, cosine in zip(*pairs, strict=True)
    ]
    for _, left, right in sorted(every):
        one, other = sets[left], sets[right]
        if one is not other and not {s for s, _ in one} & {s for s, _ in other}:
            one |= other
            sets.update(dict.fromkeys(other, one))
    return sets


@pytest.mark.parametrize("seed", range(5))
def test_groups_and_chains_of_random_links(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 9, size=4).tolist()
    found = {}
    for a, b in combinations(range(4), 2):
        number = rng.integers(0, min(sizes[a], sizes[b]) + 1)
        rows, cols = (rng.permutation(sizes[x])[:number].tolist() for x in (a, b))
        cosines = rng.integers(1, 4, size=number) / 4  # with ties
        found[a, b] = linked(*zip(rows, cols, cosines.tolist(), strict=True))
    result, sets = stable(sizes, found), groups_by_hand(sizes, found)
    places = list(zip(result.seed.tolist(), result.latent.tolist(), strict=True))
    for number, place in enumerate(places):
        own = {places[n] for n in np.flatnonzero(result.group == result.group[number])}
        assert own == sets[place]
        assert result.group_size[number] == len(own)
    by_group = result.group_size[np.unique(result.group, return_index=True)[1]]
    assert (np.diff(by_group) <= 0).all()
    ends = {}
    for (a, b), pairs in found.items():
        for i, j in zip(pairs.rows.tolist(), pairs.cols.tolist(), strict=True):
            ends.setdefault((a, i), set()).add((b, j))
            ends.setdefault((b, j), set()).add((a, i))
    chains = [pair for own in ends.values() for pair in combinations(own, 2)]
    broken = sum(right not in ends[left] for left, right in chains)
    assert inconsistent(sizes, found) == (broken, len(chains))


def test_links_need_both_matchings_and_both_cosines() -> None:
    def matching(cols, cosine):
        return Matching(
            rows=np.arange(4), cols=np.array(cols), cosine=np.array(cosine),
            row_price=np.zeros(4), col_price=np.zeros(4), row_max=np.zeros(4),
            col_max=np.zeros(4), objective=0.0, upper_bound=0.0,
        )  # fmt: skip

    found = links(matching([1, 0, 2, 3], [0.9, 0.9, 0.6, 0.8]),
                  matching([1, 2, 0, 3], [0.8, 0.9, 0.9, 0.7]))  # fmt: skip
    assert found.rows.tolist() == [0]
    assert found.cols.tolist() == [1]
    assert found.cosine.tolist() == [pytest.approx(0.85)]


@pytest.fixture
def matches(tmp_path):
    """Three SAEs with the same first latents in another order, matched."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((6, 64))
    for name in "abc":
        rows = np.concatenate([shared, rng.standard_normal((4, 64))])[rng.permutation(10)]
        np.savez(tmp_path / f"{name}.npz", W_enc=rows.T, W_dec=rows)
    saes = [tmp_path / f"{name}.npz" for name in "abc"]
    match_all(saes, tmp_path / "matches", names=list("abc"), orientation="DL/LD")
    return tmp_path / "matches"


def test_planted_latents_come_back(matches, capsys) -> None:
    facts = stable_files(matches)
    table = load_table(matches / "stable.npz", STABLE_FORMAT)
    assert facts["groups"]["3"] == 6
    assert (table.columns["linked"] == 2).sum() >= 18
    assert facts["inconsistent"] == 0
    assert json.loads((matches / "stable.json").read_text())["groups"] == facts["groups"]
    assert main(["stable", str(matches)]) == 0
    printed = capsys.readouterr().out
    assert "│ 3                  │ 6      │" in printed
    assert "0.0% of" in printed


def test_what_is_missing_is_named(matches, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no seeds\.json"):
        stable_files(tmp_path)
    content = json.loads((matches / "seeds.json").read_text())
    content["pairs"].pop()
    (matches / "seeds.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="expected every two SAEs to be matched"):
        stable_files(matches)
