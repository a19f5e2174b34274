"""How many latents are in how many SAEs: the paper's counts, drawn sets, many dictionaries."""

import math

import numpy as np
import pytest
from twinsae.matching.criteria import seed_counts
from twinsae.matching.criteria.seed_counts import Others, in_exactly, only_in_base


def test_counts_of_the_paper():
    """Its published counts for one base of nine seeds: latents in exactly 1 to 9 SAEs."""
    published = [11512, 2451, 2104, 1932, 1908, 2036, 2314, 2864, 5647]
    base = Others(sum(published), 8)
    for other in range(8):
        base.add(other, np.repeat(np.arange(9) > other, published))
    assert in_exactly(base) == published
    curve = only_in_base([base] * 9)
    assert [point["dictionaries"] for point in curve] == list(range(2, 10))
    assert curve[-1]["mean"] == pytest.approx(11512 / 32768)
    assert curve[-1]["std"] == 0
    # With one other: on average those that miss it, whichever it is.
    missed = sum(count * (9 - n) for n, count in enumerate(published, 1))
    assert curve[0]["mean"] == pytest.approx(missed / 8 / 32768)


@pytest.mark.parametrize("num_others", [1, 7, 8, 9])
def test_drawn_spreads_are_near_those_over_all_sets(num_others, monkeypatch):
    rng = np.random.default_rng(num_others)
    bases = []
    for size in (300, 311):
        bases.append(Others(size, num_others))
        for other in range(num_others):
            bases[-1].add(other, rng.random(size) < rng.uniform(0.1, 0.5))
    exact = only_in_base(bases)
    monkeypatch.setattr(seed_counts, "MOST_EXACT", 1)
    monkeypatch.setattr(seed_counts, "DRAWS", 2000)
    drawn = only_in_base(bases)
    for one, other in zip(exact, drawn, strict=True):
        assert one["mean"] == other["mean"]
        assert other["std"] == pytest.approx(one["std"], abs=0.01)
        assert one["min"] <= other["min"] <= other["max"] <= one["max"]
        assert other["sets"] == 4000
    # With one other, and with all of them, few sets exist: all of these are drawn.
    for place in (0, -1):
        for key in ("min", "max"):
            assert exact[place][key] == drawn[place][key]


def test_many_dictionaries_have_an_exact_mean():
    base = Others(3, 70)
    for other in range(70):
        base.add(other, np.array([other < 1, other < 69, False]))
    assert base.sharing().sum(axis=0).tolist() == [2, *[1] * 68, 0]
    assert in_exactly(base) == [1, 1, *[0] * 67, 1, 0]
    curve = only_in_base([base])
    assert len(curve) == 70
    for asked, point in enumerate(curve, 1):
        lacking = [math.comb(absent, asked) / math.comb(70, asked) for absent in (69, 1, 70)]
        assert point["mean"] == pytest.approx(sum(lacking) / 3, rel=1e-12)
