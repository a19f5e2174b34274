"""`match_activations` against dense similarities, written out as their definitions, and scipy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from twinsae.matching import Codes, active_together, match_activations, verify_activations

MEASURES = ("cosine", "pearson")


def codes_of(dense: np.ndarray) -> Codes:
    """The codes of activations (N, L)."""
    rows, latents = np.nonzero(dense)
    offsets = np.searchsorted(rows, np.arange(len(dense) + 1))
    return Codes(offsets, latents, dense[rows, latents].astype(np.float32), dense.shape[1])


def similarity(a: np.ndarray, b: np.ndarray, measure: str) -> np.ndarray:
    sides = []
    for side in (a.astype(np.float64), b.astype(np.float64)):
        centred = side - side.mean(axis=0) if measure == "pearson" else side
        square = (centred**2).sum(axis=0)
        constant = square <= 1e-6 * (side**2).sum(axis=0)  # or never active
        sides.append(np.where(constant, 0, centred / np.sqrt(np.where(constant, 1, square))))
    return sides[0].T @ sides[1]


def draw(tokens: int, num_a: int, num_b: int, seed: int, rate: float = 0.15) -> list[np.ndarray]:
    """Activations (N, L) of two SAEs, of which half the latents are alike; some are rare."""
    rng = np.random.default_rng(seed)
    a, b = (rng.exponential(size=(tokens, size)).astype(np.float32) for size in (num_a, num_b))
    common = min(num_a, num_b) // 2
    b[:, :common] = a[:, :common] + 0.3 * b[:, :common]
    rates = rng.uniform(0.2, 2, (2, 1, max(num_a, num_b))) * rate
    on = rng.random((2, tokens, max(num_a, num_b)))
    on[1, :, :common] = on[0, :, :common]
    a *= (on < rates)[0, :, :num_a]
    b *= (on < rates)[1, :, :num_b]
    return [a, b[:, rng.permutation(num_b)]]


CASES = {
    "square": draw(200, 40, 40, seed=0),
    "wide": draw(200, 25, 60, seed=1),
    "tall": draw(200, 60, 25, seed=2),
    "rare": draw(30, 50, 50, seed=3, rate=0.03),
    "rare and wide": draw(30, 40, 60, seed=4, rate=0.03),
    "dense": draw(100, 30, 30, seed=5, rate=0.9),
    "one token": draw(1, 30, 33, seed=6, rate=0.5),
    "one latent": draw(20, 1, 1, seed=7, rate=0.5),
    "one against many": draw(20, 1, 30, seed=8, rate=0.5),
}


def with_dead(case: list[np.ndarray], of_a: int, of_b: int) -> list[np.ndarray]:
    """The same with latents that are never active."""
    a, b = (side.copy() for side in case)
    a[:, :of_a] = 0
    b[:, 2 : 2 + of_b] = 0
    return [a, b]


def tied(tokens: int, num_a: int, num_b: int) -> list[np.ndarray]:
    """Latents of activation 1 on one of few tokens: most of them are equal to others."""
    rng = np.random.default_rng(9)
    sides = [np.zeros((tokens, size), dtype=np.float32) for size in (num_a, num_b)]
    for side in sides:
        side[rng.integers(0, tokens, side.shape[1]), np.arange(side.shape[1])] = 1
    return sides


SQUARE = CASES["square"]
# The last of these varies by less than a thousandth of its size.
CONSTANT = np.hstack([np.full((200, 2), 0.1), 1 + 1e-4 * SQUARE[0][:, :1]])
CASES |= {
    "dead": with_dead(SQUARE, 9, 5),
    "dead on one side": with_dead(SQUARE, 0, 12),
    "dead on the other": with_dead(SQUARE, 12, 0),
    "dead and wide": with_dead(CASES["wide"], 6, 40),
    "dead and tall": with_dead(CASES["tall"], 40, 6),
    "all dead": [np.zeros((5, 7)), np.zeros((5, 9))],
    "one side dead": [SQUARE[0], np.zeros((200, 45))],
    "never together": [
        np.vstack([SQUARE[0], 0 * SQUARE[0]]),
        np.vstack([0 * SQUARE[1], SQUARE[1]]),
    ],
    "ties": tied(8, 40, 40),
    "ties and wide": tied(8, 30, 50),
    "constant": [np.hstack([CONSTANT, SQUARE[0]]), SQUARE[1]],
    "the same": [SQUARE[0], SQUARE[0][:, ::-1]],
    "signed": [side * np.where(np.arange(40) % 3, 1, -1) for side in SQUARE],
    "signed and rare": [CASES["rare"][0], -CASES["rare"][1]],
    "signed by token": [side * np.where(np.arange(200) % 2, 1, -1)[:, None] for side in SQUARE],
    "signed, one of them": [SQUARE[0] * np.where(np.arange(200) % 2, 1, -1)[:, None], SQUARE[1]],
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", CASES)
def test_the_matching_is_optimal_by_independent_means(name: str, measure: str, assert_optimal):
    a, b = CASES[name]
    codes = codes_of(a), codes_of(b)
    matching = match_activations(*codes, measure=measure)
    assert_optimal(matching, similarity(a, b, measure))
    together = ((a[:, matching.rows] != 0) & (b[:, matching.cols] != 0)).sum(axis=0)
    np.testing.assert_array_equal(active_together(*codes, matching), together)
    certificate = verify_activations(*codes, matching, measure=measure)
    assert certificate.reasons == ()
    assert certificate.gap == pytest.approx(matching.gap, abs=1e-9 * len(together))


def test_hand_made_latents():
    # A's latent 0 and B's latent 1 are the same but for a factor; A's latent 1 meets B's latent 0
    # on one of its two tokens; A's latent 2 and B's latent 2 are never active together.
    a = np.array([[1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1.0]])
    b = np.array([[0, 3, 0], [0, 6, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0.0]])
    b[3, 2] = 1
    b[3, 2], b[0, 2] = 0, 1  # latent 2 of B: token 0
    codes = codes_of(a), codes_of(b)
    matching = match_activations(*codes)
    assert matching.cols.tolist() == [1, 0, 2]
    np.testing.assert_allclose(matching.cosine, [1, np.sqrt(0.5), 0], atol=1e-15)
    assert active_together(*codes, matching).tolist() == [2, 1, 0]
    pearson = match_activations(*codes, measure="pearson")
    assert pearson.cols.tolist() == [1, 0, 2]
    # Never together, each on one of five tokens: -mu^2 / sigma^2 = -0.2^2 / (0.2 - 0.2^2).
    np.testing.assert_allclose(pearson.cosine[2], -0.25, atol=1e-15)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_result_has_the_same_bits_for_any_number_of_threads_and_order(measure: str):
    a, b = (codes_of(side) for side in draw(300, 90, 110, seed=11))
    found = match_activations(a, b, measure=measure)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again = match_activations(a, b, measure=measure)
    finally:
        torch.set_num_threads(threads)
    swapped = match_activations(b, a, measure=measure).swapped()
    for name in ("cols", "cosine", "row_price", "col_price", "row_max", "col_max"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        np.testing.assert_array_equal(getattr(swapped, name), getattr(found, name))


def test_lists_shorter_than_the_ties_still_lead_to_the_optimum(assert_optimal):
    # 150 latents a side, 6 kinds: each has 25 equals, and lists of 32 hold little else.
    a, b = tied(6, 150, 150)
    b[:, :60] *= np.linspace(0.5, 2, 60)
    for measure in MEASURES:
        matching = match_activations(codes_of(a), codes_of(b), measure=measure)
        assert_optimal(matching, similarity(a, b, measure))


def test_latents_that_are_left_over_are_priced_together():
    # Each is active on about two of 3,000 tokens, and meets one or two of the other side: more
    # than 300 are left over. It takes 3 and 5 passes, and without pairs among these 5 and 8.
    sides = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        dense = np.zeros((3000, 1500), dtype=np.float32)
        places = np.append(np.arange(1500), rng.integers(0, 1500, 1500))
        dense[rng.integers(0, 3000, 3000), places] = rng.exponential(size=3000) + 0.1
        sides.append(codes_of(dense))
    for measure, passes in zip(MEASURES, (4, 6), strict=True):
        matching = match_activations(*sides, measure=measure)
        assert matching.certified
        assert verify_activations(*sides, matching, measure=measure).valid
        assert np.count_nonzero(active_together(*sides, matching) == 0) > 300
        assert matching.stats["passes"] <= passes


def test_stats_say_how_it_was_found():
    a, b = (codes_of(side) for side in SQUARE)
    seen = []
    stats = match_activations(
        a, b, measure="pearson", progress=lambda phase, *_: seen.append(phase)
    ).stats
    assert set(stats) == {"method", "measure", "seconds", "passes", "peak_memory_bytes"}
    assert stats["measure"] == "pearson"
    assert stats["passes"] >= 1
    assert set(seen) == set(stats["seconds"]) == {"candidates", "solve", "pricing"}


WRONG = {
    "cosine": ("cosine", lambda m: {"cosine": m.cosine + [1e-3] * len(m.rows)}),
    "partner": ("cosine", lambda m: {"cols": m.cols[[1, 0, *range(2, len(m.cols))]]}),
    "repeated": ("twice", lambda m: {"cols": m.cols[[1, 1, *range(2, len(m.cols))]]}),
    "price": ("exceeded", lambda m: {"row_price": m.row_price - 1e-3}),
    "bound": ("upper_bound", lambda m: {"upper_bound": m.upper_bound - 1}),
    "objective": ("objective", lambda m: {"objective": m.objective + 1}),
    "row_max": ("row_max", lambda m: {"row_max": m.row_max + 0.1}),
    "col_max": ("col_max", lambda m: {"col_max": m.col_max - 0.1}),
    "gap": ("the gap", lambda m: {"row_price": m.row_price + 1e-3}),
    "length": ("entries", lambda m: {"col_price": m.col_price[1:]}),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", WRONG)
def test_a_matching_that_was_tampered_with_is_not_valid(name: str, measure: str):
    a, b = (codes_of(side) for side in SQUARE)
    matching = match_activations(a, b, measure=measure)
    word, change = WRONG[name]
    certificate = verify_activations(a, b, replace(matching, **change(matching)), measure=measure)
    assert not certificate.valid
    assert word in "; ".join(certificate.reasons)


def test_the_certificate_is_of_its_measure():
    a, b = (codes_of(side) for side in CASES["dense"])
    assert not verify_activations(a, b, match_activations(a, b), measure="pearson").valid


def test_bad_input_is_named():
    a, b = (codes_of(side) for side in SQUARE)
    short = codes_of(SQUARE[1][:-1])
    with pytest.raises(ValueError, match=r"measure: expected 'cosine' or 'pearson', got 'dot'"):
        match_activations(a, b, measure="dot")
    with pytest.raises(ValueError, match=r"measure: expected 'cosine' or 'pearson', got 'dot'"):
        verify_activations(a, b, match_activations(a, b), measure="dot")
    for call in (match_activations, lambda *pair: verify_activations(*pair, None)):
        with pytest.raises(ValueError, match=r"the same tokens, got .*200.*199"):
            call(a, short)
    with pytest.raises(ValueError, match="matching 40 x 40 latents on 200 tokens takes"):
        match_activations(a, b, memory_limit=1000)
