"""Every criterion against a loop over latents that follows its definition word by word."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinsae.matching import Matching, chance_floor, match, mmcs, overlap, pw_mcc, shared

BOTH = {"and", "and_equal", "mean", "max", "equal"}
CRITERIA = [
    *("and", "and_equal", "decoder", "encoder", "mean"),
    *("max", "max_decoder", "max_encoder", "equal"),
]


def build(rows, cols, cosine, row_max, num_b):
    """A matching of which only what the criteria read is meant."""
    row_max = np.asarray(row_max, dtype=float)
    return Matching(
        rows=np.asarray(rows, dtype=np.int64),
        cols=np.asarray(cols, dtype=np.int64),
        cosine=np.asarray(cosine, dtype=float),
        row_price=np.zeros(len(row_max)),
        col_price=np.zeros(num_b),
        row_max=row_max,
        col_max=np.zeros(num_b),
        objective=float(np.sum(cosine)),
        upper_bound=0.0,
    )


def by_loop(decoder, encoder, tau, latents, live_b=None):
    """Names of the criteria that each latent of A meets."""

    def look_up(matching, i):
        for row, col, cosine in zip(matching.rows, matching.cols, matching.cosine, strict=True):
            if row == i and (live_b is None or live_b[col]):
                return col, cosine
        return None, None

    found = {name: set() for name in CRITERIA}
    for i in latents:
        (j, c), (k, q) = look_up(decoder, i), look_up(encoder, i)
        c_ok, q_ok = c is not None and c > tau, q is not None and q > tau
        both = c is not None and q is not None
        met = {
            "and": c_ok and q_ok,
            "and_equal": c_ok and q_ok and j == k,
            "decoder": c_ok,
            "encoder": q_ok,
            "mean": both and (c + q) / 2 > tau,
            "max": decoder.row_max[i] > tau and encoder.row_max[i] > tau,
            "max_decoder": decoder.row_max[i] > tau,
            "max_encoder": encoder.row_max[i] > tau,
            "equal": both and j == k,
        }
        for name in CRITERIA:
            if met[name]:
                found[name].add(i)
    return found


@st.composite
def matchings(draw):
    """Two matchings of the same two SAEs, whose cosines often equal a threshold."""
    num_a, num_b = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    pairs = min(num_a, num_b)
    cosines = st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.7, 0.75, 1.0])

    def one():
        rows = sorted(draw(st.permutations(range(num_a)))[:pairs])
        cols = draw(st.permutations(range(num_b)))[:pairs]
        cosine = [draw(cosines) for _ in range(pairs)]
        return build(rows, cols, cosine, [draw(cosines) for _ in range(num_a)], num_b)

    return one(), one()


@settings(max_examples=150, deadline=None)
@given(pair=matchings(), tau=st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]), data=st.data())
def test_criteria_are_their_definitions(pair, tau, data):
    decoder, encoder = pair
    num_a, num_b = len(decoder.row_max), len(decoder.col_max)
    result = overlap(decoder, encoder, d_in=50, threshold=tau)
    expected = by_loop(decoder, encoder, tau, range(num_a))
    assert list(result["counts"]) == list(result["criteria"]) == CRITERIA
    assert result["num_latents"] == num_a
    for name, latents in expected.items():
        assert set(np.flatnonzero(shared(decoder, encoder, tau)[name])) == latents
        assert result["counts"][name] == len(latents)
        assert result["criteria"][name] == len(latents) / num_a

    alive = [i for i in range(num_a) if decoder.row_max[i] > np.sqrt(2 * np.log(num_b) / 50)]
    live = result["live"]
    assert (live["by"], live["num_latents"]) == ("floor", len(alive))
    expected = by_loop(decoder, encoder, tau, alive)
    assert live["counts"] == {name: len(latents) for name, latents in expected.items()}

    counts = st.integers(0, 1)
    fired_a = data.draw(st.lists(counts, min_size=num_a, max_size=num_a))
    fired_b = data.draw(st.lists(counts, min_size=num_b, max_size=num_b))
    live = overlap(decoder, encoder, d_in=50, threshold=tau, fired=(fired_a, fired_b))["live"]
    alive = np.flatnonzero(fired_a)
    expected = by_loop(decoder, encoder, tau, alive, fired_b)
    assert (live["by"], live["num_latents"]) == ("firing", len(alive))
    assert live["counts"] == {name: len(latents) for name, latents in expected.items()}
    for name in CRITERIA:
        assert live["criteria"][name] == len(expected[name]) / max(len(alive), 1)


def test_the_sweep_has_fifty_thresholds_and_each_criterion_that_has_one(make_pair):
    decoder, encoder = match(*make_pair(30, 20, 8)), match(*make_pair(30, 20, 8, seed=1))
    sweep = overlap(decoder, encoder, d_in=8)["sweep"]
    assert list(sweep) == ["threshold", *CRITERIA[:-1]]
    assert sweep["threshold"] == pytest.approx([i / 49 for i in range(50)], abs=1e-15)
    for place in (0, 13, 35, 49):
        expected = by_loop(decoder, encoder, sweep["threshold"][place], range(30))
        for name in CRITERIA[:-1]:
            assert sweep[name][place] == len(expected[name]) / 30
    assert sweep["and"][0] > sweep["and"][-1] == 0


def test_a_cosine_at_the_threshold_is_not_above_it():
    at = build([0, 1], [0, 1], [0.7, np.nextafter(0.7, 1)], [0.7, np.nextafter(0.7, 1)], 2)
    counts = overlap(at, at, d_in=4)["counts"]
    assert counts == {name: 2 if name == "equal" else 1 for name in CRITERIA}


def test_criteria_of_one_side_need_the_other_no_more_than_that(make_pair):
    matching = match(*make_pair(30, 20, 8))
    every = overlap(matching, matching, d_in=8)
    for name, sides in (("decoder", (matching, None)), ("encoder", (None, matching))):
        one = overlap(*sides, d_in=8)
        kept = [name, f"max_{name}"]
        assert list(one["criteria"]) == kept
        assert list(one["sweep"]) == ["threshold", *kept]
        assert one["counts"] == {key: every["counts"][key] for key in kept}
        assert one["live"]["num_latents"] == every["live"]["num_latents"]
        assert set(one["live"]["counts"]) == set(kept)


def test_the_floor_looks_at_the_decoder_where_there_is_one():
    live = build([0, 1], [0, 1], [0.9, 0.9], [0.9, 0.9], 2)
    dead = build([0, 1], [0, 1], [0.0, 0.9], [0.0, 0.9], 2)
    assert overlap(live, dead, d_in=10)["live"]["num_latents"] == 2
    assert overlap(dead, live, d_in=10)["live"]["num_latents"] == 1
    assert overlap(None, dead, d_in=10)["live"]["num_latents"] == 1


def test_matchings_that_do_not_belong_together_are_refused(make_pair):
    one, other = match(*make_pair(5, 6, 4)), match(*make_pair(5, 7, 4))
    with pytest.raises(ValueError, match=r"they are of 5 x 6 and 5 x 7$"):
        overlap(one, other, d_in=4)
    with pytest.raises(ValueError, match=r"they are of none$"):
        shared(None, None)


@pytest.mark.parametrize("fired", [(np.ones(5), np.ones(5)), (np.ones(6), np.ones(6))])
def test_firing_counts_of_other_sizes_are_refused(fired, make_pair):
    matching = match(*make_pair(5, 6, 4))
    with pytest.raises(ValueError, match=r"^fired must hold a count for each of 5 and 6 latents"):
        overlap(matching, matching, d_in=4, fired=fired)


@pytest.mark.parametrize(("num_latents", "d_in"), [(1000, 64), (5000, 256)])
def test_the_chance_floor_is_about_the_best_cosine_of_random_directions(num_latents, d_in):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((num_latents, d_in))
    best = [(rows @ x / np.linalg.norm(rows, axis=1)).max() for x in np.eye(d_in)[:50]]
    # The true mean is below the asymptotic formula, by 1/4 at most at these sizes.
    assert 0.75 < np.mean(best) / chance_floor(num_latents, d_in) < 1.0


def test_the_papers_chance_floors():
    assert chance_floor(32768, 768) == pytest.approx(0.165, abs=5e-4)
    assert chance_floor(131072, 768) == pytest.approx(0.175, abs=5e-4)
    assert chance_floor(147456, 4096) == pytest.approx(0.076, abs=5e-4)
    assert chance_floor(1, 5) == 0


def test_mmcs_and_pw_mcc(make_pair, cosines, best_objective):
    a, b = make_pair(30, 20, 8)
    similarity = cosines(a, b)
    matching = match(a, b)
    assert mmcs(matching) == pytest.approx(
        (similarity.max(axis=1).mean(), similarity.max(axis=0).mean())
    )
    assert pw_mcc(matching) == pytest.approx(best_objective(similarity) / 20)


def test_pw_mcc_takes_no_absolute_value():
    a = np.array([[1.0, 0.0]])
    assert pw_mcc(match(a, -a)) == -1


def test_criteria_come_from_the_float64_cosines_not_the_files():
    """0.7 in float32 is below 0.7: only a float64 cosine tells that 0.7 + 1e-9 is above it."""
    above = build([0], [0], [0.7 + 1e-9], [0.7 + 1e-9], 1)
    assert overlap(above, above, d_in=4)["counts"]["and"] == 1
    rounded = replace(above, cosine=above.cosine.astype(np.float32))
    assert overlap(rounded, above, d_in=4)["counts"]["and"] == 0
